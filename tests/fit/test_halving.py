"""Where betas leave a path that is halved."""

import numpy as np
import pytest

from skvae import BalancedVAE
from skvae.fit._fit import Fit
from skvae.fit._halving import rungs_of_betas
from skvae.fit._table import CheckedTable


@pytest.mark.parametrize(
    ("n_betas", "n_kept"), [(20, [7, 3]), (9, [3, 1]), (2, [1, 1]), (1, [1, 1])]
)
def test_a_third_of_the_betas_goes_on(n_betas, n_kept):
    rungs = rungs_of_betas(n_betas, 2)
    assert [rung.n_kept for rung in rungs] == n_kept
    assert {rung.group_size for rung in rungs} == {2}
    assert [rung.fraction for rung in rungs] == [0.05, 0.15]


def test_a_beta_leaves_with_its_candidates():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 2)) @ rng.normal(size=(2, 4))
    X += 0.3 * rng.normal(size=X.shape)
    vae = BalancedVAE(2, hidden_layer_sizes=(4,), max_iter=10, random_state=0)
    fit = Fit.fresh(vae, CheckedTable.of(vae, X, None), [0.5, 1.0, 2.0])
    assert fit.plan.rungs == ()
    halved = fit.halved()
    assert halved.plan.rungs == rungs_of_betas(3, 2)
    whole, outcome = fit.outcome(None), halved.outcome(None)
    assert not whole.has_left.any()
    has_left = outcome.has_left.reshape(3, 2)
    assert has_left.all(axis=1).tolist() == has_left.any(axis=1).tolist()
    assert has_left.any(axis=1).sum() == 2
    for r in np.flatnonzero(~outcome.has_left):
        assert outcome.n_epochs[r] == whole.n_epochs[r]
        assert float(outcome.elbo[r]) == pytest.approx(float(whole.elbo[r]), rel=1e-5)
