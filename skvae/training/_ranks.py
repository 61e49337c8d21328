"""Processes that train one model together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, distributed

from skvae.exceptions import ProcessGroupError


class Ranks:
    """The processes of torch's process group, and this one among them.

    Each of them has the whole table, and computes some of the rows of each batch.

    Raises
    ------
    ProcessGroupError
        By each method, if another process has ended or cannot be reached.
    """

    def __init__(self) -> None:
        self.rank: int = distributed.get_rank()
        self.n_ranks: int = distributed.get_world_size()

    @classmethod
    def of_group(cls) -> Ranks | None:
        """The processes, or None where torch has no group of more than one."""
        has_group = distributed.is_available() and distributed.is_initialized()
        return cls() if has_group and distributed.get_world_size() > 1 else None

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
            distributed.all_gather(received, sent)
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
            distributed.all_reduce(sums)
        sizes = [tensor.numel() for tensor in tensors]
        for tensor, total in zip(tensors, sums.split(sizes), strict=True):
            tensor.copy_(total.view_as(tensor))

    def any(self, is_true: bool, device: torch.device) -> bool:
        """Return whether something is true in any of the processes."""
        flag = torch.tensor([float(is_true)], device=device)
        with self._others():
            distributed.all_reduce(flag)
        return bool(flag)

    def check_same(self, tensors: Sequence[Tensor], others: str, what: str) -> None:
        """Raise an error unless numbers are the same, bit for bit, in all processes.

        Parameters
        ----------
        tensors : sequence of Tensor
            The numbers; on the device of the first they are compared.
        others : str
            Anything else that must be the same.
        what : str
            Sentence of the error: what is not the same, and what to do.
        """
        digest = hashlib.blake2b(others.encode(), digest_size=7)
        for tensor in tensors:
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        number = int.from_bytes(digest.digest(), "big")
        # The least of the numbers, and of their negatives.
        ends = torch.tensor([number, -number], device=tensors[0].device)
        with self._others():
            distributed.all_reduce(ends, op=distributed.ReduceOp.MIN)
        if ends.tolist() != [number, -number]:
            raise ProcessGroupError(what)

    @contextmanager
    def _others(self) -> Iterator[None]:
        """Turn an error about other processes into one that says what to do."""
        try:
            yield
        except RuntimeError as error:
            raise ProcessGroupError(
                f"Process {self.rank} of {self.n_ranks} lost the others during fit: "
                "one has ended, or did not answer in time. Its own output says why. No "
                "model is fitted; start all processes again."
            ) from error
