"""What cannot be done is refused with a reason, and leaves everything as it was."""

import copy

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.exceptions import NotFittedError

from skvae import BalancedVAE
from skvae.balance import (
    POLICIES,
    Constant,
    Cosine,
    Cyclical,
    LearnedVariance,
    Linear,
    Ramp,
    RunningAverage,
    Sigmoid,
)
from skvae.divergences import (
    DIP,
    DIVERGENCES,
    MMD,
    ImportanceWeighted,
    TotalCorrelation,
)
from skvae.learning_rates import LEARNING_RATES
from skvae.likelihoods import LIKELIHOODS, Bernoulli, Gaussian
from skvae.networks import ACTIVATIONS, MLP
from skvae.priors import PRIORS

# The tolerance says that two epochs are meant to be enough.
SMALL = {"hidden_layer_sizes": (4,), "max_iter": 2, "tol": 1e3, "random_state": 0}

X = np.random.RandomState(0).standard_normal((20, 4))
BINARY = (X > 0.0).astype(float)

ROW_METHODS = [
    "transform",
    "score",
    "score_samples",
    "score_cells",
    "rate_distortion",
    "log_likelihood",
]


@pytest.fixture(scope="module")
def fitted_once():
    return BalancedVAE(**SMALL).fit(X)


@pytest.fixture
def fitted(fitted_once):
    return copy.deepcopy(fitted_once)


def assert_same_attributes(estimator, before):
    after = vars(estimator)
    assert list(after) == list(before)
    changed = [name for name in before if after[name] is not before[name]]
    assert not changed


def assert_fit_refuses(
    fitted, error, match, *, data=X, weight=None, method="fit", **params
):
    """Fitting raises, both at first and again, and nothing is left of the attempt."""
    unfitted = BalancedVAE(**{**SMALL, **params})
    before = dict(vars(unfitted))
    with pytest.raises(error, match=match):
        getattr(unfitted, method)(data, sample_weight=weight)
    assert_same_attributes(unfitted, before)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        unfitted.transform(X)

    Z, history = fitted.transform(X), copy.deepcopy(fitted.history_)
    fitted.set_params(**params)
    before = dict(vars(fitted))
    with pytest.raises(error, match=match):
        getattr(fitted, method)(data, sample_weight=weight)
    assert_same_attributes(fitted, before)
    # The old parameters, as the device is looked up at each call.
    fitted.set_params(**BalancedVAE(**SMALL).get_params(deep=False))
    assert_array_equal(fitted.transform(X), Z)
    for name, entries in history.items():
        assert_array_equal(fitted.history_[name], entries, err_msg=name)


def with_value(value, table=X):
    table = table.copy()
    table[3, 1] = value
    return table


TABLES = {
    "infinity": (with_value(np.inf), ValueError, "Input X contains infinity"),
    "minus infinity": (with_value(-np.inf), ValueError, "Input X contains infinity"),
    "a string among numbers": (
        np.array([[1, 2], [3, "x"]], dtype=object),
        ValueError,
        "Column 1 holds numbers and text, such as 'x'",
    ),
    "complex": (X + 1j, ValueError, "Complex data not supported"),
    "no rows": (X[:0], ValueError, r"0 sample\(s\) \(shape=\(0, 4\)\).*minimum of 1"),
    "no columns": (X[:, :0], ValueError, r"0 feature\(s\) .*minimum of 1"),
    "1-D": (X[0], ValueError, "Expected 2D array, got 1D array instead"),
    "3-D": (X[:, None], ValueError, "Found array with dim 3"),
    "scalar": (3.0, ValueError, "Expected 2D array, got scalar array instead"),
    "None": (None, TypeError, "X is a NoneType, which is no table. Pass an array"),
    "sparse matrix": (sparse.csr_matrix(X), TypeError, "Sparse data was passed"),
    "sparse array": (sparse.csr_array(X), TypeError, "Sparse data was passed"),
}


@pytest.mark.parametrize("name", TABLES)
def test_table(fitted, name):
    data, error, match = TABLES[name]
    assert_fit_refuses(fitted, error, match, data=data)


