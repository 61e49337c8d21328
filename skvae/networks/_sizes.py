"""Sizes that the user lists, validated."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any


def positive_integers(name: str, sizes: Sequence[int], meaning: str) -> tuple[int, ...]:
    """Return sizes as a tuple of integers.

    Parameters
    ----------
    name, meaning : str
        Name of the parameter, and the meaning of its entries, for the message.
    sizes : sequence of int

    Raises
    ------
    ValueError
        If one is not a positive integer.
    """
    found: tuple[Any, ...] = tuple(sizes)
    if not all(isinstance(size, Integral) and int(size) > 0 for size in found):
        raise ValueError(f"{name} must hold positive integers, {meaning}, got {found}.")
    return tuple(int(size) for size in found)
