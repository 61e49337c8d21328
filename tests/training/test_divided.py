"""One fit by two processes, as torchrun starts them."""

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import distributed

from skvae.exceptions import ProcessGroupError
from skvae.training._ranks import Ranks

from . import group

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.skipif(
        not (distributed.is_available() and distributed.is_gloo_available()),
        reason="needs a build of torch with gloo",
    ),
    pytest.mark.xdist_group("process group"),
]


class Started:
    """Processes of a group, started as torchrun starts them."""

    def __init__(self, job, folder):
        store = folder / "store"
        self.outputs = [folder / f"{rank}.pickle" for rank in range(2)]
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.training.group", job, store, output],
                cwd=ROOT,
                env={**os.environ, "RANK": str(rank), "WORLD_SIZE": "2"},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank, output in enumerate(self.outputs)
        ]

    def found(self):
        """Result of each process."""
        for process in self.processes:
            _, errors = process.communicate(timeout=300)
            assert process.returncode == 0, errors
        return [pickle.loads(output.read_bytes()) for output in self.outputs]

    def stop(self):
        for process in self.processes:
            process.kill()
            process.communicate()


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """What each of two processes fits, in all cases."""
    group_of_two = Started("fit", tmp_path_factory.mktemp("group"))
    try:
        yield group_of_two.found()
    finally:
        group_of_two.stop()


@pytest.mark.parametrize("name", group.CASES)
def test_two_processes_fit_the_model_of_one(name, fitted, one_thread):
    expected = group.fitted(name)
    one, other = (found[name] for found in fitted)
    assert one.keys() == expected.keys()
    for key, value in expected.items():
        assert_array_equal(one[key], other[key], err_msg=key)
        assert_allclose(one[key], value, rtol=1e-5, atol=1e-5, err_msg=key)


def test_networks_compute_half_of_the_rows_each(fitted):
    for rank, found in enumerate(fitted):
        # Of 51.
        assert found["rows"] == {26 - rank}


def test_path_of_betas_is_that_of_one_process(fitted, one_thread):
    expected = group.path()
    for found in fitted:
        assert_allclose(found["path"], expected, rtol=1e-5)


# One that is stopped for good does not answer, as where a machine loses its power.
@pytest.mark.parametrize(
    "how", ["SIGKILL", pytest.param("SIGSTOP", marks=pytest.mark.slow)]
)
@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs signals of POSIX")
def test_process_that_is_lost_ends_the_other_with_an_error(how, tmp_path):
    group_of_two = Started("long", tmp_path)
    first, second = group_of_two.processes
    try:
        assert second.stdout.readline() == "epoch 3\n"
        first.send_signal(getattr(signal, how))
        _, errors = second.communicate(timeout=30)
    finally:
        group_of_two.stop()
    assert second.returncode == 1
    message = (
        "ProcessGroupError: Process 1 of 2 lost the others during fit: one has ended, "
        "raised an error, or did not answer in time. Its own output says why. No model "
        "is fitted; start all processes again."
    )
    assert message in errors


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("other table", "alike: a value, a name or a weight of X differs"),
        ("other units", "alike: a value, a name or a weight of X differs"),
        ("other levels", "a value, a name or a weight of X differs."),
        ("other counts", "Each must fit the same table with the same settings"),
        ("other weights", "alike: a value, a name or a weight of X differs"),
        ("other seed", "The processes of the group do not start alike: a setting"),
        ("other draws", "alike: a row, the seed or the epoch differs."),
        ("other prior", "The processes of the group do not start alike: a setting"),
        ("other threshold", "The processes of the group do not start alike: a setting"),
        ("other epoch", "and, with a Checkpoint, from the same epoch."),
        ("small batch", "A batch has 1 rows, and the process group 2 processes"),
        ("apart", "The processes of the group came apart during fit"),
        ("two threads", "Two threads of a process fit a model at the same time"),
    ],
)
def test_processes_that_differ_are_told_so(case, message, fitted):
    for found in fitted:
        error, attributes = found["errors"][case]
        assert message in error
        assert attributes == []


def test_fit_within_that_of_one_process_is_an_error_in_both(fitted):
    (error, _), (other, _) = (found["errors"]["fit within"] for found in fitted)
    assert "The processes of the group do not start alike: a setting differs" in error
    assert "The processes of the group came apart during fit" in other


@pytest.mark.parametrize(
    ("case", "own"),
    [
        ("data", "ValueError: Input X contains infinity"),
        ("callback", "RuntimeError: of a callback"),
        ("interruption", "KeyboardInterrupt: of the user"),
        ("end", "RuntimeError: after the training"),
    ],
)
def test_error_of_one_process_ends_the_fit_of_the_other(case, own, fitted):
    (error, _), (other, _) = left = [found["errors"][case] for found in fitted]
    assert error.startswith(own)
    assert other.startswith("ProcessGroupError: Process 1 of 2 lost the others")
    assert [attributes for _, attributes in left] == [[], []]


def test_processes_go_on_from_a_checkpoint_that_they_share(fitted):
    for found in fitted:
        assert_array_equal(found["in two parts"], found["default"]["values"])


def test_callback_of_one_process_stops_both(fitted):
    assert [found["stopped"] for found in fitted] == [2, 2]


@pytest.fixture
def group_of_one(tmp_path):
    store = distributed.FileStore(str(tmp_path / "store"), 1)
    distributed.init_process_group("cpu:gloo", store=store, rank=0, world_size=1)
    yield
    if distributed.is_initialized():
        distributed.destroy_process_group()


def test_group_of_one_process_changes_nothing(group_of_one, one_thread):
    found = group.fitted("default")["values"]
    distributed.destroy_process_group()
    assert_array_equal(found, group.fitted("default")["values"])


def test_group_names_a_device_that_it_cannot_send_from(group_of_one):
    ranks = Ranks()
    ranks.check_device(torch.device("cpu"))
    message = (
        r"The process group \(cpu:gloo\) sends no tensors of device='cuda:1'. Train on "
        "a device that it names, or give init_process_group a backend for this one."
    )
    with pytest.raises(ProcessGroupError, match=message):
        ranks.check_device(torch.device("cuda:1"))
