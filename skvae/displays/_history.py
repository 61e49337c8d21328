"""Display of the training history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skvae.displays._axes import axes_or_new, split_axes
from skvae.fitted._pipeline import model_in

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TERMS = ("distortion", "rate", "elbo")


class HistoryDisplay:
    """Terms of the objective over the epochs of a training, and beta below them.

    All terms have one axis, in nats per row. It is recommended to create a display
    with `from_estimator`.

    Parameters
    ----------
    history : dict of str to array-like of shape (n_epochs,)
        `history_` of a fitted estimator. "rate", "distortion", "elbo" and "beta" are
        needed; those of held-out rows and "theta" are drawn where they are there.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where the terms are.

    beta_ax_ : matplotlib Axes
        Where beta is.

    figure_ : matplotlib Figure
        Where the axes are.

    lines_ : dict of str to matplotlib Line2D
        By the entry of the history.

    See Also
    --------
    RateDistortionDisplay : Several trainings against each other.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from skvae import BalancedVAE
    >>> from skvae.displays import HistoryDisplay
    >>> vae = BalancedVAE(2, max_iter=20, random_state=0).fit(load_wine().data)
    >>> display = HistoryDisplay.from_estimator(vae)
    >>> len(display.history["elbo"]) == vae.n_iter_
    True
    >>> ax = display.plot().ax_  # doctest: +SKIP
    """

    def __init__(self, history: Mapping[str, ArrayLike]) -> None:
        missing = sorted({*TERMS, "beta"} - set(history))
        if missing:
            raise ValueError(
                f"history lacks {missing}; pass the history_ of a fitted BalancedVAE."
            )
        self.history = {name: np.asarray(values) for name, values in history.items()}
        lengths = {name: values.shape for name, values in self.history.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(
                f"The entries of history must be equally long, got {lengths}."
            )

    @classmethod
    def from_estimator(cls, estimator: Any) -> HistoryDisplay:
        """Display the training of a fitted estimator.

        Parameters
        ----------
        estimator : object
            A fitted BalancedVAE, a Pipeline that ends in one, or a search over either.

        Returns
        -------
        display : HistoryDisplay
            Not drawn yet.
        """
        vae, _ = model_in(estimator, f"{cls.__name__}.from_estimator")
        return cls(vae.history_)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        terms: Sequence[str] = TERMS,
        skip: float = 0.05,
    ) -> HistoryDisplay:
        """Draw the terms, and beta in a panel of its own below them.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Whose place the two panels take; None makes a new figure.

        terms : sequence of {"distortion", "rate", "elbo"}
            Terms to draw, the elbo with its sign changed: rate + distortion.

        skip : float, default=0.05
            Fraction of the epochs, at the start, that the limits of the axis ignore, in
            [0, 1). Their values are often far larger than all later ones.

        Returns
        -------
        self : HistoryDisplay
            With the attributes of what was drawn.
        """
        unknown = sorted(set(terms) - set(TERMS))
        if unknown or not terms:
            raise ValueError(f"terms must be among {TERMS}, got {tuple(terms)}.")
        if not 0.0 <= skip < 1.0:
            raise ValueError(f"skip must be in the range [0, 1). Got {skip!r} instead.")
        ax = axes_or_new(ax, self, (7.5, 5.0))
        self.ax_, self.beta_ax_ = split_axes(ax, [3.0, 1.0])
        self.figure_ = self.ax_.figure
        self.lines_: dict[str, Any] = {}
        seen = []
        for i, term in enumerate(terms):
            for prefix, style in (("", "-"), ("validation_", "--")):
                values = self.history.get(prefix + term)
                if values is None:
                    continue
                if term == "elbo":
                    values = -values
                self._draw(self.ax_, prefix + term, values, f"C{i}", style)
                seen.append(values[int(skip * len(values)) :])
        self._set_limits(np.concatenate(seen))
        self.ax_.set_ylabel("nats per row")
        self._draw_legend(self.ax_)
        self._draw_beta()
        return self

    def _draw(
        self, ax: Axes, name: str, values: NDArray[np.floating], color: str, style: str
    ) -> None:
        """Draw an entry of the history; a single epoch is a point."""
        label = name.replace("validation_", "held-out ").replace(
            "elbo", "\N{MINUS SIGN}elbo"
        )
        marker = "o" if len(values) == 1 else None
        epochs = np.arange(1, len(values) + 1)
        (self.lines_[name],) = ax.plot(
            epochs, values, style, color=color, marker=marker, ms=4, lw=1.5, label=label
        )

    def _set_limits(self, values: NDArray[np.floating]) -> None:
        """Fit the axis of the terms to some of their values."""
        values = values[np.isfinite(values)]
        if values.size and values.min() < values.max():
            room = 0.06 * (values.max() - values.min())
            self.ax_.set_ylim(values.min() - room, values.max() + room)

    def _draw_legend(self, ax: Axes) -> None:
        """Name the lines beside the panel, where none of them can be in the way."""
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small")

    def _draw_beta(self) -> None:
        """Draw beta, on a logarithmic axis where it spans decades."""
        ax = self.beta_ax_
        shown = {"beta": self.history["beta"]}
        variance = self.history.get("variance")
        if "theta" in self.history and variance is not None and np.ptp(variance) > 0.0:
            shown["theta"] = self.history["theta"]
        for i, (name, values) in enumerate(shown.items()):
            self._draw(ax, name, values, f"C{i + len(TERMS)}", "-")
        values = np.concatenate(list(shown.values()))
        if (values > 0.0).all() and values.max() > 10.0 * values.min():
            ax.set_yscale("log")
        self._draw_legend(ax)
        ax.set(xlabel="epoch", ylabel=", ".join(shown))
        ax.locator_params(axis="x", integer=True)
