"""Convolutional networks on pictures."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from skvae import BalancedVAE, beta_path
from skvae.networks import ConvNet

DIGITS = load_digits().data[:300] / 16.0
SHORT = {"max_iter": 2, "tol": 1e3, "batch_size": 64, "random_state": 0}


def fit(X=DIGITS, image_shape=(1, 8, 8), likelihood="gaussian", network=None, **params):
    network = network or ConvNet(image_shape, channels=(4, 8), hidden_layer_sizes=(16,))
    settings = {"likelihood": likelihood, "network": network, **SHORT, **params}
    return BalancedVAE(3, **settings).fit(X)


@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("sides", [(8, 8), (9, 17), (28, 28), (31, 32), (64, 64)])
def test_pictures_of_any_size(n_channels, sides):
    n_pixels = n_channels * sides[0] * sides[1]
    network = ConvNet((n_channels, *sides), channels=(2, 2, 3))
    generator = torch.Generator().manual_seed(0)
    encoder, decoder = network.encoder(n_pixels, 2), network.decoder(2, n_pixels)
    weights = {
        name: weight[None].float()
        for function in (encoder, decoder)
        for name, weight in function.init(generator).items()
    }
    encoded = encoder(weights, torch.randn(5, n_pixels, generator=generator))
    assert encoded.shape == (1, 5, 4)
    decoded = decoder(weights, encoded[..., :2])
    assert decoded.shape == (1, 5, n_pixels)
    assert 0.001 < decoded.std() < 10.0


def test_a_pixel_is_seen_where_it_is():
    # Of a scale that halves the sides: what is right of the middle stays right of it.
    network = ConvNet((2, 8, 12), channels=(3,), n_blocks=0, hidden_layer_sizes=())
    function = network.decoder(30, 192)
    weights = {
        name: weight[None] for name, weight in function.init(torch.Generator()).items()
    }
    *_, (name, dense) = (
        (name, weight)
        for name, weight in weights.items()
        if weight.shape[1:] == (72, 30)
    )
    dense.zero_().view(1, 3, 4, 6, 30)[0, 1, 2, 5, 0] = 1.0
    weights[name.replace("weight", "bias")].zero_()
    z = torch.zeros(1, 1, 30, dtype=torch.float64)
    z[..., 0] = 1.0
    changed = (function(weights, z) - function(weights, 0.0 * z)).view(2, 8, 12) != 0.0
    expected = torch.zeros(2, 8, 12, dtype=torch.bool)
    # Four by four pixels about the pixel of the half size, cut at the border.
    expected[:, 3:7, 9:12] = True
    assert torch.equal(changed, expected)


@pytest.mark.parametrize(
    "likelihood", ["gaussian", "bernoulli", "continuous_bernoulli", "beta", "laplace"]
)
def test_likelihoods(likelihood):
    X = DIGITS[:100]
    if likelihood == "bernoulli":
        X = (X > 0.5).astype(float)
    short, longer = (
        fit(X, likelihood=likelihood, max_iter=n, early_stopping=False) for n in (2, 8)
    )
    assert longer.elbo_ > short.elbo_
    assert longer.sample(2, random_state=0).shape == (2, 64)


@pytest.mark.parametrize("posterior", ["diagonal", "full"])
def test_posterior(posterior):
    network = ConvNet((1, 8, 8), (4,), activation="relu", posterior=posterior)
    assert np.isfinite(fit(network=network).score(DIGITS))


def test_training_starts_at_the_mean_picture():
    vae = fit(learning_rate_init=1e-9, standardize=False)
    found = vae.inverse_transform(np.zeros((1, 3)))[0]
    np.testing.assert_allclose(found, DIGITS.mean(axis=0), atol=0.05)


def test_missing_pixels_are_a_channel():
    gaps = DIGITS.copy()
    gaps[::3, 10:20] = np.nan
    vae = fit(gaps)
    shapes = vae.network.encoder(128, 3).shapes
    assert shapes["encoder.1.weight"] == (4, 2, 4, 4)
    assert np.isfinite(vae.impute(gaps)).all()
    # A hole elsewhere is seen in its place too, and so is none.
    elsewhere = DIGITS.copy()
    elsewhere[:, 40:50] = np.nan
    elsewhere[0] = DIGITS[0]
    codes = vae.transform(elsewhere)
    np.testing.assert_allclose(codes[0], vae.transform(DIGITS[:1])[0], rtol=1e-4)
    assert np.abs(codes[1:] - vae.transform(DIGITS[1:])).max() > 1e-3
    np.testing.assert_allclose(codes[5:6], vae.transform(elsewhere[5:6]), rtol=1e-4)


def test_memory_is_bounded_by_activations():
    encoder = ConvNet((1, 28, 28), channels=(16, 32)).encoder(784, 4)
    assert encoder.cells_per_row == 16 * 14 * 14
    decoder = ConvNet((1, 28, 28), channels=(64, 2)).decoder(4, 784)
    assert decoder.cells_per_row == 64 * 14 * 14


def test_one_model_after_the_other_is_the_path():
    settings = {**SHORT, "likelihood": "gaussian", "balance": "constant"}
    network = ConvNet((1, 8, 8), channels=(4,))
    path = beta_path(
        DIGITS, betas=[0.1, 1.0], n_components=3, network=network, **settings
    )
    assert path.rate[0] > path.rate[1]


def test_fashion_mnist(shared_data):
    images = np.load(shared_data / "fashion_mnist.npz")["X_train"][:250]
    X = images.reshape(len(images), -1) / 255.0
    settings = {
        "network": ConvNet((1, 28, 28), channels=(8, 16)),
        "balance": "constant",
        "beta": 0.1,
        "max_iter": 4,
        "learning_rate": "constant",
        "early_stopping": False,
    }
    vae = fit(X, standardize=False, **settings)
    error = np.square(vae.inverse_transform(vae.transform(X)) - X).mean()
    assert error < 0.75 * X.var(axis=0).mean()


@pytest.mark.parametrize(
    ("X", "params", "message"),
    [
        (
            DIGITS[:, :63],
            {},
            r"image_shape=\(1, 8, 8\) of ConvNet stands for rows of 1 \* 8 \* 8 = 64 "
            r"columns, but the table has 63. Pass .* X.reshape\(len\(X\), -1\)",
        ),
        (np.tile(DIGITS, 2), {}, "= 64 columns, but the table has 128"),
        (
            np.round(3 * DIGITS),
            {"likelihood": "categorical"},
            "one input and the same number of parameters for each, but the likelihood "
            "has 1 groups of columns, .* Use likelihood='gaussian'",
        ),
        (
            DIGITS,
            {"likelihood": [("gaussian", slice(9)), ("laplace", slice(9, 64))]},
            "has 2 groups of columns, 64 inputs and 64 parameters for 64 pixels",
        ),
        (
            DIGITS,
            {"network": ConvNet((8, 8))},
            "three numbers, .*Grey ones have one ch",
        ),
        (
            DIGITS,
            {"network": ConvNet((1, 8, 8), (2, 2, 2, 2))},
            r"channels=\(2, 2, 2, 2\) must hold .* at least 16 x 16 pixels, got",
        ),
        (DIGITS, {"network": ConvNet((1, 8, 8), ())}, "must hold at least one number"),
        (
            DIGITS,
            {"network": ConvNet((1, 8.0, 8))},
            r"image_shape must hold positive integers, channels, height and width",
        ),
        (DIGITS, {"network": ConvNet((1, 8, 8), (0,))}, "channels must hold positive"),
        (
            DIGITS,
            {"network": ConvNet((1, 8, 8), hidden_layer_sizes=(-1,))},
            "hidden_layer_sizes must hold positive integers",
        ),
        (DIGITS, {"network": ConvNet((1, 8, 8), n_blocks=-1)}, "'n_blocks' parameter"),
        (
            DIGITS,
            {"network": ConvNet((1, 8, 8), activation="sine")},
            "'activation' par",
        ),
    ],
)
def test_fit_refuses_what_are_no_such_pictures(X, params, message):
    with pytest.raises(ValueError, match=message):
        fit(X, **params)


def test_convolutions_are_those_of_torch():
    """The first scale of the encoder, computed by hand."""
    network = ConvNet((1, 8, 8), (2,), n_blocks=0, hidden_layer_sizes=())
    function = network.encoder(64, 2)
    weights = function.init(torch.Generator().manual_seed(0))
    assert list(weights) == [
        *("encoder.1.weight", "encoder.1.bias", "encoder.4.weight", "encoder.4.bias")
    ]
    x = torch.from_numpy(DIGITS[:5])
    found = function({name: each[None] for name, each in weights.items()}, x)[0]
    first, bias, last, _ = weights.values()
    hidden = nn.functional.conv2d(x.view(5, 1, 8, 8), first, bias, stride=2, padding=1)
    expected = nn.functional.silu(hidden).flatten(1) @ last.T
    torch.testing.assert_close(found, expected)
