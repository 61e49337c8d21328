"""scikit-learn's own checks, without a single excuse."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from skvae import BalancedVAE
from skvae.balance import Linear, RunningAverage
from skvae.likelihoods import Bernoulli

# Small and short: the checks fit each of these some two hundred times. The tolerance
# says that two epochs are meant to be enough.
SMALL = {"hidden_layer_sizes": (4,), "max_iter": 2, "tol": 1e3}

INSTANCES = [
    BalancedVAE(**SMALL),
    BalancedVAE(balance="constant", **SMALL),
    BalancedVAE(balance="normalized", **SMALL),
    BalancedVAE(balance=Linear(warmup=0.5), **SMALL),
    BalancedVAE(balance="optimal_variance", **SMALL),
    BalancedVAE(balance=RunningAverage(scope="feature"), **SMALL),
    BalancedVAE(likelihood=Bernoulli(threshold=0.0), balance="constant", **SMALL),
    BalancedVAE(batch_size=3, **SMALL),
    BalancedVAE(early_stopping=True, validation_fraction=0.2, **SMALL),
    BalancedVAE(3, precision="float64", **SMALL),
]


@parametrize_with_checks(INSTANCES)
def test_scikit_learn_checks(estimator, check):
    check(estimator)
