import pytest
from torch.utils._python_dispatch import TorchDispatchMode


class _Count(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.n = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.n += 1
        return function(*args, **(kwargs or {}))


@pytest.fixture
def count():
    """Number of torch's operations in a call, what is done once left out."""

    def n_operations(task):
        # What is copied to the device once.
        task()
        with _Count() as counted:
            task()
        return counted.n

    return n_operations
