"""Warnings of this package, for filters."""


class PosteriorCollapseWarning(UserWarning):
    """The latents of a model say nothing, or are sure to.

    `BalancedVAE.fit` gives it at most twice: before training, where a linear model
    with the same weight of the rate has no active latent, and after it, where the
    model or most of its latents have collapsed to the prior. Both messages say what
    to change.

    See Also
    --------
    skvae.metrics.latent_report : What each latent says.

    Examples
    --------
    A search over beta that is meant to go beyond what the data can bear:

    >>> import warnings
    >>> from skvae.exceptions import PosteriorCollapseWarning
    >>> warnings.simplefilter("ignore", PosteriorCollapseWarning)
    """


__all__ = ["PosteriorCollapseWarning"]
