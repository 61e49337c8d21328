"""
Reading a training and its latents
==================================

What ``history_`` says of a training, and what the latents of the model say of rows: on
13 measurements of 178 wines of three growers.
"""

# %%
# The training
# ------------
# All terms are in nats per row. Beta rises from 0 to 1 over the first half of the
# training. While it is low, the rate is cheap: the model says much of each row. When
# it has risen, only that is left which is worth its nats. The dashed lines are of rows
# that were held out.

import matplotlib.pyplot as plt
from sklearn.datasets import load_wine

from skvae import BalancedVAE
from skvae.balance import Linear
from skvae.displays import HistoryDisplay, LatentDisplay

wine = load_wine(as_frame=True)
vae = BalancedVAE(
    6,
    balance=Linear(warmup=0.5),
    hidden_layer_sizes=(32,),
    max_iter=60,
    tol=1.0,
    random_state=0,
).fit(wine.data)
display = HistoryDisplay.from_estimator(vae).plot()
display.ax_.set_title("A warm-up on wine")
plt.show()

# %%
# Which latents are used
# ----------------------
# The rate splits over the latents. One of no rate is the same for all rows: it has
# collapsed to the prior.

LatentDisplay.from_estimator(vae, wine.data).plot(kind="rate")
print(f"{vae.active_units_.sum()} of {vae.n_components_} latents are active")
plt.show()

# %%
# Where the rows lie
# ------------------
# In the plane of the two latents that say most, the growers are apart, although the
# model was not told of them. The rings are at one and two standard deviations of the
# prior: where the decoder expects rows.

latents = LatentDisplay.from_estimator(
    vae, wine.data, color=wine.target_names[wine.target]
)
latents.plot()
plt.show()

# %%
# What a latent does
# ------------------
# Each block goes along one latent, with the others at zero, and shows how far the
# decoder moves every column, in its standard deviations.

latents.plot(kind="traversal")
plt.show()
