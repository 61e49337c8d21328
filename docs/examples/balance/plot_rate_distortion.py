r"""
Choosing beta from a rate-distortion curve
==========================================

A search over ``beta`` with two scores, the rate and the distortion of held-out rows,
draws the whole trade-off. The elbo, which weighs both by 1, has one answer to which
beta is best; a small representation may want another one.
"""

# %%
# Two scores from one encoding
# ----------------------------
# The table has 30 measurements of 569 tumours. A scorer may return several numbers;
# both are negated here, because a search takes larger ones to be better.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import GridSearchCV, KFold

from skvae import BalancedVAE
from skvae.displays import LatentDisplay, RateDistortionDisplay
from skvae.metrics import rate_distortion_scoring

X = load_breast_cancer().data

vae = BalancedVAE(
    5,
    balance="constant",
    hidden_layer_sizes=(32,),
    learning_rate_init=0.01,
    max_iter=15,
    tol=1.0,
    random_state=0,
)
betas = np.geomspace(0.02, 20.0, 8)
search = GridSearchCV(
    vae,
    {"beta": betas},
    scoring=rate_distortion_scoring(),
    refit="elbo",
    cv=KFold(3, shuffle=True, random_state=0),
).fit(X)
print(f"best elbo: {search.best_score_:.1f} nats per row")
print(f"at beta = {search.best_params_['beta']:.2g}")

# %%
# The curve
# ---------
# Each point is a beta, its bars the standard deviation over the folds. To the left the
# latents contain little information about a row, and it is reconstructed badly; to the
# right they contain much. The dotted line has slope -1: along it the elbo is the same.
# Where it touches the curve, one more nat of rate saves exactly one nat of distortion.
#
# If the rows are passed too, the display adds the bound of linear models. Where the
# curve is below the dashed line, the network has found structure that principal
# components cannot describe.

display = RateDistortionDisplay.from_cv_results(
    search.cv_results_, X=X, n_components=5
).plot(name="hidden layer of 32")
display.ax_.set_title("Breast cancer, held-out rows")
plt.show()

# %%
# The knee
# --------
# The ring marks where the curve bends most: to its right more rate buys little. It is a
# rule of thumb for a representation that should be small rather than a good model of
# the rows. The rates of the latents show the effect of a large beta: latents that are
# not worth their nats collapse.

figure, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained", sharex=True)
for ax, beta in zip(axes, (search.best_params_["beta"], betas[-2]), strict=True):
    fitted = vae.set_params(beta=beta).fit(X)
    LatentDisplay.from_estimator(fitted, X).plot(ax, kind="rate")
    ax.set_title(f"beta = {beta:.2g}")
plt.show()
