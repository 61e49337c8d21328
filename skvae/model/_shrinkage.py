"""Shrinkage of the variances of features that rest on too few rows."""

from __future__ import annotations

import torch
from torch import Tensor

# Range of the shrinkage, as powers; half of that at so many held-out rows.
_POWERS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3)
_DRAWN_ROWS = 2000.0

# Cap on the evidence of one feature: its variance is so many times too small. One that
# fails altogether gets a variance of its own, and does not change the others.
_MOST = 3.0


def shrink_to_mean(
    variance: Tensor, known: Tensor, held_out: Tensor, total: Tensor, n_held_out: int
) -> Tensor:
    """Shrink variances to their geometric mean, as explains held-out rows best.

    The smallest ones are the least certain: an outlier costs the more nats, the smaller
    the variance is. Each is shrunk in units of the variance of its feature.

    Parameters
    ----------
    variance : Tensor of shape (n_replicas, n_features)
        Variances to shrink, above 0.
    known : Tensor of shape (n_replicas, n_features)
        Estimates that do not use the held-out rows, which then choose the shrinkage.
    held_out : Tensor of shape (n_replicas, n_features)
        Mean squared errors on held-out rows.
    total : Tensor of shape (n_features,)
        Variance of each feature; constant features, with 0, do not take part.
    n_held_out : int
        Number of held-out rows.
    """
    varies = total > 0.0
    log_total = total.where(varies, torch.ones_like(total)).log()
    powers = variance.new_tensor(_POWERS)[:, None, None]
    powers = powers * (_DRAWN_ROWS / (_DRAWN_ROWS + n_held_out))
    weight = varies.to(variance) / varies.sum().clamp(min=1)

    def drawn(values: Tensor) -> Tensor:
        log_values = values.log()
        relative = log_values - log_total
        center = (relative @ weight)[:, None]
        return log_values + powers * varies * (center - relative)

    log_variance = drawn(known)
    nats = (log_variance + held_out.minimum(_MOST * known) / log_variance.exp()).sum(2)
    best = nats.argmin(dim=0)
    return drawn(variance)[best, torch.arange(len(best), device=best.device)].exp()
