"""Successive halving: the best groups of replicas go on, and the others leave."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from skvae.training._plan import Plan, Rung
from skvae.training._replicas import Reached


class Halving:
    """Choose the replicas that leave a run before its end.

    This is successive halving [1]_ with epochs as the resource. Groups are compared by
    the best elbo on held-out rows that one of their replicas has had so far, which is
    that of the weights it leaves with. One that has stopped by itself counts too.

    Below its final beta a model is not the requested one: the epochs of a rung are
    counted from the end of the policy's schedule. None leaves after the last epoch.

    Parameters
    ----------
    plan : Plan
        How long to train, and where replicas leave.
    settled_at : float
        Fraction of the planned steps after which the policy has reached its beta.

    References
    ----------
    .. [1] K. Jamieson and A. Talwalkar, "Non-stochastic best arm identification and
       hyperparameter optimization", AISTATS 2016. https://arxiv.org/abs/1502.07943
    """

    def __init__(self, plan: Plan, settled_at: float) -> None:
        self.plan, self.settled_at = plan, settled_at

    def rungs(self, epoch: int) -> Sequence[Rung]:
        """Rungs that are reached in an epoch, given as its number."""
        n_planned = self.plan.n_planned_epochs
        return [
            rung
            for rung in self.plan.rungs
            if self._n_epochs(rung) == epoch + 1 < n_planned
        ]

    def _n_epochs(self, rung: Rung) -> int:
        """Epochs after which a rung is reached."""
        left = 1.0 - self.settled_at
        n_epochs = self.plan.n_planned_epochs * (self.settled_at + left * rung.fraction)
        # Without rounding, 6 of 10 epochs may be a little more than 6.
        return max(1, math.ceil(round(n_epochs, 6)))

    def leaving(self, rungs: Sequence[Rung], reached: Reached) -> Tensor:
        """Mask of the replicas that do not pass some rungs, of shape (n_replicas,).

        Parameters
        ----------
        rungs : sequence of Rung
        reached : Reached
            Results so far of all replicas of the run, those that have left included.
        """
        elbo = reached.elbo
        elbo = torch.where(reached.is_finite & elbo.isfinite(), elbo, -torch.inf)
        leaves = torch.zeros_like(reached.is_finite)
        for rung in rungs:
            groups = elbo.view(-1, rung.group_size)
            order = groups.amax(dim=1).argsort(descending=True, stable=True)
            is_worse = order.argsort() >= rung.n_kept
            leaves |= is_worse.repeat_interleave(rung.group_size)
        return leaves
