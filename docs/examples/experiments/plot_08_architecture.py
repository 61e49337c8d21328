"""
Depth, width, residual layers, latents
======================================

How much do the usual settings of a network matter on a table?
"""

# %%
# The experiment
# --------------
# The models are fitted to 1,500 block groups of California with nine columns, and
# scored on 1,000 others. Each network is trained three times, on the same rows with
# different seeds. All but one start at the linear model. The policy has a variance for
# each column.

import matplotlib.pyplot as plt
import numpy as np
from _kept import kept

from skvae.networks import MLP

NETWORKS = {
    "linear": MLP(()),
    "1 x 128": MLP((128,)),
    "2 x 128": MLP((128, 128)),
    "4 x 64": MLP((64,) * 4),
    "4 x 64, residual": MLP((64,) * 4, residual=True),
    "2 x 128, random start": MLP((128, 128), linear_path=False),
}
N_LATENTS = (2, 4, 8)
SEEDS = (0, 1, 2)


@kept
def trained():
    from benchmarks.common.tables import load
    from skvae import BalancedVAE
    from skvae.balance import RunningAverage

    table = np.random.default_rng(0).permutation(load("california housing"))
    X, X_new = table[:1500], table[2000:3000]
    runs = [(name, 4) for name in NETWORKS] + [("2 x 128", n) for n in N_LATENTS]
    found = {}
    for name, n_components in runs:
        if (name, n_components) in found:
            continue
        found[name, n_components] = [
            BalancedVAE(
                n_components,
                network=NETWORKS[name],
                balance=RunningAverage(scope="feature"),
                max_iter=20,
                random_state=seed,
            )
            .fit(X)
            .score(X_new)
            for seed in SEEDS
        ]
    return {
        "networks": np.array([found[name, 4] for name in NETWORKS]),
        "latents": np.array([found["2 x 128", n] for n in N_LATENTS]),
    }


results = trained()

# %%
# What came out
# -------------
# The elbo of new rows, in nats per row above the linear model. Each dot is a seed.

figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained", sharey=True)
linear = results["networks"][0].mean()
for ax, key, names in zip(
    axes, ("networks", "latents"), (list(NETWORKS), N_LATENTS), strict=True
):
    gains = results[key] - linear
    ax.plot(gains, "o", color="C0", alpha=0.6)
    ax.plot(gains.mean(axis=1), "_", color="black", ms=16)
    slanted = {"rotation": 30, "ha": "right"} if key == "networks" else {}
    ax.set_xticks(range(len(names)), names, **slanted)
axes[0].set_title("networks, with 4 latents")
axes[1].set(title="latents, with 2 x 128", xlabel="latents")
axes[0].set_ylabel("nats above the linear model")
plt.show()

for key, names in (("networks", NETWORKS), ("latents", N_LATENTS)):
    for name, scores in zip(names, results[key], strict=True):
        label = name if key == "networks" else f"{name} latents"
        print(f"{label:24} {scores.mean():8.2f} ± {scores.std():4.2f}")

# %%
# Conclusion
# ----------
# Hidden layers gain a nat and a half. Their number and kind hardly matter. Two layers
# are better than one by about the scatter of the seeds, and four are no better than
# two. Residual layers gain nothing beyond that scatter. With so few layers and a
# training of 400 steps, depth has no advantage.
#
# The start matters as much as the layers: at random, the same network ends below the
# linear model after so few steps. And so does the number of latents: two and eight are
# both two nats behind four. More latents are not better on 1,500 rows.
#
# So search the number of latents first, then beta; leave the network as it is.
