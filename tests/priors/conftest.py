from dataclasses import dataclass

import numpy as np
import pytest

from skvae.priors import HeldOut


@dataclass
class Drawn:
    """Latents that a test draws itself: `Latents` as a fit hands them out."""

    z: np.ndarray
    n_rows: float
    validation: HeldOut | None = None

    @property
    def n_latents(self):
        return self.z.shape[1]

    def draw(self, n_draws):
        return self.z[np.arange(n_draws) % len(self.z)]

    def held_out(self):
        return self.validation


@pytest.fixture
def make_latents():
    """Build latents of training rows and of held-out ones from one distribution."""

    def make(draw, n_rows=2000, n_held_out=400):
        random = np.random.RandomState(0)
        z = draw(random, n_rows)
        if not n_held_out:
            return Drawn(z, n_rows)
        weight = np.full(n_held_out, 1.0 / n_held_out)
        return Drawn(z, n_rows, HeldOut(draw(random, n_held_out)[None], weight))

    return make


@pytest.fixture
def clusters():
    """Draw from three clusters in two dimensions."""

    def draw(random, n):
        centers = np.array([[-2.0, 0.0], [1.0, 1.5], [1.0, -1.5]])
        return centers[random.randint(3, size=n)] + 0.3 * random.standard_normal((n, 2))

    return draw


@pytest.fixture
def standard():
    """Draw from a standard normal in two dimensions."""

    def draw(random, n):
        return random.standard_normal((n, 2))

    return draw