@pytest.mark.parametrize("name", ["infinity", "1-D", "sparse array"])
def test_table_of_partial_fit(fitted, name):
    data, error, match = TABLES[name]
    assert_fit_refuses(fitted, error, match, data=data, method="partial_fit")


@pytest.mark.parametrize("method", ROW_METHODS)
@pytest.mark.parametrize("name", ["infinity", "1-D", "no rows", "sparse array"])
def test_table_of_a_fitted_model(fitted, method, name):
    data, error, match = TABLES[name]
    before = dict(vars(fitted))
    with pytest.raises(error, match=match):
        getattr(fitted, method)(data)
    assert_same_attributes(fitted, before)


WEIGHTS = {
    "one negative": (np.r_[-1.0, np.ones(19)], "Negative values .*`sample_weight`"),
    "all negative": (-np.ones(20), "Negative values .*`sample_weight`"),
    # scikit-learn has a message of its own from 1.9 on.
    "all zero": (np.zeros(20), "at least one (row|non-zero)"),
    "too short": (np.ones(5), r"sample_weight.shape == \(5,\), expected \(20,\)"),
    "too long": (np.ones(21), r"sample_weight.shape == \(21,\), expected \(20,\)"),
    "2-D": (np.ones((20, 2)), "must be 1D array or scalar"),
    "NaN": (np.r_[np.nan, np.ones(19)], "sample_weight contains NaN"),
    "infinity": (np.r_[np.inf, np.ones(19)], "sample_weight contains infinity"),
    "strings": (["a"] * 20, "could not convert string to float"),
}


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("name", WEIGHTS)
def test_weights(fitted, name, method):
    weight, match = WEIGHTS[name]
    assert_fit_refuses(fitted, ValueError, match, weight=weight, method=method)


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_of_score(fitted, name):
    weight, match = WEIGHTS[name]
    with pytest.raises(ValueError, match=match):
        fitted.score(X, sample_weight=weight)


@pytest.mark.parametrize("method", [*ROW_METHODS, "partial_fit"])
@pytest.mark.parametrize("n_features", [3, 5])
def test_number_of_columns(fitted, method, n_features):
    before = dict(vars(fitted))
    match = f"X has {n_features} features, but BalancedVAE is expecting 4 features"
    with pytest.raises(ValueError, match=match):
        getattr(fitted, method)(np.ones((6, n_features)))
    assert_same_attributes(fitted, before)


def test_number_of_columns_of_a_warm_start(fitted):
    fitted.set_params(warm_start=True)
    before = dict(vars(fitted))
    with pytest.raises(ValueError, match=r"X has 3 features, but .* expecting 4"):
        fitted.fit(X[:, :3])
    assert_same_attributes(fitted, before)


def test_shapes_of_a_warm_start(fitted):
    fitted.set_params(warm_start=True, hidden_layer_sizes=(5,))
    before = dict(vars(fitted))
    with pytest.raises(ValueError, match=r"warm_start=True .*hidden_layer_sizes"):
        fitted.fit(X)
    assert_same_attributes(fitted, before)


@pytest.mark.parametrize("n_columns", [1, 3])
def test_number_of_latents(fitted, n_columns):
    match = f"Z has {n_columns} columns, but BalancedVAE is expecting 2 latents"
    with pytest.raises(ValueError, match=match):
        fitted.inverse_transform(np.ones((6, n_columns)))


@pytest.mark.parametrize(
    ("Z", "match"),
    [
        (np.full((3, 2), np.nan), "Input Z contains NaN"),
        (np.full((3, 2), np.inf), "Input Z contains infinity"),
        (np.ones(2), "Expected 2D array, got 1D array instead"),
    ],
)
def test_latents(fitted, Z, match):
    with pytest.raises(ValueError, match=match):
        fitted.inverse_transform(Z)


@pytest.mark.parametrize("columns", [list("bacd"), list("abce")])
def test_names_of_columns(columns):
    pd = pytest.importorskip("pandas")
    vae = BalancedVAE(**SMALL).fit(pd.DataFrame(X, columns=list("abcd")))
    with pytest.raises(ValueError, match="feature names should match"):
        vae.transform(pd.DataFrame(X, columns=columns))


