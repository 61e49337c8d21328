"""Free bits: a rate that costs nothing below a floor."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any

from skvae._sklearn_compat import Interval, StrOptions
from skvae.balance._base import BalancePolicy, Terms, needs_rate

if TYPE_CHECKING:
    from torch import Tensor

    from skvae.balance._base import RateTerm


class FreeBits(BalancePolicy):
    r"""Charge for the rate only above a floor.

    With :math:`\lambda` = `floor`, row i and latent j, the objective is [1]_

    .. math:: \mathrm{distortion} + \beta \sum_j \max\left(\lambda,\,
              \tfrac{1}{n} \sum_i \mathrm{KL}_{ij}\right)

    Up to :math:`\lambda` nats are free, so that no latent is given up; what latents
    carry beyond costs :math:`\beta` a nat.

    Parameters
    ----------
    floor : float, default=0.1
        :math:`\lambda` in nats per row, above 0: of each latent, or of all of them
        together if `kind` is "total".

    kind : {"latent", "row", "total"}, default="latent"
        Quantity that has the floor: the mean rate of each latent, as above; each row's
        rate of each latent, :math:`\sum_j \tfrac{1}{n} \sum_i \max(\lambda,
        \mathrm{KL}_{ij})`, which is never smaller; or the whole rate,
        :math:`\max(\lambda, \mathrm{rate})`.

    See Also
    --------
    Capacity : Charge for missing nats too.

    Notes
    -----
    The rate that is reported is the true one, without the floor. Where latents stay
    below the floor, nothing pulls them to the prior: they count as active without
    need, and `active_units_` does not compare with that of other policies.

    Published are 0.1 to 0.25 nats for each group of latents, on pictures.

    References
    ----------
    .. [1] D. P. Kingma, T. Salimans, R. Jozefowicz, X. Chen, I. Sutskever and
       M. Welling, "Improved variational inference with inverse autoregressive flow",
       NeurIPS 2016. https://arxiv.org/abs/1606.04934

    Examples
    --------
    >>> from skvae.balance import FreeBits
    >>> FreeBits(floor=0.25)
    FreeBits(floor=0.25)
    """

    _parameter_constraints = {
        "floor": [Interval(Real, 0, None, closed="neither")],
        "kind": [StrOptions({"latent", "row", "total"})],
    }

    def __init__(self, floor: float = 0.1, kind: str = "latent") -> None:
        self.floor = floor
        self.kind = kind

    def conflict_with(self, divergence: RateTerm) -> str:
        """Return why the floor applies to the KL divergence alone."""
        return needs_rate(divergence)

    def remedy(self, beta: float) -> str:
        """Return a sentence on what to change where latents have collapsed."""
        return f"Lower beta (now {beta:.4g}), or raise the floor of balance."

    def objective(self, terms: Terms, state: Any) -> Tensor:
        """Distortion and the weighted rate above its floor."""
        if self.kind == "latent":
            charged = terms.latent_rate.clamp(min=self.floor).sum(dim=1)
        elif self.kind == "row":
            charged = terms.mean(terms.kl.clamp(min=self.floor).sum(dim=2))
        else:
            charged = terms.rate.clamp(min=self.floor)
        return terms.distortion + state.beta * charged
