"""Variances of features, drawn together where they rest on too few rows."""

from __future__ import annotations

import torch
from torch import Tensor

# How far they can be drawn, as powers; half of that where so many rows are held out.
_POWERS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3)
_DRAWN_ROWS = 2000.0

# No feature says more than that its variance is so many times too small: one that fails
# altogether gets a variance of its own, and is no reason to change the others.
_MOST = 3.0


def drawn_together(
    variance: Tensor, known: Tensor, held_out: Tensor, total: Tensor, n_held_out: int
) -> Tensor:
    """Variances as near to each other as explains held-out rows best.

    The smallest ones are the least certain: a row that is off costs the more nats, the
    smaller the variance is. All are drawn towards their geometric mean, each in units
    of what its feature varies by.

    Parameters
    ----------
    variance : Tensor of shape (n_replicas, n_features)
        Above 0, to be drawn together.
    known : Tensor of shape (n_replicas, n_features)
        What is known of them without the held-out rows, which can so judge how far.
    held_out : Tensor of shape (n_replicas, n_features)
        Mean squared errors on held-out rows.
    total : Tensor of shape (n_features,)
        Variance of each feature; 0 says that it is constant, and so has no part.
    n_held_out : int
        Rows that the errors are of.
    """
    varies = total > 0.0
    log_total = total.where(varies, torch.ones_like(total)).log()
    powers = variance.new_tensor(_POWERS)[:, None, None]
    powers = powers * (_DRAWN_ROWS / (_DRAWN_ROWS + n_held_out))
    share = varies.to(variance) / varies.sum().clamp(min=1)

    def drawn(values: Tensor) -> Tensor:
        log_values = values.log()
        relative = log_values - log_total
        center = (relative @ share)[:, None]
        return log_values + powers * varies * (center - relative)

    log_variance = drawn(known)
    nats = (log_variance + held_out.minimum(_MOST * known) / log_variance.exp()).sum(2)
    best = nats.argmin(dim=0)
    return drawn(variance)[best, torch.arange(len(best), device=best.device)].exp()
