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

# Columns of the tables in each of their forms, and the attributes that they show.
_OF_LATENTS = {
    "rate": "latent_rate",
    "activity": "latent_activity",
    "active": "active_units",
    "collapsed": "collapsed_units",
    "explained": "latent_explained",
    "mutual_information": "latent_mutual_information",
    "mismatch": "latent_mismatch",
    "variance": "latent_variance",
}
_OF_COLUMNS = {
    "null": "column_null_distortion",
    "distortion": "column_distortion",
    "explained": "column_explained",
}

# Columns of X that text and HTML show, the ones that latents explain most of.
_MAX_COLUMNS = 10


class PCABaseline(NamedTuple):
    """Probabilistic PCA of as many latents, fitted to the rows of the report.

    In nats per row and in the units of X; its elbo is its log-likelihood.
    """

    rate: float
    distortion: float
    elbo: float


@dataclass(frozen=True, repr=False, eq=False)
class LatentReport:
    r"""Information in each latent of a fitted model about rows, and what to change.

    Made by `latent_report`. ``print(report)`` shows a table of the latents, one of the
    columns that they explain most of, and a verdict in words; a notebook shows them as
    HTML, and `to_frame` gives the tables to compute with. All numbers are in nats per
    row, but for the variances.

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
        Latents with an activity above 0.01.

    collapsed_units : ndarray of shape (n_components,), dtype=bool
        Latents whose rate is below 0.01 nats on at least 99 % of the rows.

    latent_explained : ndarray of shape (n_components,)
        Nats by which the distortion rises if the latent is put to 0, its mean under
        the prior, while the others are drawn from the posterior as before and the
        decoder, its variance included, stays as it is. Below 0 where the distortion is
        lower without the latent.

    latent_mutual_information : ndarray of shape (n_components,)
        I(x; z_j): information of the latent by itself about the row.

    latent_mismatch : ndarray of shape (n_components,)
        KL(q(z_j), p(z_j)) of the aggregate posterior, a mixture over rows, from the
        standard normal: the distance of encoded rows from the latents that `sample`
        draws, unless the `prior` of the model is another.

    latent_variance : ndarray of shape (n_components,)
        Variance of the aggregate posterior: activity plus the mean posterior
        variance; 1 for a linear model at its optimum.

    columns : ndarray of str of shape (n_features,)
        Names of the columns of X, x0, x1 and so on where it has none.

    column_null_distortion : ndarray of shape (n_features,)
        Distortion of the null model: of each column by its own distribution over the
        rows of `fit`, of the likelihood that it has in the model. A missing cell counts
        as 0, here and below.

    column_distortion : ndarray of shape (n_features,)
        Distortion of the model; sums to `distortion`.

    column_explained : ndarray of shape (n_features,)
        The first minus the second: nats of the column that the latents explain, in one
        unit across types. Below 0 where the column is better explained by itself.

    rate, distortion, elbo : float
        Means over the rows; ``elbo == -(rate + distortion)``. All rates of the report,
        of each latent and of all, are from the standard normal that training is
        towards, whatever the `prior` of the model. With a mixture, `score` is larger.

    null_distortion : float
        Sum of `column_null_distortion`; minus `distortion` it is the sum of
        `column_explained`.

    explained : float
        As `latent_explained`, with all latents put to 0.

    mutual_information : float
        I_q(x; z), the information of all latents together about the row. At most
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
        Gaussian, or a cell is missing.

    n_samples : int
        Rows of positive weight.

    n_mixture_rows : int
        Rows among these that mixtures, and distortions without a latent, are computed
        from.

    verdict : str
        Assessment of the model and what to change.

    See Also
    --------
    latent_report : Makes a report.
    skvae.exceptions.PosteriorCollapseWarning : The warning of `fit`.

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
    columns: NDArray[np.str_]
    column_null_distortion: Floats
    column_distortion: Floats
    column_explained: Floats
    rate: float
    distortion: float
    elbo: float
    null_distortion: float
    explained: float
    mutual_information: float
    mismatch: float
    max_information: float
    variance_deviation: float
    pca: PCABaseline | None
    n_samples: int
    n_mixture_rows: int
    verdict: str

    def to_frame(self, of: str = "latents") -> DataFrame:
        """Table of the latents, or of the columns of X.

        Parameters
        ----------
        of : {"latents", "columns"}, default="latents"
            Contents of the lines.

        Returns
        -------
        frame : DataFrame of shape (n_components, 8) or (n_features, 3)
            A line for each latent or column, by its name. The columns are "rate",
            "activity", "active", "collapsed", "explained", "mutual_information",
            "mismatch" and "variance" of latents; "null", "distortion" and "explained"
            of columns.
        """
        import pandas as pd

        if of not in ("latents", "columns"):
            raise ValueError(f"of must be 'latents' or 'columns', got {of!r}.")
        names, shown, what = self.names, _OF_LATENTS, "latent"
        if of == "columns":
            names, shown, what = self.columns, _OF_COLUMNS, "column"
        return pd.DataFrame(
            {name: getattr(self, attribute) for name, attribute in shown.items()},
            index=pd.Index(names, name=what),
        )

    def _tables(self) -> list[list[list[str]]]:
        """Tables of the latents and of columns as text, each with its head."""
        order = np.argsort(-self.column_explained, kind="stable")
        first, rest = order[:_MAX_COLUMNS], order[_MAX_COLUMNS:]
        columns = self._lines("column", self.columns, _OF_COLUMNS, first)
        if len(rest):
            sums = (getattr(self, of)[rest].sum() for of in _OF_COLUMNS.values())
            columns.append([f"{len(rest)} others", *map(_text, sums)])
        every = np.arange(len(self.names))
        return [self._lines("latent", self.names, _OF_LATENTS, every), columns]

    def _lines(
        self,
        what: str,
        names: NDArray[np.str_],
        shown: dict[str, str],
        order: NDArray[np.intp],
    ) -> list[list[str]]:
        """Lines of a table as text, with its head."""
        columns = [names, *(getattr(self, of) for of in shown.values())]
        head = [what, *(name.replace("_", " ") for name in shown)]
        return [head, *([_text(column[i]) for column in columns] for i in order)]

    def _sentences(self) -> list[str]:
        """Sentences on the whole model, without the verdict."""
        rate, distortion, elbo = map(_text, (self.rate, self.distortion, self.elbo))
        said = [
            f"rate {rate} = mutual information {_text(self.mutual_information)} "
            f"(at most {_text(self.max_information)}) + mismatch of the aggregate "
            f"posterior {_text(self.mismatch)}",
            f"distortion {distortion}, elbo {elbo}; without latents the distortion is "
            f"{_text(self.explained)} higher",
            f"null model of independent columns: distortion "
            f"{_text(self.null_distortion)}, of which the latents explain "
            f"{_text(self.null_distortion - self.distortion)}",
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
        tables = [line for table in self._tables() for line in ("", *_aligned(table))]
        return "\n".join(
            [self._title(), *tables, "", *self._sentences(), "", self.verdict]
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.verdict}>"

    def _repr_html_(self) -> str:
        latents, columns = map(_as_html, self._tables())
        said = [html.escape(sentence) for sentence in self._sentences()]
        return (
            f"<table><caption>{html.escape(self._title())}</caption>{latents}</table>"
            f"<table>{columns}</table>"
            f"<p>{'<br>'.join(said)}</p>"
            f"<p><strong>{html.escape(self.verdict)}</strong></p>"
        )


def _text(cell: Any) -> str:
    if isinstance(cell, np.bool_):
        return "yes" if cell else "no"
    return str(cell) if isinstance(cell, str) else f"{cell:z.3f}"


def _aligned(table: list[list[str]]) -> list[str]:
    """Lines of a table with its columns below each other."""
    first, *rest = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            [name.ljust(first), *(c.rjust(w) for c, w in zip(cells, rest, strict=True))]
        )
        for name, *cells in table
    ]


def _as_html(table: list[list[str]]) -> str:
    """Head and body of a table."""
    head, *body = ([html.escape(cell) for cell in line] for line in table)
    lines = (
        f"<tr><th>{name}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
        for name, *cells in body
    )
    return (
        f"<thead><tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody>"
    )
