"""A callback that keeps a training in a file, for the same call to go on from."""

from __future__ import annotations

import os
from numbers import Integral
from pathlib import Path
from typing import Any

from skvae._sklearn_compat import Interval, validate_parameter_constraints
from skvae.callbacks._file import read, remove_temporary, write

_CONSTRAINTS = {
    "path": [str, os.PathLike],
    "every": [Interval(Integral, 1, None, closed="left")],
}


class Checkpoint:
    """Keep a training in a file, and take it up again where it was cut off.

    A fit that is killed, at whatever moment, and is started again by the same call goes
    on from the last epoch that is in the file. On the same machine it ends bit for bit
    as if it had never been cut off.

    Parameters
    ----------
    path : str or PathLike
        The file, in a folder that exists. One file is for one fit: a second one that is
        not the same is refused.

    every : int, default=1
        Epochs between two writings of the file, at least 1. It is also written at the
        end of the fit, and when the user interrupts it.

    See Also
    --------
    skvae.BalancedVAE.partial_fit : Training by parts, kept by a pickle of the model.

    Notes
    -----
    *The same call* has the same settings, the same rows and weights in any order, and
    the same versions of skvae, torch, numpy and scikit-learn. If one of these differs,
    `fit` raises a `ValueError` that names it, and leaves the file as it is. The number
    of threads is not compared, but may change the rounding.

    With a `random_state` of None, or an instance, `fit` goes on with the seed that the
    first call drew.

    The file stays when the fit has ended. The same call then returns the finished model
    at once, so that a program of several fits, each with a file of its own, can be
    started again as a whole. To train anew, delete the file.

    A file is written under another name in the same folder, and takes its place when
    the disk has all of it. If it cannot be written, `fit` raises an `OSError`, and the
    file before it is kept. It is a line of JSON, and the numbers of arrays; reading it
    runs no code. It holds the weights, their moments, the history and checksums of the
    table, but no row of it.

    Supported are the `fit` of `BalancedVAE` and that of `OutlierVAE`, whose folds are
    trained again each time. `BalancedVAECV` and `beta_path` train many models and raise
    a `ValueError`, as does the second fit of a search, which is of other rows. In a
    pipeline it belongs on the estimator itself. Other callbacks are called from the
    epoch on that follows; what they hold is not kept.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_wine
    >>> from skvae import BalancedVAE
    >>> from skvae.callbacks import Checkpoint
    >>> X = load_wine().data
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "wine.checkpoint"
    ...     vae = BalancedVAE(2, max_iter=20, random_state=0)
    ...     vae = vae.set_callbacks(Checkpoint(file)).fit(X)
    ...     again = BalancedVAE(2, max_iter=20, random_state=0)
    ...     again = again.set_callbacks(Checkpoint(file)).fit(X)
    >>> bool((again.transform(X) == vae.transform(X)).all())
    True
    """

    def __init__(self, path: str | os.PathLike[str], every: int = 1) -> None:
        given = {"path": path, "every": every}
        validate_parameter_constraints(_CONSTRAINTS, given, "Checkpoint")
        self.path, self.every = path, every

    def __repr__(self) -> str:
        """Return the call that makes it."""
        return f"Checkpoint({os.fspath(self.path)!r}, every={self.every})"

    def setup(self, estimator: Any, context: Any) -> None:
        """Check that the file can be there, before an epoch is trained in vain.

        Parameters
        ----------
        estimator : BalancedVAE
            The estimator that is being fitted.
        context : CallbackContext
            Its task.
        """
        folder = self._file.parent
        if not folder.is_dir():
            raise FileNotFoundError(
                f"{self} needs the folder {folder}, which does not exist. Create it, "
                "or pass another path."
            )
        if self._file.is_dir():
            raise IsADirectoryError(
                f"{self} needs the name of a file, and {self._file} is a folder."
            )
        # Of this fit no process writes by now.
        remove_temporary(self._file)

    def teardown(self, estimator: Any, context: Any) -> None:
        """Do nothing.

        Parameters
        ----------
        estimator : BalancedVAE
            The estimator that was fitted.
        context : CallbackContext
            Its task.
        """

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Take up the training that is in the file, if there is one.

        Parameters
        ----------
        estimator : BalancedVAE
            The estimator that is being fitted.
        context : CallbackContext
            Its task.
        """
        training = getattr(context, "training", None)
        if training is None:
            raise ValueError(
                f"{self} keeps the training of one BalancedVAE or OutlierVAE, and was "
                f"called in a fit of {type(estimator).__name__} that trains several "
                "models, or is inside of another estimator. BalancedVAECV and "
                "beta_path train many models, and have no checkpoints. In a pipeline "
                "or a search, set it on the estimator itself."
            )
        if context.task_name == "epoch":
            return
        found = read(self._file)
        if found is None:
            return
        header, arrays = found
        differences = training.differences(header["identity"])
        if differences:
            raise ValueError(
                f"The checkpoint {self._file} is of another fit: "
                f"{'; '.join(differences)}. Fit as it was to go on, pass another path, "
                "or delete the file to start anew."
            )
        training.resume(header["seed"], arrays)

    def on_fit_task_end(self, estimator: Any, context: Any) -> bool:
        """Write the file after an epoch that it is due in, and at the end of the fit.

        Parameters
        ----------
        estimator : BalancedVAE
            The estimator that is being fitted.
        context : CallbackContext
            Its task.

        Returns
        -------
        stop : bool
            Always False.
        """
        training = context.training
        if context.task_name == "epoch" and training.n_epochs % self.every:
            return False
        arrays = training.to_arrays()
        # None where the file held a fit that had ended.
        if arrays is not None:
            self._write(training, arrays)
        return False

    def _write(self, training: Any, arrays: dict[str, Any]) -> None:
        """Write the file, or raise `OSError`."""
        header = {"seed": training.seed, "identity": training.identity}
        try:
            write(self._file, header, arrays)
        except OSError as error:
            raise OSError(
                error.errno,
                f"The checkpoint of epoch {training.n_epochs} could not be written to "
                f"{self._file}: {error.strerror}. The one before it, if there is one, "
                "is kept. Make room or mend the folder, and start the same fit again "
                "to go on from there",
            ) from error

    @property
    def _file(self) -> Path:
        return Path(self.path)
