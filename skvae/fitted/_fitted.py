"""A fitted model: learned values as arrays, and the torch model built from them."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skvae.data._given import given_row
from skvae.data._view import TableView
from skvae.likelihoods._gaussian_scores import of_scores
from skvae.model._spec import ModelSpec

if TYPE_CHECKING:
    import torch
    from numpy.typing import DTypeLike

    from skvae.fitted._inference import Model
    from skvae.fitted._kept_rows import KeptRows
    from skvae.fitted._null_model import NullModel
    from skvae.priors import Prior

Floats = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted model, as arrays alone, so that it can be pickled anywhere.

    Attributes
    ----------
    spec : ModelSpec
        The parts of the model.
    view : TableView
        Conversion between the user's table and the model's inputs.
    shapes : dict of str to tuple of int
        Shapes of the weights.
    values : ndarray of shape (1, n_weights)
        The weights.
    variance : ndarray of shape (1, 1 or n_dispersed)
        The decoder variance to score with.
    prior : Prior
        The prior, with what it learned from the latents of the rows.
    null_model : NullModel
        The model without latents, of the same rows.
    beta : float
        The requested weight of the rate.
    state : TrainingState or None
        State to resume from, as arrays, but for the weights; see `training_state`.
    kept : KeptRows or None
        Rows that stand for those of all calls of `partial_fit`; None after `fit`.
    """

    spec: ModelSpec
    view: TableView
    shapes: dict[str, tuple[int, ...]]
    values: Floats
    variance: Floats
    prior: Prior
    null_model: NullModel
    beta: float
    state: Any = None
    kept: KeptRows | None = None

    @property
    def dtype(self) -> np.dtype:
        """Precision that the model was trained in."""
        return self.values.dtype

    def on(self, device: str | torch.device, dtype: DTypeLike = np.float64) -> Model:
        """The model on a device and in a precision, built at the first call.

        Parameters
        ----------
        device : str or torch.device
            A torch device or "auto"; the CPU where it is not available, or has no
            double precision.
        dtype : numpy dtype, default=float64
        """
        key = device, np.dtype(dtype).name
        models = _MODELS.setdefault(self, {})
        if key not in models:
            models[key] = self._built(*key)
        return models[key]

    def _built(self, device: str | torch.device, dtype: str) -> Model:
        """The model, with its weights as tensors."""
        import torch

        from skvae.fitted._inference import Model, tensor_beside
        from skvae.model._device import device_of_use
        from skvae.model._weights import views

        like = torch.zeros(
            (), dtype=getattr(torch, dtype), device=device_of_use(device)
        )
        spec = self.spec
        if self.view.scores is not None:
            likelihood = of_scores(spec.likelihood, self.view.scores, like.device)
            spec = spec._replace(likelihood=likelihood)
        return Model(
            module=spec.module(),
            view=self.view,
            prior=self.prior,
            weights=views(tensor_beside(like, self.values), self.shapes),
            scored_variance=tensor_beside(like, self.variance),
        )

    def given(self, cells: Mapping[Any, Any]) -> Floats:
        """Row of a few cells, by column, as admitted numbers; NaN for the others."""
        columns = self.view.columns
        row = given_row(columns, cells)
        admitted = self.spec.likelihood.admit(row, columns.names)
        is_new = np.isnan(admitted) & ~np.isnan(row)
        if is_new.any():
            d = int(np.flatnonzero(is_new[0])[0])
            raise ValueError(
                f"given: {columns.name(d)} does not have the value {row[0, d]:g} in "
                "the table of fit. Choose one that it has, or leave the column out."
            )
        return admitted

    def resumable(self, state: Any) -> Fitted:
        """Copy with the state of a training to go on from, as arrays.

        Weights that are those in use are stored once.
        """
        if np.array_equal(state.values, self.values):
            state = replace(state, values=None)
        return replace(self, state=state)

    @property
    def training_state(self) -> Any:
        """State of a training to go on from, with its weights."""
        if self.state.values is not None:
            return self.state
        return replace(self.state, values=self.values)


# Models built from fitted ones. They are no attributes of these, as tensors on a device
# are not to be pickled.
_MODELS: weakref.WeakKeyDictionary[
    Fitted, dict[tuple[str | torch.device, str], Model]
] = weakref.WeakKeyDictionary()
