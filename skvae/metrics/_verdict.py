"""Verdict of a report: findings, each with a remedy."""

from __future__ import annotations

from typing import Any

import numpy as np

from skvae.fitted._access import fitted_of
from skvae.fitted._collapse import has_collapsed

# Deviation from the variance law that hints at a fit that is not done.
_MAX_DEVIATION = 0.2

# Fraction of a latent's rate, and nats, from which on a mismatch degrades samples.
_MAX_MISMATCH, _MIN_MISMATCH = 0.5, 0.5


def verdict_on(vae: Any, found: dict[str, Any], n_effective: float) -> str:
    """Sentences on a model, each with what to change.

    Parameters
    ----------
    vae : BalancedVAE
        The fitted model.
    found : dict of str to object
        Attributes of a `LatentReport`, by name.
    n_effective : float
        Rows of equal weight that are worth as much as those of the report.
    """
    if has_collapsed(found["rate"], found["explained"]):
        return (
            f"Collapsed: the latents say next to nothing, {found['rate']:.2g} nats per "
            f"row. {_remedy(vae)}"
        )
    sentences = [
        _on_latents(vae, found),
        _on_pca(vae, found, n_effective),
        _on_variance(vae, found),
        _on_mismatch(vae, found),
    ]
    sentences = [sentence for sentence in sentences if sentence]
    if sentences:
        return " ".join(sentences)
    n_active, n_latents = int(found["active_units"].sum()), vae.n_components_
    if n_latents == 1:
        return "Healthy: the latent carries what it should."
    of_all = "all" if n_active == n_latents else f"{n_active} of"
    return f"Healthy: {of_all} {n_latents} latents are active."


def _remedy(vae: Any) -> str:
    """Remedy for latents that have collapsed."""
    fitted = fitted_of(vae)
    return fitted.spec.remedy(fitted.beta)


def _on_latents(vae: Any, found: dict[str, Any]) -> str:
    """Sentence on latents that have collapsed; empty if there are none."""
    is_collapsed, n_latents = found["collapsed_units"], vae.n_components_
    n_collapsed = int(is_collapsed.sum())
    if not n_collapsed:
        return ""
    count = f"{n_collapsed} of {n_latents} latents"
    if 2 * n_collapsed > n_latents:
        return f"Mostly collapsed: {count}. {_remedy(vae)}"
    names = ", ".join(found["names"][is_collapsed])
    return (
        f"{count} ({names}) have collapsed: n_components={n_latents - n_collapsed} "
        "suffices."
    )


def _on_pca(vae: Any, found: dict[str, Any], n_effective: float) -> str:
    """Sentence on a model that is worse than a linear one; empty otherwise."""
    pca = found["pca"]
    if pca is None:
        return ""
    n_features, n_latents = (
        vae.n_features_in_,
        min(vae.n_components_, vae.n_features_in_),
    )
    # PCA was fitted to these very rows. On new ones it loses, on average, a nat for
    # each of its parameters, divided by the rows.
    n_parameters = n_features * (n_latents + 2) - n_latents * (n_latents - 1) / 2
    lack = pca.elbo - n_parameters / n_effective - found["elbo"]
    if lack <= 0.0:
        return ""
    return (
        f"Explains these rows by {lack:.2g} nats less than PCA of the same size would: "
        f"raise max_iter (now {vae.max_iter}), or use the default balance with beta=1."
    )


def _on_variance(vae: Any, found: dict[str, Any]) -> str:
    """Sentence on latents that are not as wide as the prior; empty otherwise."""
    deviation = found["variance_deviation"]
    if abs(deviation) <= _MAX_DEVIATION:
        return ""
    return (
        f"The variance of the latents is {1.0 + deviation:.2f} on average and not 1: "
        f"raise max_iter (now {vae.max_iter}) or beta (now {vae.beta:.4g}). On new "
        "rows it may also mean that they differ from those of fit."
    )


def _on_mismatch(vae: Any, found: dict[str, Any]) -> str:
    """Sentence on latents that are not standard normal; empty if all are.

    Another prior than that, which `sample` draws from, follows the latents.
    """
    # The mismatch of all latents together is mostly a limit of the finite mixture.
    mismatch = found["latent_mismatch"]
    rate = mismatch + found["latent_mutual_information"]
    is_large = mismatch > np.maximum(_MAX_MISMATCH * rate, _MIN_MISMATCH)
    if not is_large.any() or vae.prior != "normal":
        return ""
    names = ", ".join(found["names"][is_large])
    return (
        f"Most nats of {names} are a mismatch between the latents of these rows and "
        "the prior, so that sample draws other ones: set prior='mixture', transform "
        f"skewed columns, or raise max_iter (now {vae.max_iter}) or beta (now "
        f"{vae.beta:.4g})."
    )
