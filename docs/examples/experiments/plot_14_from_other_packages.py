"""
From other packages to skvae
============================

The loss of another package corresponds to a beta in skvae. `beta_from_loss` computes it
from the loss as it is written there.
"""

# %%
# The experiment
# --------------
# A training loop as in many tutorials: two layers on each side, Adam, a loss in one
# line. It is run with three losses, and `BalancedVAE` with the beta of each. Both get
# the same standardized digits, layers, learning rate and number of steps.

from functools import partial

import matplotlib.pyplot as plt
import numpy as np
from _kept import kept

from skvae.balance import beta_from_loss

N_LATENTS, N_STEPS, N_BATCH, SEEDS = 8, 800, 128, (0, 1, 2)
to_beta = partial(beta_from_loss, n_features=61, n_components=N_LATENTS)
LOSSES = {
    "half the summed error + KL (pythae)": (
        lambda error, kl: error.sum(1).mean() / 2 + kl.sum(1).mean(),
        to_beta(error="half_squared", error_reduction="sum"),
    ),
    "mean error + 0.01 KL (PyTorch-VAE)": (
        lambda error, kl: error.mean() + 0.01 * kl.sum(1).mean(),
        to_beta(0.01),
    ),
    "mean error + KL (PyOD, any tutorial)": (
        lambda error, kl: error.mean() + kl.sum(1).mean(),
        to_beta(1.0),
    ),
}


@kept
def trained():
    import torch
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    from torch import nn

    from skvae import BalancedVAE
    from skvae.networks import MLP

    X, X_new = train_test_split(load_digits().data, random_state=0, test_size=500)
    varies = X.std(axis=0) > 0
    center, scale = X[:, varies].mean(axis=0), X[:, varies].std(axis=0)
    X, X_new = (
        torch.tensor((part[:, varies] - center) / scale).float() for part in (X, X_new)
    )
    # Pixels that hardly ever have ink would decide a mean of squares alone.
    X, X_new = X.clamp(-5, 5), X_new.clamp(-5, 5)

    def of_torch(loss_of, seed):
        torch.manual_seed(seed)
        encode = nn.Sequential(
            nn.Linear(61, 64), nn.ReLU(), nn.Linear(64, 2 * N_LATENTS)
        )
        decode = nn.Sequential(nn.Linear(N_LATENTS, 64), nn.ReLU(), nn.Linear(64, 61))
        weights = [*encode.parameters(), *decode.parameters()]
        optimizer = torch.optim.Adam(weights, 0.003)
        for _ in range(N_STEPS):
            x = X[torch.randint(len(X), (N_BATCH,))]
            mean, log_variance = encode(x).chunk(2, dim=1)
            z = mean + (log_variance / 2).exp() * torch.randn_like(mean)
            kl = (mean**2 + log_variance.exp() - 1 - log_variance) / 2
            loss = loss_of((decode(z) - x) ** 2, kl)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            mean, log_variance = encode(X_new).chunk(2, dim=1)
            kl = (mean**2 + log_variance.exp() - 1 - log_variance) / 2
            error = ((decode(mean) - X_new) ** 2).mean()
        return error.item(), kl.sum(1).mean().item()

    def of_skvae(beta, seed):
        vae = BalancedVAE(
            N_LATENTS,
            beta=beta,
            balance="constant",
            likelihood="gaussian",
            standardize=False,
            network=MLP((64,), activation="relu", linear_path=False),
            batch_size=N_BATCH,
            learning_rate="constant",
            max_iter=N_STEPS // 20,
            early_stopping=False,
            random_state=seed,
        ).fit(X.numpy())
        rebuilt = vae.inverse_transform(vae.transform(X_new.numpy()))
        rate, _ = vae.rate_distortion(X_new.numpy())
        return ((rebuilt - X_new.numpy()) ** 2).mean(), rate.mean()

    found = np.array(
        [
            [
                [of_torch(loss_of, seed) for seed in SEEDS],
                [of_skvae(beta, seed) for seed in SEEDS],
            ]
            for loss_of, beta in LOSSES.values()
        ]
    )
    return {"found": found}


found = trained()["found"]

# %%
# What came out
# -------------
# Squared error of reconstructions (1 is that of the mean) and rate in nats, of new
# rows: mean and standard deviation over three seeds.

print(f"{'loss as written':37} {'beta':>6}  {'':6} {'error':>14} {'rate':>13}")
for (name, (_, beta)), pair in zip(LOSSES.items(), found, strict=True):
    for kind, values in zip(("loop", "skvae"), pair, strict=True):
        (error, rate), (e_std, r_std) = values.mean(axis=0), values.std(axis=0)
        first = f"{name:37} {beta:6.3g}" if kind == "loop" else " " * 44
        print(
            f"{first}  {kind:6} {error:6.3f} ± {e_std:5.3f}  {rate:5.2f} ± {r_std:4.2f}"
        )

# %%
# As a picture: both are at the same points of the trade-off.

figure, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
for i, (name, pair) in enumerate(zip(LOSSES, found, strict=True)):
    ax.plot(*pair[0].T[::-1], "o", mfc="none", ms=11, color=f"C{i}")
    ax.plot(*pair[1].T[::-1], "x", color=f"C{i}", label=name)
ax.plot([], [], "o", mfc="none", ms=11, color="gray", label="training loop")
ax.plot([], [], "x", color="gray", label="BalancedVAE")
ax.set(xlabel="rate in nats", ylabel="squared error", ylim=(0, None))
ax.legend()
plt.show()

# %%
# Conclusion
# ----------
# The three losses look much alike, and stand for betas of 1, 0.3 and 30. With the beta
# of its loss, `BalancedVAE` ends where the loop does: the errors differ by 5 %, the
# rates by 2 to 9 %, with other start values, batches and noise. The last loss collapses
# in both; `fit` then warns, before training and after, which the loop does not.
#
# The weights of more packages are in the table of the guide's page on balance. Keep
# three things in mind when you move. Scores here always have weight 1 and a calibrated
# variance: compare errors and rates, not losses. The default does not need a weight, as
# the variance of the decoder follows the error. To compare step by step with a loop,
# set ``learning_rate="constant"`` as here, since the default rises and falls once over
# the planned steps.
