"""
Cyclical and one-cycle learning rates
=====================================

The learning rate may be constant, fall, rise and fall once, or do so several times. The
result of a training of given length depends on this schedule, and so does the highest
rate at which it is stable.
"""

# %%
# The experiment
# --------------
# 1,297 digits, a VAE that starts at random, and a decoder variance that follows the
# error. Each schedule is run at two rates and with three seeds, for a short training of
# 400 steps. The scores are those of 500 new digits.

import matplotlib.pyplot as plt
import numpy as np
from _kept import kept

SCHEDULES = ("constant", "cosine", "one_cycle", "cyclical")
RATES = (0.003, 0.01)
N_EPOCHS, SEEDS = 20, (0, 1, 2)


@kept
def trained():
    import warnings

    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    from skvae import BalancedVAE
    from skvae.balance import RunningAverage
    from skvae.networks import MLP

    X, X_new = train_test_split(load_digits().data, random_state=0, test_size=500)
    scores = np.empty((len(SCHEDULES), len(RATES), len(SEEDS)))
    curves = {}
    for i, j, seed in np.ndindex(scores.shape):
        vae = BalancedVAE(
            8,
            likelihood="gaussian",
            balance=RunningAverage(scope="shared", source="train"),
            network=MLP((64,), linear_path=False),
            learning_rate=SCHEDULES[i],
            learning_rate_init=RATES[j],
            max_iter=N_EPOCHS,
            early_stopping=False,
            random_state=seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            vae.fit(X)
        scores[i, j, seed] = vae.score(X_new)
        if (j, seed) == (1, 0):
            for key in ("learning_rate", "elbo"):
                curves[f"{key} {SCHEDULES[i]}"] = vae.history_[key]
    return {"scores": scores, **curves}


results = trained()

# %%
# What came out
# -------------
# The elbo of new digits, in nats per row, mean and standard deviation over the seeds:

print(" " * 11, *(f"{rate:>14g}" for rate in RATES))
for name, scores in zip(SCHEDULES, results["scores"], strict=True):
    cells = zip(scores.mean(axis=1), scores.std(axis=1), strict=True)
    print(f"{name:11}", *(f"{mean:8.1f} ± {std:3.1f}" for mean, std in cells))

# %%
# The schedules at the highest rate, and the elbo of training under them:

figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
for name in SCHEDULES:
    for ax, key in zip(axes, ("learning_rate", "elbo"), strict=True):
        curve = results[f"{key} {name}"]
        ax.plot(np.arange(1, len(curve) + 1), curve, label=name)
axes[0].set(xlabel="epoch", ylabel="learning rate", yscale="log", ylim=(1e-5, 0.02))
axes[1].set(xlabel="epoch", ylabel="elbo in training")
for ax in axes:
    ax.set_xticks(range(0, N_EPOCHS + 1, 5))
axes[1].legend()
plt.show()

# %%
# Conclusion
# ----------
# In a training this short no schedule beats the constant rate. At 0.003 and at 0.01 it
# is the best on new digits, by two to five nats. The one-cycle schedule, the default of
# skvae, is among the last. The higher rate gains six to eight nats for all but the
# cyclical one, which gains five. At 0.01 no training diverged.
#
# One-cycle rates are known for faster training at high rates (Smith, 2018), which does
# not show here. The curves give the reason: all were still rising when the training
# ended. Every epoch at a low rate, at the start or at the end, is then lost. A schedule
# that ends low pays if the training has time to converge, as with the default of at
# least 2,000 steps, which was not tried here. Cycles of the learning rate appear as
# steps in the elbo: it rises most while the rate falls.
#
# For a short budget: raise `learning_rate_init` before anything else.