@pytest.mark.parametrize("value", [0.5, 2.0, -1.0])
def test_outside_the_support(fitted, value):
    match = rf"Bernoulli .* but column 1 holds {value:g}\. Use likelihood='conti"
    assert_fit_refuses(
        fitted,
        ValueError,
        match,
        data=with_value(value, BINARY),
        likelihood="bernoulli",
        balance="constant",
    )


@pytest.mark.parametrize("method", [*ROW_METHODS, "partial_fit"])
def test_outside_the_support_of_a_fitted_model(method):
    vae = BalancedVAE(likelihood="bernoulli", balance="constant", **SMALL).fit(BINARY)
    before = dict(vars(vae))
    with pytest.raises(ValueError, match=r"column 1 holds 0\.25"):
        getattr(vae, method)(with_value(0.25, BINARY))
    assert_same_attributes(vae, before)


def test_outside_the_support_names_the_column():
    pd = pytest.importorskip("pandas")
    data = pd.DataFrame(with_value(0.5, BINARY), columns=["age", "height", "c", "d"])
    vae = BalancedVAE(likelihood="bernoulli", balance="constant", **SMALL)
    with pytest.raises(ValueError, match=r"but column 'height' holds 0\.5"):
        vae.fit(data)
    vae.fit(data > 0.0)
    with pytest.raises(ValueError, match=r"but column 'height' holds 0\.5"):
        vae.transform(data)


KNOWN = {
    "balance": tuple(POLICIES),
    "likelihood": ("auto", *LIKELIHOODS),
    "divergence": tuple(DIVERGENCES),
    "prior": tuple(PRIORS),
    "activation": ACTIVATIONS,
    "learning_rate": tuple(LEARNING_RATES),
    "precision": ("float32", "float64"),
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[(name, "quantum") for name in KNOWN],
        # Parts that are planned but not built.
        ("likelihood", "weibull"),
        ("divergence", "renyi"),
        ("prior", "vamp"),
        # A class is not yet a setting.
        ("balance", Linear),
        ("likelihood", Gaussian),
        ("activation", "SiLU"),
        ("precision", "float16"),
    ],
)
def test_unknown_part(fitted, name, value):
    vae = BalancedVAE(**{**SMALL, name: value})
    with pytest.raises(ValueError, match=f"The '{name}' parameter of Balanc") as caught:
        vae.fit(X)
    message = str(caught.value)
    for known in KNOWN[name]:
        assert repr(known) in message
    assert f"Got {value!r} instead" in message
    assert_fit_refuses(fitted, ValueError, f"The '{name}' parameter", **{name: value})


PARAMETERS = [
    ("n_components", 0, r"an int in the range \[1, inf\) or a str among {'auto'}"),
    ("n_components", 2.5, r"an int in the range \[1, inf\)"),
    ("n_components", "two", r"an int in the range \[1, inf\) or a str among {'auto'}"),
    ("beta", -1, r"a float in the range \[0.0, inf\)\. Got -1"),
    ("beta", np.inf, r"a float in the range \[0.0, inf\)\. Got inf"),
    ("beta", np.nan, r"a float in the range \[0.0, inf\)\. Got nan"),
    ("beta", "1", r"a float in the range \[0.0, inf\)\. Got '1'"),
    ("hidden_layer_sizes", "abc", "an array-like. Got 'abc'"),
    ("hidden_layer_sizes", 4, "an array-like. Got 4"),
    ("network", "mlp", "None or an instance of 'skvae.networks"),
    ("handle_unknown", "ignore", r"a str among {.*'missing'"),
    ("standardize", "yes", r"'bool'.* or a str among {.*'quantile'"),
    ("batch_size", 0, r"an int in the range \[1, inf\) or a str among {'auto'}"),
    ("max_iter", 0, r"an int in the range \[1, inf\)\. Got 0"),
    ("max_iter", 2.5, r"an int in the range \[1, inf\)\. Got 2.5"),
    ("learning_rate_init", 0, r"a float in the range \(0.0, inf\)"),
    ("learning_rate_init", np.inf, r"a float in the range \(0.0, inf\)"),
    ("alpha", -1, r"a float in the range \[0.0, inf\)"),
    ("early_stopping", "yes", "a str among {'auto'}"),
    ("validation_fraction", 0.0, r"a float in the range \(0.0, 1.0\)"),
    ("validation_fraction", 1.0, r"a float in the range \(0.0, 1.0\)"),
    ("n_iter_no_change", 0, r"an int in the range \[1, inf\)"),
    ("tol", -1.0, r"a float in the range \[0.0, inf\)"),
    ("warm_start", "yes", "an instance of 'bool'"),
    ("device", 0, "an instance of 'str'"),
    ("random_state", "a", "'numpy.random.mtrand.RandomState' or None"),
    ("verbose", -1, r"an int in the range \[0, inf\)"),
]


