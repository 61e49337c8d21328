"""
Sum or mean: four reductions of one loss
========================================

The loss of a VAE is an error plus a weight times the KL divergence. Many programs take
means where the derivation has sums. Each choice corresponds to a different weight of
the KL. With some of them every reconstruction is the same dark picture.
"""

# %%
# The experiment
# --------------
# The squared error is summed over the 64 pixels of a digit, or is their mean; the KL is
# summed over 16 latents, or is their mean. `beta_from_loss` gives the beta of skvae for
# each of the four. Two more losses have the ``beta_norm`` of Higgins et al. (2017),
# whose error is half the squared one. Networks start at random, as in a textbook, and
# the pixels are standardized.

import matplotlib.pyplot as plt
import numpy as np
from _kept import kept
from _pictures import show_pictures

from skvae.balance import beta_from_loss

N_PIXELS, N_LATENTS = 64, 16
BETAS = {
    f"{error} + {kl}": beta_from_loss(
        n_features=N_PIXELS,
        n_components=N_LATENTS,
        error_reduction=error,
        kl_reduction=kl,
    )
    for error in ("sum", "mean")
    for kl in ("sum", "mean")
}
BETAS |= {f"beta_norm {b}": b * N_PIXELS / N_LATENTS for b in (0.1, 1)}


@kept
def trained():
    import warnings

    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    from skvae import BalancedVAE
    from skvae.exceptions import PosteriorCollapseWarning
    from skvae.networks import MLP

    X, X_new = train_test_split(load_digits().data, random_state=0, test_size=500)
    varies = X.std(axis=0) > 0
    values = {
        "digits": np.uint8(X_new[:12]),
        "eigenvalues": np.linalg.eigvalsh(np.corrcoef(X[:, varies].T))[::-1],
    }
    for name, beta in BETAS.items():
        vae = BalancedVAE(
            N_LATENTS,
            beta=beta,
            balance="constant",
            likelihood="gaussian",
            network=MLP((128,), activation="relu", linear_path=False),
            max_iter=40,
            early_stopping=False,
            random_state=0,
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            vae.fit(X)
        rebuilt = vae.inverse_transform(vae.transform(X_new))
        values[f"rebuilt {name}"] = np.uint8(np.clip(rebuilt[:12], 0, 16).round())
        n_warnings = sum(w.category is PosteriorCollapseWarning for w in caught)
        values[name] = (
            ((rebuilt - X_new) ** 2).mean() / X.var(axis=0).mean(),
            vae.rate_distortion(X_new)[0].mean(),
            n_warnings,
        )
    return values


results = trained()

# %%
# What came out
# -------------
# The error is a fraction of the variance of the pixels. A latent that a linear model
# keeps has an eigenvalue of the correlation matrix above beta.

print("error + KL       beta  eigenvalues above  error   rate  warnings")
for name, beta in BETAS.items():
    error, rate, n_warnings = results[name]
    n_above = (results["eigenvalues"] > beta).sum()
    print(
        f"{name:13} {beta:7.3f} {n_above:18d} {error:6.2f} {rate:6.1f}"
        f" {n_warnings:9.0f}"
    )

# %%
# The reconstructions of twelve new digits:

rows = {"new digits": results["digits"]}
for name, beta in BETAS.items():
    rows[f"{name}\nbeta {beta:.3g}"] = results[f"rebuilt {name}"]
show_pictures(rows, (8, 8), 16)
plt.show()

# %%
# Why
# ---
# The mean of the error is the sum divided by 64. A loss of that mean and the summed KL
# is therefore the summed loss with a KL that weighs 64 times as much: beta is 32 in
# place of 1/2. The horizontal lines are the betas. A component lowers the error in
# proportion to its eigenvalue, and a linear model uses only the components above the
# line.

figure, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
eigenvalues = results["eigenvalues"]
ax.plot(np.arange(1, len(eigenvalues) + 1), eigenvalues, "k.-")
for i, (name, beta) in enumerate(BETAS.items()):
    is_norm = name.startswith("beta_norm")
    ax.axhline(beta, color=f"C{i}", ls="--" if is_norm else "-")
    x, side, bottom = (1, "left", "top") if is_norm else (60, "right", "bottom")
    ax.text(x, beta, name, color=f"C{i}", ha=side, va=bottom)
ax.set(yscale="log", xlabel="principal component", ylabel="eigenvalue")
ax.set(xlim=(0, 61), title="Standardized digits")
ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# Conclusion
# ----------
# With the mean of the error and the summed KL, no eigenvalue is above beta. No latent
# is used, and every digit is reconstructed as the mean of all: not black, but the same
# dark blob. `fit` warns of this before and after training. With both sums the digits
# are fine. With both means they are blurred: beta is then 32 / 16 = 2, smaller by the
# number of latents, and for no other reason. The value of ``beta_norm`` matters as
# much: 0.1 is fine here, and with 1 the model has nearly collapsed.
#
# A weight of the KL has no meaning without its reductions. The derivation has sums, and
# beta in skvae always refers to them.
