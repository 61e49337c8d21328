"""Weights of differently reduced losses; the table is balance.md 0.1."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from skvae import BalancedVAE
from skvae.balance import Constant, beta_from_loss, loss_from_beta
from skvae.divergences import KL
from skvae.likelihoods import Bernoulli
from skvae.model._module import Module
from skvae.model._weights import views
from skvae.networks import MLP

# These ask for more weight than latents can bear.
may_collapse = pytest.mark.filterwarnings(
    "ignore::skvae.exceptions.PosteriorCollapseWarning"
)


D, M = 4, 2

# Loss, how it is described, beta at weight b, and by what the loss is larger than
# nats at that beta.
TABLE = [
    ("SSE + b*KL", "squared", "sum", "sum", lambda b: b / 2, 2.0),
    ("SSE/2 + b*KL", "half_squared", "sum", "sum", lambda b: b, 1.0),
    ("SSE/D + b*KL", "squared", "mean", "sum", lambda b: b * D / 2, 2.0 / D),
    ("SSE/D + b*KL/M", "squared", "mean", "mean", lambda b: b * D / (2 * M), 2.0 / D),
    ("SSE/2D + b*KL/M", "half_squared", "mean", "mean", lambda b: b * D / M, 1.0 / D),
    ("BCE summed + b*KL", "cross_entropy", "sum", "sum", lambda b: b, 1.0),
    ("BCE mean + b*KL", "cross_entropy", "mean", "sum", lambda b: b * D, 1.0 / D),
    ("BCE mean + b*KL/M", "cross_entropy", "mean", "mean", lambda b: b * D / M, 1 / D),
]
table = pytest.mark.parametrize(
    ("error", "error_reduction", "kl_reduction", "beta", "factor"),
    [row[1:] for row in TABLE],
    ids=[row[0] for row in TABLE],
)


def described(error, error_reduction, kl_reduction, n_features=D, n_components=M):
    return {
        "n_features": n_features,
        "n_components": n_components,
        "error": error,
        "error_reduction": error_reduction,
        "kl_reduction": kl_reduction,
    }


@table
def test_table_and_back(error, error_reduction, kl_reduction, beta, factor):
    loss = described(error, error_reduction, kl_reduction)
    for weight in (0.0, 0.1, 1.0, 7.0):
        found = beta_from_loss(weight, **loss)
        assert found == pytest.approx(beta(weight), rel=1e-15)
        assert loss_from_beta(found, **loss) == pytest.approx(weight, rel=1e-15)
        forth = beta_from_loss(loss_from_beta(weight, **loss), **loss)
        assert forth == pytest.approx(weight, rel=1e-15)


def test_mean_error_with_summed_kl_is_a_summed_error_with_d_times_the_weight():
    mean = described("squared", "mean", "sum", 30, 5)
    total = described("squared", "sum", "sum", 30, 5)
    assert beta_from_loss(0.3, **mean) == pytest.approx(beta_from_loss(9.0, **total))


def test_defaults_are_the_loss_that_is_written_most():
    assert beta_from_loss(n_features=30, n_components=5) == 15.0
    assert loss_from_beta(15.0, n_features=30, n_components=5) == 1.0


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("error", "huber", r"must be a str among \{.*'squared'.*\}. Got 'huber'"),
        ("error_reduction", "none", r"must be a str among \{.*\}. Got 'none'"),
        ("kl_reduction", None, r"must be a str among \{.*\}. Got None"),
        ("n_features", 0, r"must be an int in the range \[1, inf\). Got 0"),
        ("n_features", 2.5, r"must be an int in the range \[1, inf\). Got 2.5"),
        ("n_components", 0, r"must be an int in the range \[1, inf\). Got 0"),
        ("batch_size", 0, r"must be an int in the range \[1, inf\) or None. Got 0"),
    ],
)
def test_impossible_descriptions(name, value, message):
    loss = {"n_features": D, "n_components": M, name: value}
    for function in (beta_from_loss, loss_from_beta):
        match = f"'{name}' parameter of {function.__name__} {message}"
        with pytest.raises(ValueError, match=match):
            function(**loss)


@pytest.mark.parametrize(
    ("function", "name"), [(beta_from_loss, "weight"), (loss_from_beta, "beta")]
)
@pytest.mark.parametrize("value", [-0.1, np.nan, "1"])
def test_impossible_weights(function, name, value):
    message = rf"'{name}' parameter of {function.__name__} must be a float in the range"
    with pytest.raises(ValueError, match=message):
        function(value, n_features=D, n_components=M)


def written_loss(model, weights, error, error_reduction, kl_reduction, weight):
    """The loss as other people's code writes it."""
    sample = model.sample(weights)
    (output,) = sample.parameters.values()
    cells = {
        "squared": lambda: (output - model.x) ** 2,
        "half_squared": lambda: (output - model.x) ** 2 / 2,
        "cross_entropy": lambda: functional.binary_cross_entropy_with_logits(
            output, model.x.expand_as(output), reduction="none"
        ),
    }[error]()
    kl = sample.posterior.kl()
    kl = kl.sum(dim=-1) if kl_reduction == "sum" else kl.mean(dim=-1)
    cells = cells.sum(dim=-1) if error_reduction == "sum" else cells.mean(dim=-1)
    return cells.mean() + weight * kl.mean()


