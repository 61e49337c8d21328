"""Scores and latents of many rows, and the import of the package."""

import warnings

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

from skvae import BalancedVAE


class Inference:
    params = [[10_000, 100_000], ["transform", "score_samples"]]
    param_names = ["rows", "method"]
    timeout = 300
    number, rounds, repeat = 1, 1, 3

    def setup(self, n_rows, method):
        torch.set_num_threads(1)
        random = np.random.default_rng(0)
        self.X = random.standard_normal((n_rows, 30), dtype=np.float32)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            vae = BalancedVAE(max_iter=2, random_state=0).fit(self.X[:1000])
        self.run = getattr(vae, method)

    def time_rows(self, n_rows, method):
        self.run(self.X)

    def peakmem_rows(self, n_rows, method):
        self.run(self.X)


class Import:
    number, rounds, repeat = 1, 1, 10

    def timeraw_import(self):
        return "import skvae"
