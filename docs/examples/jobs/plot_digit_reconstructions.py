"""
Reconstructions of digits
=========================

Digits of 64 pixels are reconstructed from eight latents. The pictures show what each
latent changes, and which pixels make a digit odd.
"""

# %%
# Rows above their reconstructions
# --------------------------------

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skvae import BalancedVAE
from skvae.displays import LatentDisplay, ReconstructionDisplay

X_train, X_test = train_test_split(load_digits().data, random_state=0)
vae = BalancedVAE(
    8,
    balance="learned_variance",
    likelihood="gaussian",
    hidden_layer_sizes=(64,),
    learning_rate_init=0.01,
    max_iter=30,
    tol=1.0,
    random_state=0,
).fit(X_train)
display = ReconstructionDisplay.from_estimator(vae, X_test)
display.plot(kind="images", image_shape=(8, 8), n_rows=12)
plt.show()

# %%
# What each latent draws
# ----------------------
# From left to right, one latent goes from -2 to 2 standard deviations of the prior
# while the others stay at zero. The latents with the largest rates are on top.

LatentDisplay.from_estimator(vae, X_test).plot(kind="traversal", image_shape=(8, 8))
plt.show()

# %%
# What makes a digit odd
# ----------------------
# The test digits with the largest distortion. The colour is the negative log-likelihood
# of each cell, above the median of its column. Most of it is in a few pixels, many of
# them at the border, where hardly any digit has ink.

display.plot(n_rows=20)
plt.show()

# %%
# The residuals of the same rows show the direction: red where there is more ink than
# expected, blue where there is less.

display.plot(kind="residuals", n_rows=20)
plt.show()
