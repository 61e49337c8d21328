import ast
import inspect

import numpy as np
import pytest
import torch

from skvae.likelihoods import Likelihood, refuse
from skvae.likelihoods._refuse import column_name


class TwoParameters(Likelihood):
    parameter_names = ("location", "scale")


class Known(TwoParameters):
    def learn(self, X, weight):
        self.largest_ = np.nanmax(X, axis=0)
        self.n_ = np.arange(X.shape[1])


def test_width_of_the_decoder_follows_from_the_names():
    likelihood = TwoParameters()
    assert likelihood.n_parameters(3) == 6
    parameters = likelihood.unpack(torch.arange(6.0).view(1, 1, 6))
    assert parameters["location"].tolist() == [[[0.0, 1.0, 2.0]]]
    assert parameters["scale"].tolist() == [[[3.0, 4.0, 5.0]]]


def test_output_of_another_width_is_refused():
    with pytest.raises(ValueError, match=r"zip\(\) argument"):
        TwoParameters().unpack(torch.zeros(1, 1, 1))


def test_base_is_small():
    """Each name is one more thing that a new likelihood may have to answer."""
    (body,) = ast.parse(inspect.getsource(Likelihood)).body
    names = [
        node.name if isinstance(node, ast.FunctionDef) else ast.unparse(node)
        for node in body.body
        if not isinstance(node, ast.Expr)
    ]
    # What the language itself calls is nothing for a member to write.
    names = [name for name in names if not name.startswith("__")]
    assert "distribution" in names
    assert len(names) <= 25, names


def test_base_has_no_dispersion_and_admits_everything():
    likelihood = TwoParameters()
    assert likelihood.column_dispersion(1) is None
    assert likelihood.linear_columns(1) is None
    X = np.array([[1.0, -2.0]])
    assert likelihood.admit(X) is X


def test_base_sees_columns_as_they_are_and_starts_at_zero():
    X = np.array([[1.0, -2.0], [np.nan, 3.0]])
    likelihood = TwoParameters()
    assert likelihood.fit(X) is likelihood
    assert likelihood.to_model(X) is X
    assert likelihood.to_user(X) is X
    np.testing.assert_array_equal(likelihood.log_jacobian(X), [[0.0, 0.0]] * 2)
    np.testing.assert_array_equal(likelihood.start(2), [0.0] * 4)
    assert likelihood.feature_parameters() == {}
    x = torch.tensor([[1.0, 2.0]])
    assert likelihood.input_columns(2).tolist() == [0, 1]
    assert likelihood.inputs(x) is x
    assert likelihood.inputs(x, torch.tensor([[False, True]])).tolist() == [[0.0, 2.0]]


def test_fit_admits_before_it_learns():
    class Positive(Known):
        def admit(self, X, names=None):
            refuse(self, X <= 0, X, names, needed="more", remedy="Add to it.")
            return X

    message = "The Positive likelihood needs more, but column 'b' holds -0.5. Add to it"
    likelihood = Positive()
    with pytest.raises(ValueError, match=message):
        likelihood.fit(np.array([[1.0, 2.0], [np.nan, -0.5]]), ["a", "b"])
    assert not hasattr(likelihood, "largest_")


def test_what_was_learned_is_copied_to_a_device_once():
    likelihood = Known().fit(np.array([[1.0, 2.0], [np.nan, 5.0]]))
    single, double = torch.zeros(1), torch.zeros(1, dtype=torch.float64)
    largest = likelihood.tensor("largest_", single)
    assert largest.tolist() == [1.0, 5.0]
    assert largest.dtype == torch.float32
    assert likelihood.tensor("largest_", single) is largest
    assert likelihood.tensor("largest_", double).dtype == torch.float64
    # Whole numbers stay so: they count or point at something.
    assert likelihood.tensor("n_", single).dtype == torch.int64
    again = likelihood.fit(np.array([[7.0, 8.0]]))
    assert again.tensor("largest_", single).tolist() == [7.0, 8.0]


def test_nothing_to_copy_before_fit():
    message = "This Known instance is not fitted yet"
    with pytest.raises(ValueError, match=message):
        Known().tensor("largest_", torch.zeros(1))


def test_names_of_columns():
    assert column_name(2, None) == "column 2"
    assert column_name(1, ["age", "sex"]) == "column 'sex'"
