import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from joblib import parallel_config
from threadpoolctl import threadpool_limits

from skvae.balance import Sizes
from skvae.data._rows import Rows
from skvae.divergences import KL
from skvae.learning_rates import OneCycle
from skvae.likelihoods import LIKELIHOODS
from skvae.linear._model import LinearModel
from skvae.model._calibration import Calibration
from skvae.model._module import Module
from skvae.networks import MLP
from skvae.training import Plan, Task, init, train

ROOT = Path(__file__).resolve().parents[1]

# The same examples in every run, however slow the machine is.
settings.register_profile(
    "skvae", derandomize=True, deadline=None, database=None, max_examples=50
)
settings.load_profile("skvae")


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


@dataclass
class Problem:
    """A small model and its rows."""

    module: Module
    rows: Rows
    held_out: Rows
    dtype: torch.dtype

    def start(self, policy, betas, seed=0):
        """State before the first step."""
        betas = torch.tensor(betas, dtype=self.dtype)
        ones = torch.ones(self.module.n_features, dtype=self.dtype)
        sizes = Sizes(
            n_replicas=len(betas),
            n_features=self.module.n_features,
            n_components=self.module.n_components,
            variance=ones[:1],
            data_variance=ones,
            linear_model=(
                None if self.module.dispersion is None else self.linear_model
            ),
        )
        return init(self.module, policy, sizes, betas, 1e-6 * ones, seed)

    def linear_model(self):
        """The linear model of the same size."""
        x, weight = (part.double().numpy() for part in self.rows[:2])
        return LinearModel.from_rows(x, weight, self.module.n_components)

    def train(self, policy, state, plan, *, validate=False, on_epoch=None):
        """Train from a state, or from the start with betas in place of one."""
        task = self.task(policy, state, validate=validate)
        return train(self.module, policy, task, plan, on_epoch)

    def task(self, policy, state, *, validate=False):
        """What is trained from a state, or from the start with betas."""
        if isinstance(state, list):
            state = self.start(policy, state)
        held_out = self.held_out if validate else None
        calibration = None
        dispersion = self.module.dispersion
        if dispersion is not None and dispersion.is_free:
            mover = policy.variance_policy
            scope = "auto" if mover is None else mover.scope
            calibration = Calibration.of(
                scope, state.floor, state.prior, self.rows, held_out
            )
        return Task(state, self.rows, held_out, calibration)


@pytest.fixture
def make_problem():
    """Build a problem of rows that have two factors and unequal weights."""

    def make(
        likelihood="gaussian",
        hidden=(6,),
        *,
        n_rows=40,
        n_features=5,
        n_components=2,
        dtype=torch.float64,
    ):
        generator = torch.Generator().manual_seed(1)

        def draw(*shape):
            return torch.randn(shape, generator=generator, dtype=torch.float64)

        n_held_out = 16
        x = draw(n_rows + n_held_out, 2) @ draw(2, n_features)
        x = x + 0.5 * draw(*x.shape)
        x = (x - x.mean(dim=0)) / x.std(dim=0, correction=0)
        if isinstance(likelihood, str):
            likelihood = LIKELIHOODS[likelihood]()
        if not likelihood.is_continuous:
            x = (x > 0.0).double()
        weight = torch.rand(len(x), generator=generator, dtype=torch.float64) + 0.5

        def rows(mask):
            share = weight[mask] / weight[mask].sum()
            return Rows(x[mask].to(dtype), share.to(dtype))

        module = Module(MLP(hidden), likelihood, KL(), n_features, n_components)
        return Problem(module, rows(slice(n_rows)), rows(slice(n_rows, None)), dtype)

    return make


@pytest.fixture
def make_plan():
    """Build a plan of five epochs of ten minibatches; all of it can be changed."""

    def make(**changes):
        plan = Plan(
            n_epochs=5,
            n_planned_epochs=5,
            steps_per_epoch=10,
            batch_size=8,
            n_draws=1,
            schedule=OneCycle(),
            learning_rate=0.01,
            weight_decay=0.01,
            patience=None,
            tolerance=0.0,
        )
        return plan._replace(**changes)

    return make
