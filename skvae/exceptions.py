"""Warnings and errors of this package."""


class ColumnWarning(UserWarning):
    """Warning that a column of a table is not used as its values suggest.

    Issued by `fit` for a column of categories with about as many levels as rows, and by
    every method that is given rows for values that the table of fit did not hold and
    that are taken for missing. Each message names the columns.

    Examples
    --------
    >>> import warnings
    >>> from skvae.exceptions import ColumnWarning
    >>> warnings.simplefilter("ignore", ColumnWarning)
    """


class EffectiveSampleSizeWarning(UserWarning):
    """Warning that rows drawn given some of their cells are few in effect.

    Issued by ``sample(given=...)`` where the cells are so improbable under the model
    that a handful of latents stands for all.

    Examples
    --------
    >>> import warnings
    >>> from skvae.exceptions import EffectiveSampleSizeWarning
    >>> warnings.simplefilter("error", EffectiveSampleSizeWarning)
    """


class PosteriorCollapseWarning(UserWarning):
    """Warning that the latents of a model have collapsed to the prior, or will.

    `BalancedVAE.fit` issues it at most twice: before training, if a linear model with
    the same weight of the rate has no active latent, and after it, if the model or most
    of its latents have collapsed. Each message names a remedy.

    See Also
    --------
    skvae.metrics.latent_report : Rate and activity of each latent.

    Examples
    --------
    Ignore the warning in a search that deliberately includes betas at which models
    collapse:

    >>> import warnings
    >>> from skvae.exceptions import PosteriorCollapseWarning
    >>> warnings.simplefilter("ignore", PosteriorCollapseWarning)
    """


class ProcessGroupError(RuntimeError):
    """Error of a `fit` that several processes share, in a process group of torch.

    Raised where another process has ended or does not answer, and where the processes
    did not start with the same table and settings, or have come apart. No model is
    fitted.

    Examples
    --------
    >>> from skvae.exceptions import ProcessGroupError
    >>> issubclass(ProcessGroupError, RuntimeError)
    True
    """


class TrainingDivergedError(ValueError, RuntimeError):
    """Error of a training whose numbers were not finite after any epoch.

    The message names what to change. A training that diverges later ends with the best
    weights that were finite, and a `sklearn.exceptions.ConvergenceWarning`.

    See Also
    --------
    PosteriorCollapseWarning : Training that has converged to a model without latents.

    Examples
    --------
    >>> from skvae.exceptions import TrainingDivergedError
    >>> issubclass(TrainingDivergedError, ValueError)
    True
    """


__all__ = [
    "ColumnWarning",
    "EffectiveSampleSizeWarning",
    "PosteriorCollapseWarning",
    "ProcessGroupError",
    "TrainingDivergedError",
]
