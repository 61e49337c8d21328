"""Columns of levels that are held at the frequencies of their levels."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from skvae.likelihoods import Categorical, Gaussian
from skvae.likelihoods._group import Group
from skvae.likelihoods._level_frequencies import LevelFrequencies

X = np.array([[0.0, 1.5, 2.0], [1.0, 0.5, 0.0], [1.0, 2.5, 1.0], [2.0, 0.0, 1.0]])


@pytest.fixture
def frequencies():
    categorical = Categorical().fit(X[:, [0, 2]])
    return LevelFrequencies(
        [
            Group(Gaussian(), np.array([1]), "0."),
            Group(categorical, np.array([0, 2]), "1."),
        ]
    )


@pytest.fixture
def parameters(frequencies):
    """At the frequencies for the first column, and off for the second."""
    start = torch.tensor(frequencies.groups[0].likelihood.start(2))
    logits = start.repeat(1, len(X), 1)
    logits[..., 3:] += torch.tensor([1.0, -1.0, 0.5], dtype=torch.float64)
    return {"0.mean": torch.zeros(1, len(X), 1), "1.logits": logits}


def weights(width):
    return torch.full((len(X), width), 0.25, dtype=torch.float64)


def test_only_columns_of_levels_have_shares(frequencies):
    assert frequencies.n_columns == 2
    assert not LevelFrequencies([Group(Gaussian(), np.array([0]))]).groups


@pytest.mark.parametrize("width", [1, 3])
def test_excess_is_the_cost_above_that_of_the_shares(frequencies, parameters, width):
    excess = frequencies.excess(torch.tensor(X), parameters, weights(width))
    logits = parameters["1.logits"][0, 0, 3:]
    own = logits.log_softmax(dim=0)[[2, 0, 1, 1]].mean()
    null = torch.tensor([0.25, 0.25, 0.5, 0.5]).double().log().mean()
    assert_allclose(excess.numpy(), [[0.0, float(null - own)]], atol=1e-12)


@pytest.mark.parametrize("width", [1, 3])
def test_penalty_is_that_of_a_prior_about_the_shares(frequencies, parameters, width):
    pull = torch.tensor([[5.0, 2.0]], dtype=torch.float64)
    found = frequencies.penalty(parameters, weights(width), pull, n_rows=100)
    # Strength times number of levels, over twice the rows, times the sum of squares.
    assert_allclose(found.numpy(), [2.0 * 3 / 200 * (1.0 + 1.0 + 0.25)], rtol=1e-12)


def test_missing_cells_have_no_penalty(frequencies, parameters):
    weight, pull = weights(3), torch.ones((1, 2), dtype=torch.float64)
    weight[:, 2] = 0.0
    assert frequencies.penalty(parameters, weight, pull, 100).item() == 0.0


def test_pull_rises_where_shares_are_better_and_ends_where_they_are_not():
    pull = torch.zeros((1, 3))
    strengths = []
    for excess in ([0.1, -0.1, 0.1],) * 4 + ([-0.1, -0.1, 0.1],) * 9:
        pull = LevelFrequencies.moved(pull, torch.tensor([excess]))
        strengths.append(pull[0].tolist())
    rising = [4.0, 16.0, 64.0, 256.0]
    assert [each[0] for each in strengths[:4]] == rising
    assert strengths[-1] == [0.0, 0.0, 256.0]
