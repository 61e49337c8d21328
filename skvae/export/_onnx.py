"""ONNX files of fitted estimators."""

from __future__ import annotations

import json
from os import PathLike
from typing import Any

from skvae._torch_compat import operator
from skvae.export._operators import log_gamma, log_normal_cdf, search, solve_lower
from skvae.export._torch import exported
from skvae.ground._optional import import_optional_dependency


def to_onnx(
    estimator: Any,
    path: str | PathLike[str],
    method: str = "transform",
    *,
    precision: str | None = None,
) -> None:
    """Write one method of a fitted estimator to an ONNX file.

    The file needs neither Python nor torch to run, and is the module of `to_torch`:
    numbers, codes of categories and NaN go in, scaling is inside.

    Parameters
    ----------
    estimator : BalancedVAE, Pipeline or search
        Fitted. The steps of a `Pipeline` before the model may be `StandardScaler`,
        `MinMaxScaler`, `MaxAbsScaler` and `RobustScaler`.

    path : str or path
        File to write.

    method : {"transform", "inverse_transform", "score_samples"}, default="transform"
        Method to write. The input is called "X", or "Z" for `inverse_transform`, and
        the output as the method. The number of rows is free.

    precision : {"float32", "float64"} or None, default=None
        Type of input and output, and precision of the networks. None is that of the
        training. Scaling is always in double precision. ONNX Runtime 1.32 has
        "silu", "relu" and "tanh" in double precision, and not the other activations.

    Raises
    ------
    ImportError
        If onnx or onnxscript is not installed; the extra ``skvae[onnx]`` has both, and
        onnxruntime to run the file with.
    ValueError
        As `to_torch`, or if an operation of a part of your own has no counterpart in
        ONNX.

    See Also
    --------
    to_torch : The module that is written, and what it takes in detail.

    Notes
    -----
    The categories of columns are in the file's metadata under "levels": a JSON list
    with an entry for each column, in the order of their codes, or null for numbers.

    Examples
    --------
    The page of the guide on deployment runs this with ONNX Runtime::

        to_onnx(vae, "vae.onnx", method="score_samples")
    """
    import torch

    for package in ("onnx", "onnxscript"):
        import_optional_dependency(package, needed_by="to_onnx")
    module = exported(estimator, method, precision, "to_onnx")
    is_decoder = method == "inverse_transform"
    width = module.n_components if is_decoder else module.n_features
    rows = torch.zeros((3, width), dtype=module.noise.dtype)
    try:
        program = torch.onnx.export(
            module,
            (rows,),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("n_samples", min=1)},),
            input_names=["Z" if is_decoder else "X"],
            output_names=[method],
            custom_translation_table={
                operator("lgamma"): log_gamma(),
                operator("special_log_ndtr"): log_normal_cdf(),
                operator("searchsorted.Tensor"): search(),
                operator("linalg_solve_triangular"): solve_lower(),
            },
            verbose=False,
        )
    except torch.onnx.errors.OnnxExporterError as error:
        spec = module.spec
        raise ValueError(
            f"to_onnx cannot write {method!r} of this model: an operation of its parts "
            f"({spec.likelihood!r}, {spec.network!r}, {spec.prior!r}) has no "
            "counterpart in ONNX. Use parts of skvae, or to_torch."
        ) from error
    assert program is not None
    levels = [None if each is None else each.tolist() for each in module.levels]
    metadata = {"levels": json.dumps(levels, default=str), "method": method}
    program.model.metadata_props.update(metadata)
    program.save(path)
