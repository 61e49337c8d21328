"""Held-out rows as judges of a model for a range of betas."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from skvae.training._evaluate import Rows, etas, evaluate
from skvae.training._flat import Part
from skvae.training._judge import Judge
from skvae.training._plan import noise_of

# Training rows whose error at each beta the variance is calibrated with.
_SEEN_ROWS = 256


class CurveJudge(Judge):
    """The best weights for a range of betas: by the mean of the elbo over some.

    At each of the betas the decoder's variance is calibrated by itself. The errors of
    an epoch's batches are of all betas at once, so that some training rows are looked
    at again.
    """

    n_models = 5

    def start(self, epoch: int, flat: Part, balance: Any, rows: Rows) -> None:
        """Judge the weights before the first epoch."""
        few = slice(None, None, -(-len(rows.x) // _SEEN_ROWS))
        self.seen = rows.take(few)
        # As many nodes for all rows would need twice as many as there are latents.
        generator = torch.Generator().manual_seed(0)
        n_components = self.module.n_components
        noise = noise_of(
            self.plan._replace(n_draws=2), len(self.seen.x), n_components, generator
        )
        self.seen_noise = noise.to(rows.x)
        self.eta = etas(self.n_models).to(rows.x)
        beta, variance = balance.beta, balance.variance
        self(epoch - 1, flat, beta, variance, None, self.objective)

    def _judged(
        self, flat: Part, variance_used: Tensor, train_error: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Means over betas, of rate and distortion of held-out rows and variance."""
        plain, weights = self.module.plain, self.module.at(flat.weights, self.eta)
        judged = evaluate(plain, weights, self.held_out, self.noise)
        variance = variance_used.repeat_interleave(self.n_models, dim=0)
        if self.calibration is not None:
            seen = evaluate(plain, weights, self.seen, self.seen_noise)
            assert seen.error is not None
            prior = self.calibration.prior.repeat_interleave(self.n_models, dim=0)
            calibration = self.calibration._replace(prior=prior)
            variance = calibration(seen.error, judged.error)
        found = judged.rate, judged.distortion(plain, variance), variance
        rate, distortion, variance = (
            part.unflatten(0, (-1, self.n_models)).mean(dim=1) for part in found
        )
        return rate, distortion, variance
