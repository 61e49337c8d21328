"""Inputs: a number of inputs that says what each stands for."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from torch import nn

from skvae import BalancedVAE
from skvae.networks import Inputs, TorchNetwork

SEEN = []


def encoder(n_inputs, n_components):
    SEEN.append(n_inputs)
    return nn.Linear(n_inputs, 2 * n_components)


@pytest.fixture
def table():
    random = np.random.RandomState(0)
    frame = pd.DataFrame(
        {
            "town": random.choice(["Bern", "Oslo", "Rome"], 40),
            "age": random.normal(size=40),
            "sex": random.choice(["f", "m"], 40),
        }
    )
    frame.loc[3, "age"] = np.nan
    return frame


@pytest.mark.parametrize("of", [pickle.dumps, copy.deepcopy])
def test_inputs_are_an_integer_that_survives_copies(of):
    inputs = Inputs([0, 1, 1], masked=[1])
    found = pickle.loads(of(inputs)) if of is pickle.dumps else of(inputs)
    assert found == inputs == 4
    assert found.columns == (0, 1, 1, 1)
    assert found.n_values == 3
    assert nn.Linear(found, 2).in_features == 4


def test_a_network_is_given_the_column_of_each_input(table):
    SEEN.clear()
    network = TorchNetwork(encoder, nn.Linear)
    vae = BalancedVAE(2, network=network, max_iter=2, tol=5.0, random_state=0)
    vae.fit(table)
    assert SEEN
    for inputs in SEEN:
        assert inputs == len(inputs.columns)
        cells, indicators = inputs.columns[: inputs.n_values], inputs.columns[6:]
        # Three towns, an age and two sexes, in the order of the likelihoods.
        assert sorted(cells) == [0, 0, 0, 1, 2, 2]
        assert indicators == (0, 1, 2)
