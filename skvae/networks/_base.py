"""Base of the networks: specifications that build functions of stacked weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from sklearn.base import BaseEstimator

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from skvae.linear._model import LinearWeights
    from skvae.networks._inputs import Inputs

#: Named weights of a network, replica axis first.
Weights = dict[str, "Tensor"]


#: Takes the gradient of a function's output, writes those of its weights into the
#: tensors given, and returns that of the rows, or None if it is not requested.
Pullback = Callable[["Tensor", Weights], "Tensor | None"]


class Function:
    """A function of weights and rows, for all replicas at once."""

    #: Shape of each weight, without the replica axis.
    shapes: dict[str, tuple[int, ...]]

    @property
    def noise_widths(self) -> dict[str, int]:
        """Noise that `vjp` takes, by name: numbers for each row, by default none.

        Standard normal, and the same for all replicas. In training, tensors of shape
        (n_rows, width) are among the weights under these names.
        """
        return {}

    @property
    def cells_per_row(self) -> int:
        """Numbers that the widest layer holds for a row, to bound memory by.

        By default, the largest last axis of a weight, as in matrix products.
        """
        return max(shape[-1] for shape in self.shapes.values())

    #: True where `vjp` uses automatic differentiation, as it does here. A step with a
    #: function that does not may run in torch's inference mode, whose tensors cannot
    #: be saved for a backward pass.
    uses_autograd = True

    def init(
        self, generator: torch.Generator, start: LinearWeights | None = None
    ) -> Weights:
        """Draw start values in float64 on the CPU, without the replica axis.

        If the network `starts_linear`, `start` holds a linear model, and the function
        must begin as its encoder or decoder.
        """
        raise NotImplementedError

    def set_bias(self, weights: Weights, bias: Tensor) -> None:
        """Set the output at latents of zero to `bias`; by default, do nothing.

        Called for a decoder that does not start at a linear model.

        Parameters
        ----------
        weights : dict of str to Tensor
            Start values, to be changed in place.
        bias : Tensor of shape (n_outputs,)
            Parameters of the likelihood that fit the mean of each column.
        """

    def __call__(self, weights: Weights, x: Tensor) -> Tensor:
        """Map rows of shape (n_replicas, n_rows, n_inputs), or without replicas."""
        raise NotImplementedError

    def vjp(
        self, weights: Weights, x: Tensor, *, to_rows: bool
    ) -> tuple[Tensor, Pullback]:
        """Output in training, and its vector-Jacobian product with weights and rows.

        By default, automatic differentiation. A function of many small operations is
        faster with its derivatives written down; it sets `uses_autograd` to False.

        Parameters
        ----------
        weights : dict of str to Tensor
            Replica axis first. Noise, if the function takes any, has none.
        x : Tensor
            Rows.
        to_rows : bool
            True if the gradient of the rows is needed.
        """
        import torch

        leaves = {name: weights[name].detach().requires_grad_() for name in self.shapes}
        x = x.detach().requires_grad_(to_rows)
        with torch.enable_grad():
            output = self(leaves, x)

        def pullback(to_output: Tensor, gradients: Weights) -> Tensor | None:
            inputs = [*leaves.values(), *([x] if to_rows else [])]
            # A scalar: given `grad_outputs`, torch would import its compiler.
            with torch.enable_grad():
                inner = (output * to_output).sum()
            found = torch.autograd.grad(inner, inputs, materialize_grads=True)
            for name, gradient in zip(leaves, found, strict=False):
                gradients[name].copy_(gradient)
            return found[-1] if to_rows else None

        return output.detach(), pullback


class Around(Function):
    """A function around another one, which passes on all that it does not change.

    Parameters
    ----------
    inner : Function
        The other one.
    """

    def __init__(self, inner: Function) -> None:
        self.inner = inner
        self.shapes = inner.shapes
        self.uses_autograd = inner.uses_autograd

    @property
    def noise_widths(self) -> dict[str, int]:
        """Noise of the inner function."""
        return self.inner.noise_widths

    @property
    def cells_per_row(self) -> int:
        """Numbers that the widest layer holds for a row."""
        return self.inner.cells_per_row

    def init(
        self, generator: torch.Generator, start: LinearWeights | None = None
    ) -> Weights:
        """Draw start values."""
        return self.inner.init(generator, start)

    def set_bias(self, weights: Weights, bias: Tensor) -> None:
        """Set the output at latents of zero."""
        self.inner.set_bias(weights, bias)

    def __call__(self, weights: Weights, x: Tensor) -> Tensor:
        """Map rows."""
        return self.inner(weights, x)


class Widths(NamedTuple):
    """Widths of a table and of a model, for a network to check."""

    n_features: int
    """Number of columns."""
    n_inputs: Inputs
    """Inputs of the encoder, and the column of each."""
    n_components: int
    """Number of latents."""
    n_outputs: int
    """Outputs of the decoder."""
    n_likelihoods: int
    """Likelihoods: if more than one, outputs have the order of the groups of columns
    that they are for, not that of the table."""


class Network(BaseEstimator):
    """Base of the networks: settings of encoder and decoder, without weights."""

    _parameter_constraints: dict[str, list] = {}

    #: Covariance of the normal posterior that the encoder describes: "diagonal" or
    #: "full".
    posterior = "diagonal"

    #: Where cells are missing, the encoder also gets indicators, 1 for a missing cell,
    #: of the columns that have any. If True, of every column, in their order, so that
    #: the indicators have the shape of the row.
    indicates_every_column = False

    @property
    def starts_linear(self) -> bool:
        """True if training starts at the linear model of the likelihood, if any."""
        return False

    def encoder_width(self, n_components: int) -> int:
        """Numbers that the encoder returns for a row."""
        n_below = 0
        if self.posterior == "full":
            n_below = n_components * (n_components - 1) // 2
        return 2 * n_components + n_below

    def check(self, widths: Widths, like: Tensor) -> None:
        """Raise an error where the network cannot work; by default, do nothing.

        Called by `fit` before the functions are built.

        Parameters
        ----------
        widths : Widths
            Of the table and of the model.
        like : Tensor
            A tensor on the device and in the precision of the training.
        """

    def encoder(self, n_inputs: int, n_components: int) -> Function:
        """Build the encoder.

        Parameters
        ----------
        n_inputs : int
            In a fit an `Inputs`, which says what each input is.
        n_components : int

        Returns
        -------
        encoder : Function
            Returns the posterior mean and its log-variance side by side,
            2 * n_components numbers a row. If the posterior is "full", the
            log-variance is that of each latent given the previous ones, and the
            n_components * (n_components - 1) / 2 entries of the Cholesky factor
            below its diagonal follow, row by row, each divided by the entry of its
            row on the diagonal.
        """
        raise NotImplementedError

    def decoder(self, n_components: int, n_outputs: int) -> Function:
        """Build the decoder, which returns `n_outputs` numbers a row."""
        raise NotImplementedError
