import numpy as np
import pytest
import torch

from skvae.likelihoods import Likelihood
from skvae.likelihoods._base import column_name


class TwoParameters(Likelihood):
    parameter_names = ("location", "scale")


def test_width_of_the_decoder_follows_from_the_names():
    likelihood = TwoParameters()
    assert likelihood.n_parameters(3) == 6
    parameters = likelihood.unpack(torch.arange(6.0).view(1, 1, 6))
    assert parameters["location"].tolist() == [[[0.0, 1.0, 2.0]]]
    assert parameters["scale"].tolist() == [[[3.0, 4.0, 5.0]]]


def test_output_of_another_width_is_refused():
    with pytest.raises(ValueError, match=r"zip\(\) argument"):
        TwoParameters().unpack(torch.zeros(1, 1, 1))


def test_base_has_no_variance_and_admits_everything():
    likelihood = TwoParameters()
    assert not likelihood.has_free_variance
    assert likelihood.expected_error(None, {}, None) is None
    X = np.array([[1.0, -2.0]])
    assert likelihood.admit(X) is X


def test_names_of_columns():
    assert column_name(2, None) == "column 2"
    assert column_name(1, ["age", "sex"]) == "column 'sex'"
