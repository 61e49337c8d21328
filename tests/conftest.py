import importlib.util
import os
from pathlib import Path

import pytest
from joblib import parallel_config
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data():
    """Folder of real data sets that are too large to ship with the package."""
    folder = Path(os.environ.get("SKVAE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(
            f"needs data sets that do not ship with skvae: {folder} is no folder "
            "(the environment variable SKVAE_DATA; by default ../shared/data)"
        )
    return folder


@pytest.fixture(scope="session", autouse=True)
def _one_torch_thread():
    """Keep the workers of pytest-xdist from competing for the same cores.

    The package itself never sets the thread count; it is the test run that knows
    how many processes share the machine. A count that the environment names stays.
    """
    if importlib.util.find_spec("torch") is None or "OMP_NUM_THREADS" in os.environ:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def one_thread():
    """One thread for every kernel, here and in worker processes.

    Sums are split among threads, so that their number shows in the last digits, and
    workers have fewer of them than the process that starts them.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1), parallel_config("loky", inner_max_num_threads=1):
        yield
    torch.set_num_threads(before)
