"""A fit at the defaults on three tables: its time, peak memory and elbo."""

import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.model_selection import train_test_split

from skvae import BalancedVAE

TABLES = {
    "breast cancer": lambda: load_breast_cancer().data,
    "diabetes": lambda: load_diabetes(scaled=False).data,
    "digits": lambda: load_digits().data,
}


class Fit:
    params = [list(TABLES)]
    param_names = ["table"]
    timeout = 300
    warmup_time = 0
    number, rounds, repeat = 1, 1, 3

    def setup(self, table):
        torch.set_num_threads(1)
        X = TABLES[table]()
        # Pixels that are never set have no density.
        X = X[:, X.std(axis=0) > 0]
        self.train, self.test = train_test_split(X, test_size=0.25, random_state=0)
        self.vae = BalancedVAE(random_state=0)

    def time_fit(self, table):
        self.vae.fit(self.train)

    def peakmem_fit(self, table):
        self.vae.fit(self.train)

    # Less is better to asv, so that a worse fit shows as a regression.
    def track_negative_elbo(self, table):
        return -self.vae.fit(self.train).score(self.test)

    track_negative_elbo.unit = "nats per row"
