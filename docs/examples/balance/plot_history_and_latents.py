"""
Reading a training and its latents
==================================

How to read ``history_`` and the latents of a model, with 13 measurements of 178 wines
of three growers.
"""

# %%
# The training
# ------------
# All terms are in nats per row. Beta rises from 0 to 1 over the first half of the
# training. While it is low, the rate is cheap, and the latents encode much of each row.
# When it has risen, only information that is worth its nats is left. The dashed lines
# are for held-out rows.

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
# The rate is a sum over the latents. A latent without a rate is the same for all rows:
# it has collapsed to the prior.

LatentDisplay.from_estimator(vae, wine.data).plot(kind="rate")
print(f"{vae.active_units_.sum()} of {vae.n_components_} latents are active")
plt.show()

# %%
# Where the rows lie
# ------------------
# In the plane of the two latents with the largest rates, the growers are separated,
# although they were not part of the table. The rings are at one and two standard
# deviations of the prior, from which `sample` draws latents.

latents = LatentDisplay.from_estimator(
    vae, wine.data, color=wine.target_names[wine.target]
)
latents.plot()
plt.show()

# %%
# What a latent does
# ------------------
# In each block, one latent varies and the others are zero. The block shows how the
# decoder changes each column, in standard deviations of the column.

latents.plot(kind="traversal")
plt.show()
