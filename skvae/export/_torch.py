"""Fitted estimators as torch modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skvae.data._kinds import Category, Flag, Number, Whole
from skvae.export._scalers import scalers_of
from skvae.fitted._access import fitted_of
from skvae.fitted._pipeline import model_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skvae.export._module import TorchVAE
    from skvae.export._scalers import Scaler
    from skvae.fitted._fitted import Fitted

# Agreement with the estimator, in double precision, on rows that the model draws.
_TOLERANCE = 1e-6


def to_torch(
    estimator: Any, method: str = "transform", *, precision: str | None = None
) -> TorchVAE:
    """Fitted estimator as a `torch.nn.Module`, for `torch.export` and serving.

    The module works on tensors: numbers as they are, the codes of categories, and NaN
    for missing cells. Scaling is inside, that of a pipeline's scalers too.

    Parameters
    ----------
    estimator : BalancedVAE, Pipeline or search
        Fitted. The steps of a `Pipeline` before the model may be `StandardScaler`,
        `MinMaxScaler`, `MaxAbsScaler` and `RobustScaler`.

    method : {"transform", "inverse_transform", "score_samples"}, default="transform"
        What a call of the module does.

    precision : {"float32", "float64"} or None, default=None
        Precision of the networks. None is that of the training. Scaling is always in
        double precision.

    Returns
    -------
    module : torch.nn.Module
        On the CPU. Its methods ``encode(X)``, ``decode(Z)`` and ``score(X)`` return
        what `transform`, `inverse_transform` and `score_samples` do, and its list
        ``levels`` holds the categories of each column in the order of their codes.

    Raises
    ------
    ValueError
        If a step of the pipeline is no such scaler, or comes before a model with
        ``standardize="quantile"``, a column holds times or exact decimals, or a part
        of the model computes something else on tensors.

    See Also
    --------
    to_onnx : Writes a file for runtimes without torch.

    Notes
    -----
    A graph of operations raises no errors and checks nothing: a category that `fit`
    did not see is a missing cell, whatever `handle_unknown` is, and a value that the
    likelihood does not admit gives a number without meaning. Reconstructions are
    numbers: whole numbers are not rounded, a boolean is the probability of True.

    Examples
    --------
    >>> import torch
    >>> from sklearn.datasets import load_wine
    >>> from skvae import BalancedVAE
    >>> from skvae.export import to_torch
    >>> X = load_wine().data
    >>> vae = BalancedVAE(2, max_iter=5, tol=1.0, random_state=0).fit(X)
    >>> module = to_torch(vae, precision="float64")
    >>> bool(abs(module(torch.tensor(X)) - torch.tensor(vae.transform(X))).max() < 1e-9)
    True
    >>> module.score(torch.tensor(X)).shape
    torch.Size([178])
    """
    return exported(estimator, method, precision, "to_torch")


def exported(
    estimator: Any, method: str, precision: str | None, needed_by: str
) -> TorchVAE:
    """Module of an estimator, which was found to compute the same."""
    import torch

    from skvae.export._module import METHODS, TorchVAE

    _check_option("method", method, list(METHODS), needed_by)
    _check_option("precision", precision, ["float32", "float64", None], needed_by)
    vae, steps = model_in(estimator, needed_by)
    fitted, scalers = fitted_of(vae), scalers_of(steps, needed_by)
    _check_columns(fitted, needed_by)
    _check_scalers(fitted, scalers, needed_by)
    _check_agreement(fitted, needed_by)
    dtype = getattr(torch, precision or fitted.dtype.name)
    module = TorchVAE(fitted, scalers, dtype, method).eval()
    # Positions of columns are copied to the device at the first call, which is not
    # to be recorded.
    with torch.no_grad():
        rows = torch.zeros((2, module.n_features), dtype=dtype)
        module.decode(module.encode(rows))
        module.score(rows)
    return module


def _check_option(name: str, value: Any, options: list, needed_by: str) -> None:
    if value not in options:
        known = ", ".join(map(repr, options))
        raise ValueError(f"{needed_by}: {name} must be one of {known}. Got {value!r}.")


def _check_columns(fitted: Fitted, needed_by: str) -> None:
    """Raise ValueError about columns whose values are no tensor's."""
    columns = fitted.view.columns
    for d, kind in enumerate(columns.kinds):
        if not isinstance(kind, (Number, Whole, Flag, Category)):
            raise ValueError(
                f"{needed_by} takes columns of numbers, booleans and categories, and "
                f"{columns.name(d)} holds values of another kind "
                f"({type(kind).__name__}). Make it a column of numbers, such as "
                "seconds since a date of your choice, and fit the model on that."
            )


def _check_scalers(fitted: Fitted, scalers: Sequence[Scaler], needed_by: str) -> None:
    """Raise ValueError where values that scalers round are to be told apart by rank."""
    if scalers and fitted.view.scores is not None:
        raise ValueError(
            f"{needed_by} takes a model with standardize='quantile' without scalers "
            "before it: it knows values again that fit has seen, and a scaler rounds "
            "them. Fit the model alone, which needs no scaler: its map of each column "
            "is by rank."
        )


def _check_agreement(fitted: Fitted, needed_by: str) -> None:
    """Raise ValueError where a part of the model does something else on tensors."""
    import torch

    from skvae.export._module import TorchVAE

    model = fitted.on("cpu")
    rows = model.draw(5, np.random.RandomState(0))
    rows[0, 0] = np.nan
    Z, scored = model.encode(rows), model.score(rows)
    expected = {
        "encode": Z,
        "decode": model.decode(Z),
        "score": -(scored.rate + scored.distortion),
    }
    differs = "raises an error"
    try:
        module, found = TorchVAE(fitted, [], torch.float64), {}
        with torch.no_grad():
            for name in expected:
                given = torch.tensor(Z if name == "decode" else rows)
                found[name] = getattr(module, name)(given).numpy()
    except Exception as error:
        raise ValueError(_disagreement(fitted, differs, needed_by)) from error
    for name, values in expected.items():
        same = np.isclose(found[name], values, _TOLERANCE, _TOLERANCE, equal_nan=True)
        if not same.all():
            differs = f"differs in {name!r}"
            raise ValueError(_disagreement(fitted, differs, needed_by))


def _disagreement(fitted: Fitted, differs: str, needed_by: str) -> str:
    spec = fitted.spec
    return (
        f"{needed_by} cannot export this model: on tensors it {differs}. Methods of a "
        f"part of your own ({spec.likelihood!r}, {spec.network!r}, {spec.prior!r}) "
        "have to take tensors as well as arrays: `admit`, `to_model`, `to_user`, "
        "`log_jacobian` and `reconstruction` of a likelihood, and all of a network."
    )
