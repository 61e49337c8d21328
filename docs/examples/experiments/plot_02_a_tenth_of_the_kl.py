"""
The KL times 0.1
================

Common advice for blurred reconstructions is to multiply the KL by 0.1. It helps. What
it changes is the variance of the decoder: with a Gaussian decoder, a VAE of weight 0.1
is a VAE whose noise has a tenth of the variance.
"""

# %%
# The experiment
# --------------
# The advice is for a loss of the summed squared error plus the KL. This is a decoder
# with a variance of 1/2; with 0.1 times the KL the variance is 1/20. The second model
# is trained twice: once with a weight, once with ``Gaussian(variance=0.05)`` and weight
# 1. Beside them are a weight of 0, which is an autoencoder, and a variance that is
# learned. The data are digits, with standardized pixels.

import matplotlib.pyplot as plt
import numpy as np
from _kept import kept
from _pictures import show_pictures

from skvae.balance import LearnedVariance, beta_from_loss
from skvae.likelihoods import Gaussian

WEIGHT = beta_from_loss(0.1, error_reduction="sum", n_features=64, n_components=16)
MODELS = {
    "KL": {"beta": 10 * WEIGHT, "balance": "constant"},
    "0.1 KL": {"beta": WEIGHT, "balance": "constant"},
    "variance 0.05": {
        "likelihood": Gaussian(variance=WEIGHT),
        "balance": "constant",
    },
    "0 KL": {"beta": 0.0, "balance": "constant"},
    "learned variance": {"balance": LearnedVariance(scope="shared")},
}

COLUMNS = ("error", "theta", "variance", "rate", "width", "elbo")
N_SEEDS = 3


@kept
def trained():
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    from skvae import BalancedVAE

    X, X_new = train_test_split(load_digits().data, random_state=0, test_size=500)
    values = {"digits": np.uint8(X_new[:12])}
    for name, settings in MODELS.items():
        found = []
        for seed in range(N_SEEDS):
            vae = BalancedVAE(
                16,
                **{"likelihood": "gaussian"} | settings,
                hidden_layer_sizes=(128,),
                max_iter=40,
                early_stopping=False,
                random_state=seed,
            ).fit(X)
            Z = vae.transform(X_new)
            rebuilt = vae.inverse_transform(Z)
            found.append(
                {
                    "error": ((rebuilt - X_new) ** 2).mean() / X.var(axis=0).mean(),
                    "theta": vae.theta_,
                    "variance": vae.variance_,
                    "rate": vae.rate_distortion(X_new)[0].mean(),
                    "width": Z.std(axis=0).mean(),
                    "elbo": vae.score(X_new),
                }
            )
        values[name] = [np.mean([f[key] for f in found]) for key in COLUMNS]
        drawn = vae.inverse_transform(
            np.random.default_rng(0).standard_normal((12, 16))
        )
        for kind, rows in (("rebuilt", rebuilt[:12]), ("drawn", drawn)):
            values[f"{kind} {name}"] = np.uint8(np.clip(rows, 0, 16).round())
    return values


results = trained()

# %%
# What came out
# -------------
# *theta* is beta times the variance in training, and *variance* the calibrated variance
# of the trained model. *width* is the mean standard deviation of the codes; that of the
# prior is 1. All are means over three seeds.

print("loss with        ", "".join(f"{key:>10}" for key in COLUMNS))
for name in MODELS:
    print(f"{name:17}", "".join(f"{value:10.3g}" for value in results[name]))

# %%
# Reconstructions of new digits become sharper with a smaller weight:

rows = {"new digits": results["digits"]}
rows |= {name: results[f"rebuilt {name}"] for name in MODELS}
show_pictures(rows, (8, 8), 16)
plt.show()

# %%
# Here is the decoder's mean, without its noise, at twelve draws of the prior:

show_pictures({name: results[f"drawn {name}"] for name in MODELS}, (8, 8), 16)
plt.show()

# %%
# Conclusion
# ----------
# The advice holds: the error falls by a fifth, and the rate nearly triples. The model
# with a variance of 0.05 is the same model, up to the noise of training. So "KL times
# 0.1" is a beta of 0.1, or a decoder variance ten times smaller. It does not remove the
# KL: without any KL the rate is four times as large. (The elbo of the second model is
# lower because its variance stays at 0.05. `fit` calibrates the variance of the first
# one to 0.08, the error that the model really makes.)
#
# The price is that the model explains new rows less well. The elbo falls with the
# weight, and most of all without any KL, where the codes are wider than the prior. In
# pictures of 8 x 8 pixels this is hardly visible: draws with a small weight are
# sharper, and those without the KL only a little less like digits. It is often said
# that samples degrade with a tenth of the KL. This is not confirmed here.
#
# Neither 1/2 nor 1/20 was the best weight for the error. The learned variance lies
# between them. It has the lowest error on new digits, below that of the autoencoder.