@pytest.mark.parametrize(("name", "value", "match"), PARAMETERS)
def test_parameter(fitted, name, value, match):
    match = f"The '{name}' parameter of BalancedVAE must be .*{match}"
    assert_fit_refuses(fitted, ValueError, match, **{name: value})


def test_every_parameter_is_refused_some_value():
    refused = {*KNOWN, *(name for name, _, _ in PARAMETERS)}
    assert refused == set(BalancedVAE().get_params(deep=False))


WIDTHS = "hidden_layer_sizes must hold positive integers"
VARIANCE = "variance of Gaussian must be a number above 0 or one for each of the 4"


@pytest.mark.parametrize(
    ("params", "match"),
    [
        (
            {"balance": Linear(warmup=2)},
            r"The 'warmup' parameter of Linear must be a float in the range \(0.0, 1.0",
        ),
        (
            {"balance": Linear(warmup=0)},
            r"The 'warmup' parameter of Linear must be a float in the range \(0.0, 1.0",
        ),
        (
            {"balance": Linear(start=-1)},
            r"The 'start' parameter of Linear must be a float in the range \[0.0, inf",
        ),
        (
            {"balance": Linear(policy="learned_variance")},
            "The 'policy' parameter of Linear must be an instance of "
            r"'skvae.balance._base.BalancePolicy' or None. Got 'learned_variance'",
        ),
        (
            {"balance": Sigmoid(policy=LearnedVariance)},
            "The 'policy' parameter of Sigmoid must be an instance of 'skvae.balance",
        ),
        (
            {"balance": Ramp(None)},
            "The 'policy' parameter of Ramp must be an instance of 'skvae.balance",
        ),
        (
            {"balance": Ramp(Constant(), start=np.nan)},
            r"The 'start' parameter of Ramp must be a float in the range \(-inf, inf",
        ),
        (
            {"balance": Ramp(Constant(), warmup=0.0)},
            r"The 'warmup' parameter of Ramp must be a float in the range \(0.0, 1.0",
        ),
        (
            {"balance": Sigmoid(warmup=0.0)},
            r"'warmup' parameter of Sigmoid must be a float in the range \(0.0, 1.0",
        ),
        (
            {"balance": Cosine(warmup=1.5)},
            r"The 'warmup' parameter of Cosine must be a float in the range \(0.0, 1.0",
        ),
        (
            {"balance": Cyclical(n_cycles=0)},
            r"'n_cycles' parameter of Cyclical must be an int in the range \[1, inf",
        ),
        (
            {"balance": Cyclical(ratio=0.0)},
            r"'ratio' parameter of Cyclical must be a float in the range \(0.0, 1.0",
        ),
        (
            {"balance": Cyclical(shape="square")},
            "The 'shape' parameter of Cyclical must be a str among",
        ),
        (
            {"balance": Cyclical(warmup=2)},
            r"'warmup' parameter of Cyclical must be a float in the range \(0.0, 1.0",
        ),
        # Settings of a policy inside are checked too.
        (
            {"balance": Linear(policy=Cosine(policy=RunningAverage(decay=1)))},
            r"'decay' parameter of RunningAverage must be a float in the range \[0.0,",
        ),
        (
            {"balance": RunningAverage(decay=1)},
            r"'decay' parameter of RunningAverage must be a float in the range \[0.0,",
        ),
        (
            {"balance": LearnedVariance(scope="row")},
            "The 'scope' parameter of LearnedVariance must be a str among",
        ),
        (
            {"likelihood": Gaussian(variance=-1)},
            r"The 'variance' parameter of Gaussian must be a float in the range \(0.0",
        ),
        ({"likelihood": Gaussian(variance=[1, 2, 3])}, rf"{VARIANCE} .*\[1, 2, 3\]"),
        ({"likelihood": Gaussian(variance=[1, 2, -3, 4])}, f"{VARIANCE} .*-3"),
        ({"likelihood": Gaussian(variance=[1, 2, np.nan, 4])}, f"{VARIANCE} .*nan"),
        ({"likelihood": Gaussian(variance=[1, 2, np.inf, 4])}, f"{VARIANCE} .*inf"),
        ({"likelihood": Gaussian(variance=[[1, 2], [3, 4]])}, VARIANCE),
        (
            {"likelihood": Gaussian(floor=0)},
            r"The 'floor' parameter of Gaussian must be a float in the range \(0.0",
        ),
        (
            {"likelihood": Bernoulli(threshold="half")},
            "The 'threshold' parameter of Bernoulli must be",
        ),
        ({"network": MLP((0,))}, rf"{WIDTHS}.* got \(0,\)"),
        (
            {"network": MLP((4,), decoder_layer_sizes=(4, 0))},
            r"decoder_layer_sizes must hold positive integers.* got \(4, 0\)",
        ),
        (
            {"network": MLP((4,), decoder_layer_sizes=4)},
            "The 'decoder_layer_sizes' parameter of MLP must be an array-like",
        ),
        (
            {"network": MLP("abc")},
            "The 'hidden_layer_sizes' parameter of MLP must be an array-like",
        ),
        (
            {"network": MLP((4,), "swish")},
            "The 'activation' parameter of MLP must be a str among",
        ),
        (
            {"network": MLP((4,), posterior="banded")},
            "The 'posterior' parameter of MLP must be a str among",
        ),
        *[
            ({"network": MLP((4,), **{name: "yes"})}, f"The '{name}' parameter of MLP")
            for name in ("linear_path", "residual", "layer_norm")
        ],
        (
            {"divergence": DIP(kind="III")},
            "The 'kind' parameter of DIP must be a str among",
        ),
        (
            {"divergence": MMD(alpha=1.5)},
            r"The 'alpha' parameter of MMD must be a float in the range \[0.0, 1.0\]",
        ),
        (
            {"divergence": MMD(lambda_=0.5)},
            r"The 'lambda_' parameter of MMD must be a float in the range \[1.0, inf",
        ),
        (
            {"divergence": ImportanceWeighted(0)},
            r"'n_samples' parameter of ImportanceWeighted must be an int in .*\[1, inf",
        ),
        (
            {"divergence": TotalCorrelation(total_correlation=-1)},
            "The 'total_correlation' parameter of TotalCorrelation must be a float",
        ),
        (
            {"divergence": TotalCorrelation(sampling="exact")},
            "The 'sampling' parameter of TotalCorrelation must be a str among",
        ),
        ({"hidden_layer_sizes": (4.5,)}, rf"{WIDTHS}.* got \(4.5,\)"),
        ({"hidden_layer_sizes": (0,)}, rf"{WIDTHS}.* got \(0,\)"),
        ({"hidden_layer_sizes": (4, -1)}, rf"{WIDTHS}.* got \(4, -1\)"),
        ({"hidden_layer_sizes": ("4",)}, rf"{WIDTHS}.* got \('4',\)"),
    ],
)
def test_nested_setting(fitted, params, match):
    if "likelihood" in params:
        params = {"balance": "constant", **params}
    assert_fit_refuses(fitted, ValueError, match, **params)


