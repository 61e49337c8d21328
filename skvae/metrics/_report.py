"""The form of a report on latents: text, table and HTML."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pandas import DataFrame

Floats = NDArray[np.floating]

# Columns of the table in each of its forms, and the attributes that they show.
_COLUMNS = {
    "rate": "latent_rate",
    "activity": "latent_activity",
    "active": "active_units",
    "collapsed": "collapsed_units",
    "explained": "latent_explained",
    "mutual_information": "latent_mutual_information",
    "mismatch": "latent_mismatch",
    "variance": "latent_variance",
}


class PCABaseline(NamedTuple):
    """Probabilistic PCA of as many latents, fitted to the rows of the report.

    In nats per row and in the units of X; its elbo is its log-likelihood.
    """

    rate: float
    distortion: float
    elbo: float


@dataclass(frozen=True, repr=False, eq=False)
class LatentReport:
    r"""What each latent of a fitted model says about rows, and what to change.

    Made by `latent_report`. ``print(report)`` shows a table and a verdict in words, a
    notebook shows them as HTML, and `to_frame` gives the table to compute with. All
    numbers are in nats per row, but for the variances.

    Attributes
    ----------
    names : ndarray of str of shape (n_components,)
        Names of the latents, as from `get_feature_names_out`.

    latent_rate : ndarray of shape (n_components,)
        KL(q(z_j given x), p(z_j)), a mean over rows; sums to `rate`. With a posterior
        of full covariance, of each latent given those before it.

    latent_activity : ndarray of shape (n_components,)
        Variance of the posterior mean over rows.

    active_units : ndarray of shape (n_components,), dtype=bool
        Where that is above 0.01.

    collapsed_units : ndarray of shape (n_components,), dtype=bool
        Latents whose rate is below 0.01 nats on at least 99 % of the rows.

    latent_explained : ndarray of shape (n_components,)
        Nats by which the distortion rises if the latent is put to 0, its mean under
        the prior, while the others are drawn from the posterior as before and the
        decoder, its variance included, stays as it is. Below 0 where the decoder is
        better off without.

    latent_mutual_information : ndarray of shape (n_components,)
        I(x; z_j): what the latent by itself tells about which row it is.

    latent_mismatch : ndarray of shape (n_components,)
        KL(q(z_j), p(z_j)) of the aggregate posterior, a mixture over rows, from the
        prior: how far what `sample` draws is from what rows are encoded as.

    latent_variance : ndarray of shape (n_components,)
        Variance of the aggregate posterior: activity plus the mean posterior
        variance. 1 for a linear model at its optimum.

    rate, distortion, elbo : float
        Means over the rows; ``elbo == -(rate + distortion)``.

    explained : float
        As `latent_explained`, with all latents put to 0.

    mutual_information : float
        I_q(x; z), what the latents together tell about which row it is. At most
        `max_information`.

    mismatch : float
        KL(q(z), p(z)): ``rate == mutual_information + mismatch`` [1]_.

    max_information : float
        Entropy of the weights of the rows in the mixture: log n for n equal ones.

    variance_deviation : float
        Mean of `latent_variance` minus 1 [2]_. Beyond 0.2 in either direction, it
        hints at a fit that is not done, or at a small beta.

    pca : PCABaseline or None
        Rate, distortion and elbo of probabilistic PCA with as many latents, fitted
        to the rows of the report in closed form; None if the likelihood is not
        Gaussian.

    n_samples : int
        Rows of positive weight.

    n_mixture_rows : int
        Of these, the ones that what needs a mixture, or a latent taken away, is
        computed from.

    verdict : str
        What this says of the model and what to change.

    See Also
    --------
    latent_report : Makes a report.
    skvae.exceptions.PosteriorCollapseWarning : What `fit` warns of.

    Notes
    -----
    The mutual information is estimated from draws and the mixture of all rows, or of
    a part of a large table. With n rows it cannot exceed log n; where it comes close,
    the rest of the rate counts as mismatch though it need not be one. The mismatch is
    the difference of the rate, which is exact, and that estimate, so that it may be
    a few hundredths of a nat below 0.

    References
    ----------
    .. [1] M. D. Hoffman and M. J. Johnson, "ELBO surgery: yet another way to carve up
       the variational evidence lower bound", NeurIPS 2016 workshop on advances in
       approximate Bayesian inference.
    .. [2] A. Asperti, "Variance loss in variational autoencoders", LOD 2020.
       https://arxiv.org/abs/2002.09860

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from skvae import BalancedVAE
    >>> from skvae.metrics import latent_report
    >>> X = load_wine().data
    >>> vae = BalancedVAE(3, max_iter=10, tol=10.0, random_state=0).fit(X)
    >>> report = latent_report(vae, X)
    >>> report.latent_rate.shape
    (3,)
    >>> report.collapsed_units
    array([False, False, False])
    """

    names: NDArray[np.str_]
    latent_rate: Floats
    latent_activity: Floats
    active_units: NDArray[np.bool_]
    collapsed_units: NDArray[np.bool_]
    latent_explained: Floats
    latent_mutual_information: Floats
    latent_mismatch: Floats
    latent_variance: Floats
    rate: float
    distortion: float
    elbo: float
    explained: float
    mutual_information: float
    mismatch: float
    max_information: float
    variance_deviation: float
    pca: PCABaseline | None
    n_samples: int
    n_mixture_rows: int
    verdict: str

    def to_frame(self) -> DataFrame:
        """Table of the latents.

        Returns
        -------
        frame : DataFrame of shape (n_components, 8)
            A line for each latent, by its name. The columns are "rate", "activity",
            "active", "collapsed", "explained", "mutual_information", "mismatch" and
            "variance".
        """
        import pandas as pd

        columns = {name: getattr(self, of) for name, of in _COLUMNS.items()}
        return pd.DataFrame(columns, index=pd.Index(self.names, name="latent"))

    def _cells(self) -> list[list[str]]:
        """Table of the latents as text, with its head."""
        columns = [getattr(self, of) for of in _COLUMNS.values()]
        head = ["latent", *(name.replace("_", " ") for name in _COLUMNS)]
        lines = zip(self.names, *columns, strict=True)
        return [head, *([_text(cell) for cell in line] for line in lines)]

    def _sentences(self) -> list[str]:
        """What there is to say of the model."""
        rate, distortion, elbo = map(_text, (self.rate, self.distortion, self.elbo))
        said = [
            f"rate {rate} = mutual information {_text(self.mutual_information)} "
            f"(at most {_text(self.max_information)}) + mismatch of the aggregate "
            f"posterior {_text(self.mismatch)}",
            f"distortion {distortion}, elbo {elbo}; without latents the distortion is "
            f"{_text(self.explained)} higher",
        ]
        if self.pca is not None:
            rate, distortion, elbo = map(_text, self.pca)
            said.append(
                f"PCA of the same size: rate {rate}, distortion {distortion}, "
                f"elbo {elbo}"
            )
        law = _text(1.0 + self.variance_deviation)
        said.append(f"variance law: {law} (1 where posterior and prior agree)")
        return said

    def _title(self) -> str:
        part = ""
        if self.n_mixture_rows < self.n_samples:
            part = f" (mixtures over {self.n_mixture_rows} of them)"
        n_latents = f"{len(self.names)} latents on {self.n_samples} rows"
        return f"{n_latents}{part}, nats per row"

    def __str__(self) -> str:
        cells = self._cells()
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        table = [
            "  ".join(
                [line[0].ljust(widths[0])]
                + [c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True)]
            )
            for line in cells
        ]
        return "\n".join(
            [self._title(), "", *table, "", *self._sentences(), "", self.verdict]
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.verdict}>"

    def _repr_html_(self) -> str:
        head, *body = ([html.escape(cell) for cell in line] for line in self._cells())
        said = [html.escape(sentence) for sentence in self._sentences()]
        return "".join(
            [
                f"<table><caption>{html.escape(self._title())}</caption><thead><tr>",
                *(f"<th>{cell}</th>" for cell in head),
                "</tr></thead><tbody>",
                *(
                    f"<tr><th>{line[0]}</th>"
                    + "".join(f"<td>{cell}</td>" for cell in line[1:])
                    + "</tr>"
                    for line in body
                ),
                "</tbody></table>",
                f"<p>{'<br>'.join(said)}</p>",
                f"<p><strong>{html.escape(self.verdict)}</strong></p>",
            ]
        )


def _text(cell: Any) -> str:
    if isinstance(cell, np.bool_):
        return "yes" if cell else "no"
    return cell if isinstance(cell, str) else f"{cell:z.3f}"