def binary(model):
    model.module = Module(MLP((6,), "tanh"), Bernoulli(), KL(), D, M)
    model.x = (model.x > 0.0).double()
    return model


@table
def test_gradients_are_proportional(
    error, error_reduction, kl_reduction, beta, factor, tiny_model, gradient
):
    model = binary(tiny_model) if error == "cross_entropy" else tiny_model
    loss = described(error, error_reduction, kl_reduction)
    for weight in (0.1, 1.0, 7.0):
        _, nats, _ = model.step(Constant(), beta_from_loss(weight, **loss))
        weights = model.weights()
        written = gradient(
            written_loss(model, weights, error, error_reduction, kl_reduction, weight),
            weights,
        )
        for name, value in written.items():
            torch.testing.assert_close(
                value, factor * nats[name], rtol=1e-12, atol=1e-14, msg=name
            )


@table
def test_kl_summed_over_the_batch(
    error, error_reduction, kl_reduction, beta, factor, tiny_model, gradient
):
    model = binary(tiny_model) if error == "cross_entropy" else tiny_model
    n_rows = len(model.x)
    loss = described(error, error_reduction, kl_reduction) | {"batch_size": n_rows}
    _, nats, _ = model.step(Constant(), beta_from_loss(0.3, **loss))
    weights = model.weights()
    # `written_loss` takes means over rows of both terms.
    reductions = error, error_reduction, kl_reduction
    written = gradient(
        written_loss(model, weights, *reductions, weight=0.3 * n_rows), weights
    )
    for name, value in written.items():
        torch.testing.assert_close(
            value, factor * nats[name], rtol=1e-12, atol=1e-14, msg=name
        )
    assert beta_from_loss(0.3, **loss) == pytest.approx(n_rows * beta(0.3))
    assert loss_from_beta(beta(0.3), **loss) == pytest.approx(0.3 / n_rows)


def test_the_slip_that_is_written_most(tiny_model, gradient):
    model = tiny_model
    loss = described("squared", "mean", "sum") | {"batch_size": len(model.x)}
    _, nats, _ = model.step(Constant(), beta_from_loss(**loss))
    weights = model.weights()
    sample = model.sample(weights)
    (output,) = sample.parameters.values()
    error = functional.mse_loss(output.squeeze(), model.x)
    written = gradient(error + sample.posterior.kl().sum(), weights)
    for name, value in written.items():
        torch.testing.assert_close(
            value, 2.0 / D * nats[name], rtol=1e-12, atol=1e-14, msg=name
        )


@pytest.mark.parametrize("row", TABLE[:5], ids=[row[0] for row in TABLE[:5]])
def test_beta_is_the_implied_variance_as_well(row, tiny_model):
    # At weight 1 on the rate and this variance, the gradient is the same over beta.
    _, error, error_reduction, kl_reduction, _, _ = row
    theta = beta_from_loss(0.6, **described(error, error_reduction, kl_reduction))
    _, by_beta, _ = tiny_model.step(Constant(), beta=theta)
    _, by_variance, _ = tiny_model.step(Constant(), beta=1.0, variance=theta)
    for name, value in by_variance.items():
        torch.testing.assert_close(
            theta * value, by_beta[name], rtol=1e-12, atol=1e-14, msg=name
        )