def has_device(name):
    import torch

    return int(name.removeprefix("cuda:")) < torch.cuda.device_count()


# The meta device takes tensors, but they hold no numbers.
@pytest.mark.parametrize("device", ["cuda:7", "quantum", "", "cuda:-1", "meta", "hpu"])
def test_device_that_is_not_there(fitted, device):
    if device == "cuda:7" and has_device(device):
        pytest.skip("this machine has eight accelerators")
    match = f"device='{device}' is not available here: .*Use device='cpu'"
    assert_fit_refuses(fitted, ValueError, match, device=device)


def test_device_that_is_no_longer_there(fitted):
    # As after loading on another machine what was fitted on one with an accelerator.
    expected = {method: getattr(fitted, method)(X) for method in ROW_METHODS}
    fitted.set_params(device="quantum")
    for method in ROW_METHODS:
        assert_array_equal(getattr(fitted, method)(X), expected[method])


FREE = "has none that is free to move. Use balance='constant', or likelihood='gaussian'"


@pytest.mark.parametrize(
    "policy",
    # "auto" adapts; what the user names does not.
    ["learned_variance", "optimal_variance", "running_average"],
)
@pytest.mark.parametrize(
    ("likelihood", "shown"),
    [
        ("bernoulli", "likelihood='bernoulli'"),
        (Bernoulli(), r"likelihood=Bernoulli\(\)"),
        ("poisson", "likelihood='poisson'"),
        (Gaussian(variance=0.5), r"likelihood=Gaussian\(variance=0.5\)"),
    ],
)
def test_policy_without_a_variance_to_move(fitted, policy, likelihood, shown):
    match = f"balance='{policy}' moves the variance of the decoder, but {shown} {FREE}"
    assert_fit_refuses(
        fitted, ValueError, match, data=BINARY, balance=policy, likelihood=likelihood
    )


