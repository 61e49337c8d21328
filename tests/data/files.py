"""Write the model files that later versions have to load, with what they compute.

The files of a release stay as they are. Those of the version in development are written
anew where what a model holds has changed, from the root of the checkout, by

    python -m tests.data.files
"""

import pickle
import zipfile
from pathlib import Path

import joblib
import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_digits, load_wine
from skops import io as io_of_skops

from skvae import BalancedVAE, OutlierVAE
from skvae.ground._version import __version__
from skvae.networks import ConvNet
from skvae.priors import Mixture

FOLDER = Path(__file__).parent / "files"
WINE = load_wine().data[:60, :4]
DIGITS = load_digits().data[:60] / 16.0
TABLE = np.column_stack([WINE, np.arange(60) % 3, np.arange(60) % 2])
TABLE[[3, 9], [1, 4]] = np.nan
LIKELIHOOD = [("gaussian", [0, 1, 2, 3]), ("categorical", [4]), ("bernoulli", [5])]

SETTINGS = {"hidden_layer_sizes": (4,), "max_iter": 20, "random_state": 0}
PICTURES = ConvNet((1, 8, 8), (2,), hidden_layer_sizes=(4,))

# Name of the files of each model, the model, and its table.
MODELS = {
    "model": (BalancedVAE(2, likelihood=LIKELIHOOD, **SETTINGS), TABLE),
    "ranks": (BalancedVAE(2, standardize="quantile", **SETTINGS), TABLE),
    "pictures": (
        BalancedVAE(2, network=PICTURES, prior=Mixture(2), max_iter=3, random_state=0),
        DIGITS,
    ),
    "outliers": (OutlierVAE(n_components=2, **SETTINGS), TABLE),
}


def outputs(vae, table):
    """What a model computes of a table and of its own latents."""
    if isinstance(vae, OutlierVAE):
        return {
            name: getattr(vae, name)(table) for name in ("score_samples", "predict")
        }
    Z = vae.transform(table)
    return {
        "transform": Z,
        "inverse_transform": vae.inverse_transform(Z),
        "score_samples": vae.score_samples(table),
        "sample": vae.sample(3, random_state=0),
        "impute": vae.impute(table),
    }


def write():
    """Write each model in three formats, and its outputs."""
    folder = FOLDER / __version__.partition(".dev")[0]
    folder.mkdir(parents=True, exist_ok=True)
    for name, (vae, table) in MODELS.items():
        vae, path = clone(vae).fit(table), folder / name
        # A protocol that every supported Python reads.
        path.with_suffix(".pickle").write_bytes(pickle.dumps(vae, protocol=4))
        joblib.dump(vae, path.with_suffix(".joblib"), compress=3)
        file = path.with_suffix(".skops")
        io_of_skops.dump(vae, file, compression=zipfile.ZIP_DEFLATED)
        np.savez_compressed(path.with_suffix(".npz"), **outputs(vae, table))


if __name__ == "__main__":
    write()
