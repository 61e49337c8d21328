"""The noise of a training step, by what takes it."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from skvae.model._module import Module
from skvae.networks._base import Weights


class StepNoise(NamedTuple):
    """Standard normal noise of a step, the same for all replicas.

    The latents and the layers that take noise have columns of their own in one tensor,
    so that a plan draws, a device gets and a recorded step reads a single one.
    """

    latents: Tensor
    """Noise of the latents, of shape (n_draws, n_rows, n_components)."""
    encoder: Weights
    """Noise of the encoder's layers by name, of shape (n_rows, width)."""
    decoder: Weights
    """Noise of the decoder's layers, of shape (n_draws * n_rows, width)."""

    @classmethod
    def of(cls, module: Module, noise: Tensor) -> StepNoise:
        """Divide noise of shape (n_draws, n_rows, `module.noise_width`)."""
        of_encoder, of_decoder = (
            function.noise_widths for function in (module.encoder, module.decoder)
        )
        if not of_encoder and not of_decoder:
            return cls(noise, {}, {})
        widths = [module.n_components, *of_encoder.values(), *of_decoder.values()]
        latents, *others = noise.split(widths, dim=-1)
        # A row is encoded once for all draws, and decoded for each.
        once = [each[0] for each in others[: len(of_encoder)]]
        of_draws = [each.flatten(0, 1) for each in others[len(of_encoder) :]]
        return cls(
            latents,
            dict(zip(of_encoder, once, strict=True)),
            dict(zip(of_decoder, of_draws, strict=True)),
        )
