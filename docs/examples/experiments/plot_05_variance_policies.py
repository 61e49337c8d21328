"""
A weight that follows the error
===============================

Asperti and Trentin (2020) let the variance of the decoder follow a running average of
the error. Their claim: the balance of error and rate stays constant through training,
which ends with a lower error and better samples than a fixed weight.
"""

# %%
# The experiment
# --------------
# 2,000 pictures of clothes, halved to 14 x 14 pixels to save time, a convolutional
# network, 16 latents and 400 steps. Two variances are fixed: at 1, and at 0.01, near
# the error that a trained model makes. Three find their value: learned by gradient,
# optimal for each batch, and the running average in the form of the authors' program.
# Samples are compared with real pictures by the Fréchet distance in the features of a
# classifier, a small network that is trained here on 10,000 other pictures.

import matplotlib.pyplot as plt
import numpy as np
from _kept import kept
from _pictures import show_pictures

POLICIES = ("fixed 1", "fixed 0.01")
POLICIES += ("learned", "optimal", "running average")
N_EPOCHS, N_LATENTS, SEEDS, SIDE = 20, 16, (0, 1), 14


@kept
def trained():
    import torch

    from benchmarks.common.tables import data_file
    from skvae import BalancedVAE
    from skvae.balance import LearnedVariance, OptimalVariance, RunningAverage
    from skvae.networks import ConvNet

    arrays = np.load(data_file("fashion_mnist.npz"))

    def smaller(pictures):
        """Pictures of half the height and width, from 0 to 1."""
        blocks = pictures.reshape(-1, SIDE, 2, SIDE, 2).mean(axis=(2, 4))
        return blocks.reshape(-1, SIDE**2) / 255.0

    X, labels = smaller(arrays["X_train"][:16_000]), arrays["y_train"]
    X_test, labels_test = smaller(arrays["X_test"][:4000]), arrays["y_test"][:4000]
    X_train, X_new, X_other = X[:2000], X_test[:1000], X_test[1000:]

    # A classifier of clothes, whose last hidden layer compares sets of pictures.
    torch.manual_seed(0)
    features_of = torch.nn.Sequential(
        torch.nn.Unflatten(1, (1, SIDE, SIDE)),
        *(torch.nn.Conv2d(1, 16, 4, 2, 1), torch.nn.ReLU()),
        *(torch.nn.Conv2d(16, 32, 4, 2, 1), torch.nn.ReLU(), torch.nn.Flatten()),
        *(torch.nn.Linear(32 * 3 * 3, 32), torch.nn.ReLU()),
    )
    classify = torch.nn.Sequential(features_of, torch.nn.Linear(32, 10))
    optimizer = torch.optim.Adam(classify.parameters(), 0.002)
    pictures, classes = torch.tensor(X[3000:13_000]).float(), torch.tensor(labels)
    for batch in torch.randint(10_000, (400, 128)):
        target = classes[3000 + batch].long()
        loss = torch.nn.functional.cross_entropy(classify(pictures[batch]), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def moments(rows):
        with torch.no_grad():
            features = features_of(torch.tensor(rows).float()).double().numpy()
        return features.mean(axis=0), np.cov(features, rowvar=False)

    def frechet(rows):
        (m, C), (m_other, C_other) = moments(rows), moments(X_other)
        roots = np.sqrt(np.linalg.eigvals(C @ C_other).real.clip(0))
        return ((m - m_other) ** 2).sum() + np.trace(C + C_other) - 2 * roots.sum()

    with torch.no_grad():
        guess = classify(torch.tensor(X_test).float()).argmax(1).numpy()
    values = {
        "accuracy": (guess == labels_test).mean(),
        "frechet_of_real": frechet(X[13_000:16_000]),
    }
    balances = {
        "fixed": "constant",
        "learned": LearnedVariance(scope="shared"),
        "optimal": OptimalVariance(scope="shared"),
        "running": RunningAverage(scope="shared", source="train", variant="ratchet"),
    }
    for name in POLICIES:
        kind, *weight = name.split()
        for seed in SEEDS:
            vae = BalancedVAE(
                N_LATENTS,
                beta=float(weight[0]) if kind == "fixed" else 1.0,
                balance=balances[kind],
                network=ConvNet((1, SIDE, SIDE), (16, 32), n_blocks=0),
                standardize=False,
                likelihood="gaussian",
                batch_size=100,
                max_iter=N_EPOCHS,
                early_stopping=False,
                random_state=seed,
            ).fit(X_train)
            latents = np.random.default_rng(seed).standard_normal((3000, N_LATENTS))
            drawn, rebuilt = (
                np.clip(vae.inverse_transform(Z), 0, 1)
                for Z in (latents, vae.transform(X_new))
            )
            rate, distortion = vae.rate_distortion(X_new[:100])
            found = {
                "error": ((rebuilt - X_new) ** 2).mean(),
                "rate": rate.mean(),
                "elbo": -(rate + distortion).mean(),
                "frechet": frechet(drawn),
                "frechet_rebuilt": frechet(rebuilt),
                **{f"history_{key}": value for key, value in vae.history_.items()},
            }
            for key, value in found.items():
                values.setdefault(key, []).append(value)
            print(name, seed, found["error"], found["frechet"], flush=True)
            if seed == SEEDS[0]:
                values[f"drawn {name}"] = np.uint8(255 * drawn[:12])
                values[f"rebuilt {name}"] = np.uint8(255 * rebuilt[:12])
    shape = (len(POLICIES), len(SEEDS))
    values["real"] = np.uint8(255 * X_new[:12])
    return {
        key: np.reshape(value, shape + np.shape(value)[1:])
        if isinstance(value, list)
        else value
        for key, value in values.items()
    }


results = trained()

# %%
# The classifier is right for so many of new pictures, and its features are at this
# Fréchet distance for two sets of real ones:

print(f"accuracy {results['accuracy']:.3f}")
print(f"Fréchet distance of real pictures {results['frechet_of_real']:.2f}")

# %%
# What came out
# -------------
# Means over two seeds, with half of their difference. The error is the mean squared one
# of new pictures; *drawn* is the Fréchet distance of the decoder's means at 3,000 draws
# of the prior, *rebuilt* that of reconstructions of new pictures.

theta = results["history_theta"][..., -1:].mean(axis=-1)
columns = {
    "theta": theta,
    "1000 x error": 1000 * results["error"],
    "rate": results["rate"],
    "elbo": results["elbo"],
    "drawn": results["frechet"],
    "rebuilt": results["frechet_rebuilt"],
}
print(" " * 16 + "".join(f"{name:>16}" for name in columns))
for i, name in enumerate(POLICIES):
    cells = [values[i] for values in columns.values()]
    print(f"{name:16}" + "".join(f"{v.mean():10.3g} ± {v.std():3.2g}" for v in cells))

# %%
# The balance in each epoch
# -------------------------
# The weighted error is the sum of squares divided by twice the variance of the decoder,
# the other side is the rate with its weight.

D = SIDE**2
figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained")
epochs = np.arange(1, N_EPOCHS + 1)
for i, name in enumerate(POLICIES):
    history = {
        key: results[f"history_{key}"][i, 0]
        for key in ("distortion", "rate", "variance", "theta", "beta")
    }
    constants = D / 2 * np.log(2 * np.pi * history["variance"])
    error = (history["distortion"] - constants) / history["beta"]
    style = "--" if name.startswith("fixed") else "-"
    for ax, values in zip(
        axes, (error, history["rate"], error / history["rate"]), strict=True
    ):
        ax.plot(epochs, values, style, label=name)
for ax, title in zip(
    axes, ("weighted error in nats", "rate in nats", "their ratio"), strict=True
):
    ax.set(xlabel="epoch", title=title, yscale="log")
axes[1].legend(fontsize="small")
plt.show()

# %%
# Pictures
# --------
# Twelve new pictures and their reconstructions:

rows = {"new pictures": results["real"]}
rows |= {name: results[f"rebuilt {name}"] for name in POLICIES}
show_pictures(rows, (SIDE, SIDE), 255)
plt.show()

# %%
# The decoder's mean at twelve draws of the prior:

rows = {name: results[f"drawn {name}"] for name in POLICIES}
show_pictures(rows, (SIDE, SIDE), 255)
plt.show()

# %%
# Conclusion
# ----------
# *Constant balance.* With the optimal variance the weighted error is 98 nats in every
# epoch, half of the number of pixels, as it must be. With the running average it is not
# constant here: it starts near 98, falls to a quarter and comes back to 60. The average
# remembers about a hundred batches, five epochs of this training, and the error falls
# faster than that. The claim is one of long trainings. In none of the models is the
# ratio to the rate constant, as the rate grows.
#
# *Lower error.* Against a variance of 1, yes: the error is less than half. Against a
# fixed variance of 0.01, no: that has an error that is slightly lower. The lowest error
# and the best elbo are those of the optimal variance, at nearly the same theta as the
# fixed one: a theta that falls to its value beats one that starts there.
#
# *Better samples.* Yes: running average and learned variance have the smallest
# distances, the fixed variances the largest, by more than the two seeds differ. With
# 0.01 the pictures drawn are speckled fragments. But all distances are a hundred times
# that of two sets of real pictures.
#
# So the claim holds for samples, and for the error only against a fixed weight that is
# far off. The advantage that is left is that 0.01 need not be known. `BalancedVAE` uses
# the running minimum of the average and, where rows are held out, their error; the
# authors' form is used here to test their words. Two seeds, a small network and 400
# steps: at the end, `fit` warned that the running average was still improving.
