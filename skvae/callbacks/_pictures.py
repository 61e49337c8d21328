"""Pictures of a model while it trains."""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from threading import get_ident
from typing import TYPE_CHECKING, Any

import numpy as np

from skvae._sklearn_compat import rows_of
from skvae.displays import HistoryDisplay, ReconstructionDisplay
from skvae.displays._axes import as_images, montage
from skvae.ground._optional import import_optional_dependency

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from skvae._vae import BalancedVAE

# Of the latents that pictures are drawn from: the same ones each time.
_SEED = 0


@dataclass
class _Fit:
    """A fit that is watched."""

    show: Callable[[bytes, str], None]
    """Shows a figure, as PNG, or writes it to a file of some name."""
    is_due: bool = True
    """True where the task that ends next gets a figure."""


class Pictures:
    """Draw reconstructions, samples and the history while a model trains.

    For a script, figures are written to files; in a notebook, one figure is shown and
    replaced. They show early what a fit of many minutes comes to: latents that
    collapse, blurred reconstructions, a rate that runs away.

    Each figure has the terms of the objective so far, and the first rows of X with
    their reconstructions. Where rows are pictures, it also has pictures drawn from the
    model without the decoder's noise, always at the same latents. Other rows are drawn
    as a heat map of the nats that each cell costs. Of a table that is larger than
    memory, a sample takes the place of X.

    Parameters
    ----------
    folder : str, path or None, default=None
        Where to write the figures. Each fit makes a folder of its own there, "fit_1",
        "fit_2" and so on, with a file for each figure, such as "epoch_0010.png", and
        "end.png" for the fitted model. None shows them in a notebook.

    every : int, default=10
        Epochs from one figure to the next, at least 1. The model is evaluated for each
        figure as at the end of a fit, which takes as long as some epochs.

    n_rows : int, default=10
        Rows that are reconstructed, and pictures that are drawn, at least 1.

    image_shape : sequence of int or None, default=None
        (height, width), or (height, width, 3) for colours in [0, 1], where rows are
        pictures.

    See Also
    --------
    skvae.displays.HistoryDisplay : The history of a fitted model.
    skvae.displays.ReconstructionDisplay : Rows and reconstructions of a fitted model.

    Notes
    -----
    Needs matplotlib. `partial_fit` calls no callbacks.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skvae import BalancedVAE
    >>> from skvae.callbacks import Pictures
    >>> pictures = Pictures("pictures", every=20, image_shape=(8, 8))
    >>> vae = BalancedVAE(10).set_callbacks(pictures)  # doctest: +SKIP
    >>> vae = vae.fit(load_digits().data / 16)  # doctest: +SKIP
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        every: int = 10,
        n_rows: int = 10,
        image_shape: Sequence[int] | None = None,
    ) -> None:
        value: Any
        for name, value in (("every", every), ("n_rows", n_rows)):
            if not isinstance(value, Integral) or value < 1:
                raise ValueError(
                    f"{name} must be an integer of at least 1, got {value!r}."
                )
        self.folder, self.every, self.n_rows = folder, every, n_rows
        self.image_shape = image_shape
        # By thread: one object may watch fits that run side by side.
        self._fits: dict[int, _Fit] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Settings alone: fits are of one process."""
        return {**vars(self), "_fits": {}}

    def setup(self, estimator: Any, context: Any) -> None:
        """Open what the figures of a fit go to."""
        name = type(self).__name__
        if not hasattr(estimator, "rate_distortion"):
            raise TypeError(
                f"{name} draws the training of a BalancedVAE, got "
                f"{type(estimator).__name__}. Set it on the BalancedVAE inside."
            )
        import_optional_dependency("matplotlib.figure", needed_by=name)
        show = _notebook(name) if self.folder is None else _files(Path(self.folder))
        self._fits[get_ident()] = _Fit(show)

    def teardown(self, estimator: Any, context: Any) -> None:
        """Forget the fit."""
        self._fits.pop(get_ident(), None)

    def on_fit_task_begin(self, estimator: Any, context: Any, *, X: Any = None) -> None:
        """Check the rows before the first epoch, and see if an epoch gets a figure."""
        fit = self._fits[get_ident()]
        if context.task_name == "epoch":
            fit.is_due = (context.task_id + 1) % self.every == 0
        elif self.image_shape is not None:
            as_images(np.zeros((1, estimator.n_features_in_)), self.image_shape)

    @property
    def on_fit_task_end(self) -> Callable[..., None]:
        """Hook for the end of an epoch and of the fit.

        scikit-learn reads the signature of a hook, and evaluates the model on all rows
        only for one that takes the model.
        """
        fit = self._fits.get(get_ident())
        # Outside of a fit there is nothing to draw.
        return self._pass_over if fit is None or not fit.is_due else self._draw

    def _pass_over(self, estimator: Any, context: Any) -> None:
        """End an epoch without a figure; that of the fit has one."""
        self._fits[get_ident()].is_due = True

    def _draw(
        self, estimator: Any, context: Any, *, X: Any, fitted_estimator: Any
    ) -> None:
        """Draw the model."""
        is_epoch = context.task_name == "epoch"
        name = f"epoch_{fitted_estimator.n_iter_:04d}" if is_epoch else "end"
        png = io.BytesIO()
        self._figure(fitted_estimator, X).savefig(png, format="png")
        self._fits[get_ident()].show(png.getvalue(), name)

    def _figure(self, vae: BalancedVAE, X: Any) -> Figure:
        """Figure of a fitted model, which no state of pyplot knows of."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(13.0, 5.0), layout="constrained")
        figure.suptitle(
            f"epoch {vae.n_iter_} of {vae.max_iter}, elbo {vae.elbo_:.4g} nats per row"
        )
        panels: Any = figure.subfigures(1, 2, width_ratios=[1.0, 1.3])
        history, others = panels
        HistoryDisplay.from_estimator(vae).plot(history.subplots())
        n_shown = min(self.n_rows, len(X))
        shown = ReconstructionDisplay.from_estimator(
            vae, rows_of(X, np.arange(n_shown))
        )
        if self.image_shape is None:
            shown.plot(others.subplots(), n_rows=n_shown)
            return figure
        rows, drawn = others.subplots(2, 1, height_ratios=[2.0, 1.0])
        shown.plot(rows, kind="images", n_rows=n_shown, image_shape=self.image_shape)
        self._draw_samples(drawn, vae, shown.image_.get_clim())
        return figure

    def _draw_samples(
        self, ax: Axes, vae: BalancedVAE, limits: tuple[float, float]
    ) -> None:
        """Draw pictures from the model, in the greys of the rows."""
        assert self.image_shape is not None
        means = np.asarray(vae.sample(self.n_rows, _SEED, noise=False), dtype=float)
        picture = montage(as_images(means[None], self.image_shape))
        ax.imshow(picture, cmap="gray", vmin=limits[0], vmax=limits[1])
        ax.set_xticks([])
        ax.set_yticks([0.5 * len(picture)], ["drawn"], fontsize=8)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)


def _files(folder: Path) -> Callable[[bytes, str], None]:
    """Make a folder for a fit, and return a function that writes figures there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise type(error)(
            f"The folder of Pictures, {str(folder)!r}, is a file, or lies in one. Name "
            "a folder, or a path where there is nothing yet."
        ) from error
    for number in itertools.count(1):
        own = folder / f"fit_{number}"
        try:
            # In one step, as other processes may do the same.
            own.mkdir()
            break
        except FileExistsError:
            continue

    def write(png: bytes, name: str) -> None:
        (own / f"{name}.png").write_bytes(png)

    return write


def _notebook(needed_by: str) -> Callable[[bytes, str], None]:
    """Return a function that shows figures in one place of a notebook."""
    needed_by = f"{needed_by}()"
    ipython = import_optional_dependency("IPython", needed_by=needed_by)
    display = import_optional_dependency("IPython.display", needed_by=needed_by)
    if ipython.get_ipython() is None:
        raise ValueError(
            f"{needed_by} shows figures in a notebook, and this is none. Name a folder "
            "to write them to, as in Pictures('pictures')."
        )
    place: list[Any] = []

    def show(png: bytes, name: str) -> None:
        image = display.Image(data=png)
        if place:
            place[0].update(image)
        else:
            place.append(display.display(image, display_id=True))

    return show
