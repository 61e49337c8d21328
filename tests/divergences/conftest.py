import pytest
import torch

from skvae.divergences import Draws


@pytest.fixture
def draw():
    """Build standard normal tensors in float64."""

    def draw(*shape, seed=0):
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    return draw


@pytest.fixture
def make_draws(draw):
    """Build draws from a posterior, by default one for each of some equal rows."""

    def make(posterior, *, n_draws=1, weight=None, noise=None, n_rows=None, **more):
        _, n_batch, n_components = posterior.mean.shape
        if weight is None:
            weight = torch.full((n_batch,), 1.0 / n_batch, dtype=posterior.mean.dtype)
        if noise is None:
            noise = draw(n_draws, n_batch, n_components, seed=1)
        z = posterior.sample(noise[:, None]).transpose(0, 1)
        n_rows = n_batch if n_rows is None else n_rows
        return Draws(posterior, z, noise, posterior.kl(), weight, n_rows, **more)

    return make
