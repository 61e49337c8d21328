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
from sklearn.datasets import load_wine
from skops import io as io_of_skops

from skvae import BalancedVAE
from skvae.ground._version import __version__

FOLDER = Path(__file__).parent / "files"
WINE = load_wine().data[:60, :4]
TABLE = np.column_stack([WINE, np.arange(60) % 3, np.arange(60) % 2])
TABLE[[3, 9], [1, 4]] = np.nan
LIKELIHOOD = [("gaussian", [0, 1, 2, 3]), ("categorical", [4]), ("bernoulli", [5])]


def outputs(vae):
    """What a model computes of the table and of its own latents."""
    Z = vae.transform(TABLE)
    return {
        "transform": Z,
        "inverse_transform": vae.inverse_transform(Z),
        "score_samples": vae.score_samples(TABLE),
        "sample": vae.sample(3, random_state=0),
        "impute": vae.impute(TABLE),
    }


def write():
    """Write a model in three formats, and its outputs."""
    folder = FOLDER / __version__.partition(".dev")[0]
    folder.mkdir(parents=True, exist_ok=True)
    vae = BalancedVAE(
        2, likelihood=LIKELIHOOD, hidden_layer_sizes=(4,), max_iter=20, random_state=0
    ).fit(TABLE)
    # A protocol that every supported Python reads.
    (folder / "model.pickle").write_bytes(pickle.dumps(vae, protocol=4))
    joblib.dump(vae, folder / "model.joblib", compress=3)
    io_of_skops.dump(vae, folder / "model.skops", compression=zipfile.ZIP_DEFLATED)
    np.savez_compressed(folder / "outputs.npz", **outputs(vae))


if __name__ == "__main__":
    write()
