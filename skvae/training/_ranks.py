"""Processes that train one model together."""

from __future__ import annotations

import hashlib
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, distributed

from skvae._torch_compat import timeout_of
from skvae.exceptions import ProcessGroupError

# A thread that a fit starts has none, and trains alone: threads of several processes
# come in no common order.
_ranks: ContextVar[Ranks | None] = ContextVar("ranks", default=None)

# All comparisons send as much: backends abort a process that receives less or more.
_PARTS = 3

_is_in_use = threading.Lock()


@contextmanager
def together() -> Iterator[None]:
    """Context of a fit that the processes of torch's group enter and end together.

    If one of them leaves it with an error, the others raise one. A fit within a fit
    belongs to it. Nothing happens where torch has no group of more than one process.

    Raises
    ------
    ProcessGroupError
        If another process ends or raises an error, or another thread is in a fit.
    """
    has_group = distributed.is_available() and distributed.is_initialized()
    if not has_group or distributed.get_world_size() == 1 or _ranks.get() is not None:
        yield
        return
    if not _is_in_use.acquire(blocking=False):
        raise ProcessGroupError(
            "Two threads of a process fit a model at the same time, and a process "
            "group trains one after another. Use n_jobs=1, or processes in place of "
            "threads: joblib's backend 'loky'."
        )
    try:
        with closing(Ranks()) as ranks:
            token = _ranks.set(ranks)
            try:
                yield
                ranks.wait()
            finally:
                _ranks.reset(token)
    finally:
        _is_in_use.release()


class Ranks:
    """The processes of torch's process group, and this one among them.

    Each of them has the whole table, and computes some of the rows of each batch. They
    have a group of their own for each fit: it is closed by a process that leaves it, so
    that others do not wait, and the group of the user stays in order.

    Raises
    ------
    ProcessGroupError
        By each method, if another process has ended or cannot be reached.
    """

    def __init__(self) -> None:
        self.rank: int = distributed.get_rank()
        self.n_ranks: int = distributed.get_world_size()
        #: What the group sends tensors of, as in "cpu:gloo,cuda:gloo".
        self.backends = distributed.get_backend_config()
        self.device = torch.device(self.backends.split(":")[0])
        self.group: distributed.ProcessGroup | None = None
        # The making of a group does not notice one that has ended.
        self.wait()
        with self._others():
            timeout = timeout_of(distributed.group.WORLD, self.device)
            self.group = distributed.new_group(timeout=timeout)

    @staticmethod
    def now() -> Ranks | None:
        """The processes of the fit that this thread is in, or None."""
        return _ranks.get()

    def close(self) -> None:
        """Let the others raise an error where they expect something of this process."""
        group, self.group = self.group, None
        # In torch 2.6 the end of a group waits for a thread that may need the
        # interpreter, and does not let it have that.
        time.sleep(0.02)
        distributed.destroy_process_group(group)

    def check_device(self, device: torch.device) -> None:
        """Raise an error where the group cannot send tensors of a device."""
        if device.type not in self.backends:
            raise ProcessGroupError(
                f"The process group ({self.backends}) sends no tensors of "
                f"device={str(device)!r}. Train on a device that it names, or give "
                "init_process_group a backend for this one."
            )

    def wait(self) -> None:
        """Wait until all processes have come to the same place."""
        self.any(False)

    def own(self, rows: Tensor) -> Tensor:
        """Rows, on the axis before the last, that this process computes."""
        return rows.tensor_split(self.n_ranks, dim=-2)[self.rank]

    def gathered(self, own: Tensor, n_rows: int) -> Tensor:
        """Inverse of `own`: the rows of all processes, of which there are `n_rows`."""
        n_most = -(-n_rows // self.n_ranks)
        sent = own.new_zeros((*own.shape[:-2], n_most, own.shape[-1]))
        sent[..., : own.shape[-2], :] = own
        received = [torch.empty_like(sent) for _ in range(self.n_ranks)]
        with self._others():
            distributed.all_gather(received, sent, group=self.group)
        n_short = n_rows % self.n_ranks or self.n_ranks
        return torch.cat(
            [
                rows if rank < n_short else rows[..., : n_most - 1, :]
                for rank, rows in enumerate(received)
            ],
            dim=-2,
        )

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their sums over the processes, all in one message."""
        sums = torch.cat([tensor.flatten() for tensor in tensors])
        with self._others():
            distributed.all_reduce(sums, group=self.group)
        sizes = [tensor.numel() for tensor in tensors]
        for tensor, total in zip(tensors, sums.split(sizes), strict=True):
            tensor.copy_(total.view_as(tensor))

    def any(self, is_true: bool) -> bool:
        """Return whether something is true in any of the processes."""
        flag = torch.tensor([int(is_true)], device=self.device)
        with self._others():
            distributed.all_reduce(flag, group=self.group)
        return bool(flag)

    def first_different(
        self, parts: Mapping[str, Sequence[Tensor | str]]
    ) -> str | None:
        """First part that is not the same in all processes, bit for bit; or None.

        Parameters
        ----------
        parts : mapping of str to sequence of Tensor or str
            At most three.

        Returns
        -------
        name : str or None
        """
        numbers = [int.from_bytes(_digest_of(part), "big") for part in parts.values()]
        numbers += [0] * (_PARTS - len(numbers))
        own = torch.tensor([numbers, [-each for each in numbers]], device=self.device)
        # The least of the numbers, and of their negatives.
        least = own.clone()
        with self._others():
            minimum = distributed.ReduceOp.MIN
            distributed.all_reduce(least, op=minimum, group=self.group)
        are_same = (least == own).all(dim=0).tolist()
        return next((name for i, name in enumerate(parts) if not are_same[i]), None)

    @contextmanager
    def _others(self) -> Iterator[None]:
        """Turn an error about other processes into one that says what to do."""
        try:
            yield
        except BaseException as error:
            # As long as a frame of torch holds the group, it is open.
            traceback.clear_frames(error.__traceback__)
            if not isinstance(error, RuntimeError):
                raise
            raise ProcessGroupError(
                f"Process {self.rank} of {self.n_ranks} lost the others during fit: "
                "one has ended, raised an error, or did not answer in time. Its own "
                "output says why. No model is fitted; start all processes again."
            ) from error


def _digest_of(part: Sequence[Tensor | str]) -> bytes:
    """Checksum of seven bytes, the most that an integer of torch holds as a number."""
    digest = hashlib.blake2b(digest_size=7)
    for each in part:
        if isinstance(each, str):
            digest.update(each.encode())
        else:
            digest.update(each.detach().cpu().contiguous().numpy().tobytes())
    return digest.digest()