def test_remedies_of_a_policy_without_a_variance_work():
    BalancedVAE(balance="constant", likelihood="bernoulli", **SMALL).fit(BINARY)
    BalancedVAE(balance="constant", likelihood=Gaussian(variance=0.5), **SMALL).fit(X)
    BalancedVAE(balance="learned_variance", likelihood="gaussian", **SMALL).fit(X)


COMPARES_ROWS = [name for name, cls in DIVERGENCES.items() if cls().min_rows > 1]


@pytest.mark.parametrize("divergence", COMPARES_ROWS)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_divergence_that_compares_rows_has_none_to_compare(fitted, divergence, method):
    match = (
        f"divergence='{divergence}' compares the rows of a batch, and needs at least 2 "
        r"of them, but a batch has 1 \(distinct rows: \d+, batch_size=.*\)\. "
        "Use a larger batch_size, more rows, or divergence='kl'"
    )
    for params in (
        {"batch_size": 1},
        {"data": np.tile(X[:1], (9, 1)), "early_stopping": False},
    ):
        vae = BalancedVAE(**{**SMALL, "divergence": divergence})
        data = params.pop("data", X)
        with pytest.raises(ValueError, match=match):
            getattr(vae.set_params(**params), method)(data)
    assert_fit_refuses(fitted, ValueError, match, divergence=divergence, batch_size=1)


def test_remedies_of_a_divergence_that_compares_rows_work():
    for divergence in COMPARES_ROWS:
        BalancedVAE(**{**SMALL, "divergence": divergence, "batch_size": 2}).fit(X)
    BalancedVAE(**{**SMALL, "batch_size": 1}).fit(X)


@pytest.mark.parametrize("divergence", ["importance_weighted", ImportanceWeighted(2)])
def test_importance_weighted_bound_of_a_beta_above_1(fitted, divergence):
    match = (
        "divergence=.* bounds the log-likelihood by several draws, and with "
        r"beta=1\.5, above 1, would reward a large distortion\. "
        "Use a beta of at most 1, or divergence='kl'"
    )
    assert_fit_refuses(fitted, ValueError, match, divergence=divergence, beta=1.5)


