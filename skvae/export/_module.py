"""A fitted model as a torch module."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from skvae.export._draws import AtomDraws
from skvae.export._scalers import Scaler
from skvae.export._view import TensorView
from skvae.fitted._drawn_posterior import drawn_sample
from skvae.fitted._fitted import Fitted
from skvae.model._evaluate import quadrature

#: Methods of an estimator, and of the module that do the same.
METHODS = {
    "transform": "encode",
    "inverse_transform": "decode",
    "score_samples": "score",
}


class TorchVAE(nn.Module):
    """A fitted model as a torch module, on tensors alone.

    Built by `to_torch`. Calling the module is calling the method that was chosen there.

    Parameters
    ----------
    fitted : Fitted
    scalers : sequence of Scaler
        Of the pipeline that the model ends, in order.
    dtype : torch.dtype
        Precision of the networks.
    method : {"transform", "inverse_transform", "score_samples"}
        What a call of the module does.

    Attributes
    ----------
    levels : list
        For each column, its categories in the order of their codes, or None for a
        column of numbers.
    """

    variance: Tensor
    noise: Tensor

    def __init__(
        self,
        fitted: Fitted,
        scalers: Sequence[Scaler],
        dtype: torch.dtype,
        method: str = "transform",
    ) -> None:
        super().__init__()
        # Likelihoods keep copies of their arrays on devices; these are its own.
        fitted = copy.deepcopy(fitted)
        model = fitted.on("cpu", str(dtype).removeprefix("torch."))
        self.method, self.spec = method, fitted.spec
        self.n_features = self.spec.n_features
        self.n_components = self.spec.n_components
        columns = fitted.view.columns
        self.levels = [columns.levels(d) for d in range(self.n_features)]
        self.functions, self.prior = model.module, model.prior
        self.view = TensorView(fitted.view, scalers)
        # A name of a parameter holds no dots.
        self.names = {name: name.replace(".", "_") for name in model.weights}
        self.weights = nn.ParameterDict(
            {self.names[name]: weight for name, weight in model.weights.items()}
        )
        self.register_buffer("variance", model.scored_variance)
        noise = quadrature(self.n_components)[:, None]
        self.register_buffer("noise", torch.tensor(noise, dtype=dtype))
        scores = fitted.view.scores
        self.draws = None
        if scores is not None and scores.has_atoms:
            self.draws = AtomDraws(scores, len(noise))

    def forward(self, rows: Tensor) -> Tensor:
        """The chosen method."""
        found: Tensor = getattr(self, METHODS[self.method])(rows)
        return found

    def encode(self, X: Tensor) -> Tensor:
        """Posterior means.

        Parameters
        ----------
        X : Tensor of shape (n_samples, n_features)
            NaN where a cell is missing; the code of a category, as in `levels`.

        Returns
        -------
        Z : Tensor of shape (n_samples, n_components)
        """
        x, observed = self._seen(self.view.admitted(X))
        return self.functions.encode(self._weights, x, observed).mean[0]

    def decode(self, Z: Tensor) -> Tensor:
        """Decoder means in the units of X, and codes of the most probable categories.

        Parameters
        ----------
        Z : Tensor of shape (n_samples, n_components)

        Returns
        -------
        X : Tensor of shape (n_samples, n_features)
            In the precision of Z.
        """
        z = Z.to(self.noise.dtype)[None]
        X = self.functions.likelihood.reconstruction(
            self.functions.decode(self._weights, z),
            self.variance,
            self.view.center,
            self.view.user_scale,
        )[0]
        return self.view.to_user(X, torch.finfo(z.dtype).max).to(z.dtype)

    def score(self, X: Tensor) -> Tensor:
        """ELBO of rows, in nats.

        Parameters
        ----------
        X : Tensor of shape (n_samples, n_features)
            As for `encode`.

        Returns
        -------
        elbo : Tensor of shape (n_samples,)
        """
        admitted = self.view.admitted(X)
        x, observed = self._seen(admitted)
        if self.draws is None or self.view.scores is None:
            sample = self.functions.sample(
                self._weights, x, torch.ones_like(x[:, 0]), self.noise, observed
            )
        else:
            u = self.draws(*self.view.scores.knots(admitted)).to(x.dtype)
            sample = drawn_sample(
                self.functions, self._weights, x, u, self.noise, observed
            )
        log_prob = self.functions.likelihood.log_prob(
            sample.x, sample.parameters, self.variance
        )
        shape = (len(self.noise), -1, self.n_features)
        nats = log_prob[0].reshape(shape).mean(dim=0)
        cells = nats - self.view.log_jacobian(admitted)
        rate = self.prior.rate(sample.posterior, sample.z, self.noise)[0]
        # Missing cells contribute no distortion.
        log_likelihood = torch.where(observed, cells, 0.0).sum(dim=1)
        return (log_likelihood - rate).to(x.dtype)

    @property
    def _weights(self) -> dict[str, Tensor]:
        return {name: self.weights[key] for name, key in self.names.items()}

    def _seen(self, admitted: Tensor) -> tuple[Tensor, Tensor]:
        """Rows as the networks see them, and which cells are not missing."""
        dtype = self.noise.dtype
        x, observed = self.view.seen(admitted, torch.finfo(dtype).eps)
        return x.to(dtype), observed
