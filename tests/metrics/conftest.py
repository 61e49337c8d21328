import numpy as np
import pytest
from sklearn import config_context

from skvae import BalancedVAE


@pytest.fixture(scope="package")
def X():
    """Rows of a linear model with two latents."""
    random = np.random.default_rng(0)
    Z, W = random.normal(size=(60, 2)), random.normal(size=(2, 4))
    return Z @ W + 0.3 * random.normal(size=(60, 4))


@pytest.fixture(scope="package")
def vae():
    """Not fitted; trains in a tenth of a second, and may stop early."""
    return BalancedVAE(
        2,
        balance="constant",
        hidden_layer_sizes=(),
        max_iter=2,
        early_stopping=False,
        tol=1e3,
        random_state=0,
    )


@pytest.fixture(scope="package")
def fitted(vae, X):
    """For tests that only read it."""
    return vae.fit(X)


@pytest.fixture
def routing():
    """Metadata routing switched on."""
    with config_context(enable_metadata_routing=True):
        yield