@pytest.mark.parametrize(
    ("balance", "reason"),
    [
        ("normalized", "multiplies beta by n_features / n_components, to above 1"),
        ("optimal_variance", "sets the decoder's variance to the squared error"),
        (RunningAverage(), "sets the decoder's variance to the squared error"),
    ],
)
def test_importance_weighted_bound_and_a_policy(fitted, balance, reason):
    match = (
        rf"divergence='importance_weighted' cannot be weighed by balance=.*, which "
        rf"{reason}.* Use divergence='kl', or a balance that weighs any divergence, "
        r"such as 'constant'\."
    )
    assert_fit_refuses(
        fitted, ValueError, match, divergence="importance_weighted", balance=balance
    )


def test_remedies_of_the_importance_weighted_bound_work():
    params = {**SMALL, "divergence": "importance_weighted"}
    for balance in ("constant", "learned_variance"):
        BalancedVAE(**{**params, "balance": balance}).fit(X)
        BalancedVAE(**{**params, "balance": balance, "beta": 0.5}).fit(X)
    # With one draw it is the elbo, which has a minimum for every beta.
    one = {**params, "divergence": ImportanceWeighted(1), "beta": 4.0}
    BalancedVAE(**one).fit(X)
    BalancedVAE(**{**one, "balance": "optimal_variance"}).fit(X)


@pytest.mark.parametrize(
    ("data", "weight"),
    [
        (X[:1], None),
        (np.tile(X[:1], (9, 1)), None),
        (X, np.eye(20)[4]),
    ],
    ids=["one row", "one distinct row", "one row of positive weight"],
)
def test_early_stopping_without_a_row_to_hold_out(fitted, data, weight):
    match = "early_stopping=True needs at least 2 distinct rows .*early_stopping=False"
    assert_fit_refuses(
        fitted, ValueError, match, data=data, weight=weight, early_stopping=True
    )


@pytest.mark.parametrize("n", [0, -1, 2.5, "3", None])
def test_number_of_draws(fitted, n):
    with pytest.raises(ValueError, match=f"n_samples must be an integer .* got {n!r}"):
        fitted.sample(n)
    match = f"n_importance_samples must be an integer of at least 1, got {n!r}"
    with pytest.raises(ValueError, match=match):
        fitted.log_likelihood(X, n)


def test_seed_of_sample(fitted):
    with pytest.raises(ValueError, match="'a' cannot be used to seed"):
        fitted.sample(2, random_state="a")


@pytest.mark.parametrize(
    "method", [*ROW_METHODS, "inverse_transform", "sample", "get_feature_names_out"]
)
def test_before_fit(method):
    vae = BalancedVAE()
    before = dict(vars(vae))
    arguments = [] if method in {"sample", "get_feature_names_out"} else [X]
    with pytest.raises(NotFittedError, match="This BalancedVAE instance is not fitted"):
        getattr(vae, method)(*arguments)
    assert_same_attributes(vae, before)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_interrupted_training_leaves_everything_as_it_was(
    fitted, monkeypatch, method, error
):
    from skvae.training._optimizer import Adam

    n_steps, step = [0], Adam.step

    def step_or_interrupt(self, *args):
        n_steps[0] += 1
        # Three batches are an epoch of partial_fit.
        if n_steps[0] % 2 == 0:
            raise error("now")
        step(self, *args)

    monkeypatch.setattr(Adam, "step", step_or_interrupt)
    assert_fit_refuses(fitted, error, "now", method=method, batch_size=8)
    assert n_steps[0] == 4


@pytest.mark.parametrize("early_stopping", [True, False])
def test_diverged_training(fitted, early_stopping):
    params = {"learning_rate_init": 1e30, "early_stopping": early_stopping}
    match = r"Training diverged: .*Lower learning_rate_init \(now 1e\+30\)"
    with np.errstate(all="ignore"):
        assert_fit_refuses(fitted, RuntimeError, match, **params)


def test_error_after_training_leaves_everything_as_it_was(fitted, monkeypatch):
    # The last thing that fit does.
    monkeypatch.setattr(BalancedVAE, "_warn_if_rising", lambda self: 1 / 0)
    assert_fit_refuses(fitted, ZeroDivisionError, "division by zero")
