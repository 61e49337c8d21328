"""Any pair of torch modules as encoder and decoder."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from skvae._sklearn_compat import StrOptions
from skvae.networks._base import Function, Network, Widths
from skvae.networks._offset import Offset

if TYPE_CHECKING:
    from torch import Tensor, nn


class TorchNetwork(Network):
    """Encoder and decoder that are modules of torch.

    The modules are built for each fit. They see rows without the axis of replicas,
    shape (n_rows, n_inputs); models that are trained side by side are one call of
    `torch.func.vmap`.

    Parameters
    ----------
    make_encoder : callable
        Builds the encoder, a `torch.nn.Module`, from the numbers ``(n_inputs,
        n_components)``: a class, or a function at the top of a module. `n_inputs` is
        an `Inputs`, whose ``columns`` say what each input is. The encoder returns the
        posterior mean and its log-variance side by side, 2 * n_components numbers a
        row.

    make_decoder : callable
        Builds the decoder from ``(n_components, n_outputs)``. It returns the
        parameters of the likelihood, `n_outputs` numbers a row, all real numbers: no
        sigmoid or softmax. For a Gaussian they are the mean of each column, in the
        units of standardized columns.

    posterior : {"diagonal", "full"}, default="diagonal"
        Covariance of the latents given a row. For a full one, the encoder returns
        M (M - 1) / 2 more numbers for M latents, in the order that `Network.encoder`
        describes.

    See Also
    --------
    ConvNet : Convolutions, for pictures.
    MLP : Dense layers, which start at a linear model.

    Notes
    -----
    Where the table of `fit` has missing cells, they are 0 among the inputs, and one
    number more for each column follows, 1 where the cell is missing and else 0.
    Categorical columns are one number for each level. With neither, `n_inputs` is the
    number of columns.

    An offset is added to the decoder's output, so that training starts at the
    distribution of each column. Start values of the modules are their own, drawn with
    `random_state`.

    `fit` tries the modules on a few rows, and refuses what cannot work: modules that
    change their buffers or let rows depend on each other, such as BatchNorm, random
    ones, such as Dropout, `.item()` and `if` on values of tensors, which `vmap` cannot
    follow, constants that are drawn at random, and functions that cannot be pickled.
    Buffers and parameters with ``requires_grad=False`` are constants, which each call
    of the function must give anew.

    References
    ----------
    .. [1] "torch.func", https://docs.pytorch.org/docs/stable/func.html

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from torch import nn
    >>> from skvae import BalancedVAE
    >>> from skvae.networks import TorchNetwork
    >>> class Encoder(nn.Sequential):
    ...     def __init__(self, n_inputs, n_components):
    ...         hidden = nn.Linear(n_inputs, 16)
    ...         super().__init__(hidden, nn.SiLU(), nn.Linear(16, 2 * n_components))
    >>> network = TorchNetwork(Encoder, nn.Linear)
    >>> X = load_wine().data
    >>> vae = BalancedVAE(2, network=network, max_iter=5, random_state=0).fit(X)
    >>> vae.transform(X).shape
    (178, 2)
    """

    _parameter_constraints = {
        "make_encoder": [callable],
        "make_decoder": [callable],
        "posterior": [StrOptions({"diagonal", "full"})],
    }

    indicates_every_column = True

    def __init__(
        self,
        make_encoder: Callable[[int, int], nn.Module],
        make_decoder: Callable[[int, int], nn.Module],
        posterior: str = "diagonal",
    ) -> None:
        self.make_encoder = make_encoder
        self.make_decoder = make_decoder
        self.posterior = posterior

    def check(self, widths: Widths, like: Tensor) -> None:
        """Raise an error where a module cannot be trained."""
        from skvae.networks._module_checks import check_module

        n_components = widths.n_components
        check_module(
            "make_encoder",
            self.make_encoder,
            (widths.n_inputs, n_components),
            self.encoder_width(n_components),
            "the mean and the log-variance of each latent",
            like,
        )
        check_module(
            "make_decoder",
            self.make_decoder,
            (n_components, widths.n_outputs),
            widths.n_outputs,
            "the parameters of the likelihood",
            like,
        )

    def encoder(self, n_inputs: int, n_components: int) -> Function:
        """Build the encoder."""
        from skvae.networks._module_function import ModuleFunction

        return ModuleFunction("encoder", self.make_encoder, (n_inputs, n_components))

    def decoder(self, n_components: int, n_outputs: int) -> Function:
        """Build the decoder."""
        from skvae.networks._module_function import ModuleFunction

        widths = n_components, n_outputs
        inner = ModuleFunction("decoder", self.make_decoder, widths)
        return Offset("decoder_offset", inner, n_components, n_outputs)