def test_summed_loss_and_loss_of_means(tiny_model, gradient):
    # ("sum", 1) and ("mean_mean", M / D) differ by the factor 1 / D.
    means = described("half_squared", "mean", "mean")
    assert loss_from_beta(1.0, **means) == pytest.approx(M / D)
    weights = tiny_model.weights()
    total = gradient(
        written_loss(tiny_model, weights, "half_squared", "sum", "sum", 1.0), weights
    )
    mean = gradient(
        written_loss(tiny_model, weights, "half_squared", "mean", "mean", M / D),
        weights,
    )
    for name, value in mean.items():
        torch.testing.assert_close(
            D * value, total[name], rtol=1e-12, atol=1e-14, msg=name
        )


def equicorrelated(n_features, r, n_rows=64):
    """Rows with exactly this correlation, mean zero and variance one."""
    random = np.random.RandomState(0)
    draws = np.c_[np.ones(n_rows), random.standard_normal((n_rows, n_features))]
    orthonormal = np.linalg.qr(draws)[0][:, 1:]
    correlation = np.full((n_features, n_features), r) + (1.0 - r) * np.eye(n_features)
    X = np.sqrt(n_rows) * orthonormal @ np.linalg.cholesky(correlation).T
    np.testing.assert_allclose(np.corrcoef(X.T), correlation, atol=1e-14)
    return X


def collapse_fit(n_features, r):
    """Linear model under the mean squared error plus the summed KL.

    Returns the estimator, its posterior variances from the smallest, and its loss.
    """
    vae = BalancedVAE(
        2,
        beta=beta_from_loss(1.0, n_features=n_features, n_components=2),
        balance="constant",
        hidden_layer_sizes=(),
        precision="float64",
        early_stopping=False,
        learning_rate_init=0.02,
        max_iter=60,
        tol=1.0,
        random_state=0,
    ).fit(equicorrelated(n_features, r))
    weights = views(torch.tensor(vae._fitted.values), vae._fitted.shapes)
    variance = weights["encoder.log_variance"][0].exp().sort().values
    # The calibrated variance is the mean squared error.
    return vae, variance.tolist(), vae.variance_ + vae.rate_


def test_collapse_rule_keeps_one_latent():
    vae, variance, loss = collapse_fit(4, 0.5)
    assert vae.theta_ == 2.0
    assert vae.active_units_.sum() == 1
    # Eigenvalues 2.5, 0.5, 0.5, 0.5: only the first is above theta.
    assert loss == pytest.approx((2.0 + 1.5) / 4 + 0.5 * np.log(2.5 / 2.0), abs=1e-4)
    # The loss is flat at its optimum: 1e-4 above it, a variance may be 2 % away.
    assert variance == pytest.approx([2.0 / 2.5, 1.0], rel=0.02)


@may_collapse
def test_collapse_rule_keeps_none():
    vae, variance, loss = collapse_fit(4, 0.3)
    assert vae.active_units_.sum() == 0
    # The mean squared error of predicting the column means.
    assert loss == pytest.approx(1.0, abs=1e-9)
    assert vae.rate_ == pytest.approx(0.0, abs=1e-9)
    assert variance == pytest.approx([1.0, 1.0], abs=1e-4)


def collapse_threshold(n_features):
    """Correlation above which the first eigenvalue is more than D / 2."""
    return (n_features / 2 - 1) / (n_features - 1)


@pytest.mark.parametrize("n_features", [3, 4, 6, 50])
def test_collapse_threshold(n_features):
    r = collapse_threshold(n_features)
    correlation = np.corrcoef(equicorrelated(n_features, r).T)
    top = np.linalg.eigvalsh(correlation)[-1]
    assert top == pytest.approx(n_features / 2, rel=1e-12)
    assert collapse_threshold(4) == pytest.approx(1 / 3)


@may_collapse
@pytest.mark.parametrize(("side", "n_active"), [(-1, 0), (1, 1)])
def test_collapse_on_either_side_of_the_threshold(side, n_active):
    # At the threshold itself the optimum is too flat to find.
    vae, *_ = collapse_fit(6, collapse_threshold(6) + side / 15)
    assert vae.active_units_.sum() == n_active
