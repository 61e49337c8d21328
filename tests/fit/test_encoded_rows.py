"""Latents of the rows of a fit, as a prior gets them."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from skvae.balance import Constant
from skvae.data._rows import Rows
from skvae.fit import _encoded_rows
from skvae.fit._encoded_rows import EncodedRows, counts_of
from skvae.model._weights import views


@pytest.fixture
def encoded(make_problem):
    """Rows of a small model at its start."""
    problem = make_problem()
    state = problem.start(Constant(), [1.0])
    weights = views(state.values, state.shapes)
    return EncodedRows(problem.module, weights, problem.rows, problem.held_out)


def test_counts_follow_the_weights():
    weight = np.random.RandomState(0).exponential(size=30)
    weight /= weight.sum()
    counts = counts_of(weight, 1000)
    assert counts.sum() == 1000
    assert (np.abs(counts - 1000 * weight) <= 1.0).all()
    assert_array_equal(counts_of(np.full(4, 0.25), 8), [2, 2, 2, 2])
    # Fewer than rows: no row twice.
    assert counts_of(np.full(10, 0.1), 5).max() == 1


def test_draws_have_the_moments_of_the_aggregate_posterior(encoded):
    weight = encoded.train.weight.numpy()
    posterior = encoded.module.encode(encoded.weights, encoded.train.x)
    mean = posterior.mean[0].numpy()
    variance = weight @ (posterior.log_variance.exp()[0].numpy() + mean**2)
    variance -= (weight @ mean) ** 2
    z = encoded.draw(20_000)
    assert z.shape == (20_000, encoded.n_latents)
    assert z.dtype == np.float64
    assert_allclose(z.mean(axis=0), weight @ mean, atol=0.03)
    assert_allclose(z.var(axis=0), variance, rtol=0.03)
    assert_array_equal(encoded.draw(50), encoded.draw(50))


def test_number_of_rows_is_that_of_equal_weight(encoded):
    assert encoded.n_rows < len(encoded.train.x)
    equal = encoded.train._replace(weight=torch.full((40,), 1 / 40))
    assert encoded._replace(train=equal).n_rows == pytest.approx(40)


def test_held_out_rows(encoded):
    z, weight = encoded.held_out()
    n_rows = len(encoded.validation.x)
    assert z.shape == (32, n_rows, encoded.n_latents)
    assert_allclose(weight, encoded.validation.weight)
    mean = encoded.module.encode(encoded.weights, encoded.validation.x).mean[0]
    # Draws come in pairs of opposite sign.
    assert_allclose(z.mean(axis=0), mean, rtol=1e-9, atol=1e-12)
    assert encoded._replace(validation=None).held_out() is None


def test_very_many_held_out_rows_are_subsampled(encoded, monkeypatch):
    monkeypatch.setattr(_encoded_rows, "_MAX_HELD_OUT", 10)
    rows = encoded.validation
    heavy = rows.weight.clone()
    heavy[0] = 1.0
    z, weight = encoded._replace(
        validation=Rows(rows.x, heavy / heavy.sum())
    ).held_out()
    assert z.shape[1] == len(weight) <= 10
    assert weight.sum() == pytest.approx(1.0)
    assert weight[0] == weight.max() >= 0.4


def test_chunks_do_not_matter(encoded, monkeypatch):
    whole = encoded.draw(100), encoded.held_out().z

    def tiny(n_rows, cells_per_row):
        return [slice(start, start + 7) for start in range(0, n_rows, 7)]

    monkeypatch.setattr(_encoded_rows, "chunks", tiny)
    for found, expected in zip(
        (encoded.draw(100), encoded.held_out().z), whole, strict=True
    ):
        assert_allclose(found, expected, rtol=1e-12)
