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
# The data are 2,000 pictures of clothes of 28 x 28 pixels. A convolutional network with
# 16 latents is trained for 400 steps. Two variances are fixed: at 1, and at 0.01, which
# is about half of the error of the best models. Three variances are found in training:
# learned by gradient, optimal for each batch, and the running average in the form of
# the authors' program. Samples are compared with real pictures by the Fréchet distance
# between the features of a classifier. It is a small network, trained here on 10,000
# other pictures.

import matplotlib.pyplot as plt
import numpy as np
from _kept import kept
from _pictures import show_pictures

POLICIES = ("fixed 1", "fixed 0.01")
POLICIES += ("learned", "optimal", "running average")
N_EPOCHS, N_LATENTS, SEEDS, SIDE = 20, 16, (0, 1, 2), 28


@kept
def trained():
    import torch

    from benchmarks.common.tables import data_file
    from skvae import BalancedVAE
    from skvae.balance import LearnedVariance, OptimalVariance, RunningAverage
    from skvae.networks import ConvNet

    arrays = np.load(data_file("fashion_mnist.npz"))
    X = arrays["X_train"][:16_000].reshape(-1, SIDE**2) / 255.0
    X_test = arrays["X_test"][:4000].reshape(-1, SIDE**2) / 255.0
    labels, labels_test = arrays["y_train"], arrays["y_test"][:4000]
    X_train, X_new, X_other = X[:2000], X_test[:1000], X_test[1000:]

    # A classifier of clothes, whose last hidden layer compares sets of pictures.
    torch.manual_seed(0)
    features_of = torch.nn.Sequential(
        torch.nn.Unflatten(1, (1, SIDE, SIDE)),
        *(torch.nn.Conv2d(1, 16, 4, 2, 1), torch.nn.ReLU()),
        *(torch.nn.Conv2d(16, 32, 4, 2, 1), torch.nn.ReLU(), torch.nn.Flatten()),
        *(torch.nn.Linear(32 * (SIDE // 4) ** 2, 32), torch.nn.ReLU()),
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
# The accuracy of the classifier on new pictures, and the Fréchet distance between two
# sets of real ones:

print(f"accuracy {results['accuracy']:.3f}")
print(f"Fréchet distance of real pictures {results['frechet_of_real']:.2f}")

# %%
# What came out
# -------------
# Means and standard deviations over three seeds. The error is the mean squared error of
# new pictures. *drawn* is the Fréchet distance of the decoder's means at 3,000 draws of
# the prior, and *rebuilt* that of reconstructions of new pictures.

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
# The weighted error is the sum of squares divided by twice the variance of the decoder.
# It is compared with the rate.

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
# *Constant balance.* With the optimal variance the weighted error is 392 nats in every
# epoch, half of the number of pixels, as it must be. With the running average it is not
# constant here: it starts at 338, falls to 83 and comes back to 241. The average
# remembers about a hundred batches, five epochs of this training, and the error falls
# faster than that. The claim is one of long trainings. In none of the models is the
# ratio to the rate constant, as the rate grows.
#
# *Lower error.* Yes: against a variance of 1 the error is lower by a third, and against
# 0.01 by an eighth. The elbo is better than with either of them by 68 nats or more. The
# learned and the optimal variance are as good: all three differ by little more than the
# seeds do.
#
# *Better samples.* Not confirmed. The distances are smaller than with a variance of 1,
# but larger than with 0.01 and than those of the other two policies, by more than the
# seeds differ. The distance is a poor guide here, though. With 0.01 the pictures drawn
# are speckled fragments, and those of the running average and of the learned variance
# are the smoother ones. And all distances are a hundred times that between two sets of
# real pictures.
#
# So the claim holds for the error, and any variance that follows the error will do. The
# advantage is that its value need not be known. `BalancedVAE` uses the running minimum
# of the average and, where rows are held out, their error; the authors' form is used
# here to test their claim. The experiment has three seeds, a small network and 400
# steps: at the end, `fit` warned that the elbo of the running average was still rising.
