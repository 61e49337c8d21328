"""Functions that ONNX lacks, made of those that it has."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.polynomial.chebyshev import Chebyshev
from scipy.special import erfcx

# Steps of the recurrence after which Stirling's series is exact.
_STEPS = 10

# Degree of the polynomial of the normal distribution function.
_DEGREE = 20


def log_gamma() -> Callable[[Any], Any]:
    """Logarithm of the gamma function above zero, which ONNX lacks.

    Stirling's series ten steps up the recurrence, with an error below 1e-10.
    """
    from onnxscript import opset18 as op

    def number(value: float, x: Any) -> Any:
        return op.CastLike(op.Constant(value_float=value), x)

    def function(x: Any) -> Any:
        product, y = x, op.Add(x, number(float(_STEPS), x))
        for i in range(1, _STEPS):
            product = op.Mul(product, op.Add(x, number(float(i), x)))
        inverse = op.Reciprocal(y)
        square = op.Mul(inverse, inverse)
        series = number(1 / 1260, x)
        for term in (-1 / 360, 1 / 12):
            series = op.Add(op.Mul(series, square), number(term, x))
        leading = op.Sub(op.Mul(op.Sub(y, number(0.5, x)), op.Log(y)), y)
        constant = number(0.5 * math.log(2.0 * math.pi), x)
        large = op.Add(op.Add(leading, constant), op.Mul(series, inverse))
        return op.Sub(large, op.Log(product))

    return function


def log_normal_cdf() -> Callable[[Any], Any]:
    r"""Logarithm of the normal distribution function, with an error below 1e-9.

    The function of x, below zero, without its leading terms is a polynomial of
    :math:`2 / (2 + |x| / \sqrt 2)`, which is between 0 and 1.
    """
    from onnxscript import opset18 as op

    def rest(t: Any) -> Any:
        t = np.maximum(t, 1e-12)
        return np.log(0.5 * erfcx(2.0 / t - 2.0)) - np.log(t)

    coefficients = Chebyshev.interpolate(rest, _DEGREE, [0.0, 1.0]).coef.tolist()

    def number(value: float, x: Any) -> Any:
        return op.CastLike(op.Constant(value_float=value), x)

    def function(x: Any) -> Any:
        z = op.Mul(op.Abs(x), number(math.sqrt(0.5), x))
        t = op.Div(number(2.0, x), op.Add(z, number(2.0, x)))
        # Clenshaw's recurrence.
        y = op.Sub(op.Add(t, t), number(1.0, x))
        last, sum_ = number(0.0, x), number(0.0, x)
        for coefficient in coefficients[:0:-1]:
            term = op.Sub(number(coefficient, x), last)
            last, sum_ = sum_, op.Add(op.Mul(op.Add(y, y), sum_), term)
        term = op.Sub(number(coefficients[0], x), last)
        sum_ = op.Add(op.Mul(y, sum_), term)
        lower = op.Sub(op.Add(op.Log(t), sum_), op.Mul(z, z))
        upper = op.Log(op.Sub(number(1.0, x), op.Exp(lower)))
        return op.Where(op.Greater(x, number(0.0, x)), upper, lower)

    return function


def search() -> Callable[..., Any]:
    """Number of entries of ascending lines that are below each number, by halves.

    No tensor is as large as numbers times entries.
    """
    from onnxscript import opset18 as op

    def function(
        sorted_sequence: Any,
        self: Any,
        out_int32: bool = False,
        right: bool = False,
        side: str | None = None,
        sorter: Any = None,
    ) -> Any:
        n_entries = int(sorted_sequence.shape[-1])
        n_steps = n_entries.bit_length()
        table = op.Pad(
            sorted_sequence,
            op.Constant(value_ints=[0, 0, 0, 2**n_steps - 1 - n_entries]),
            op.CastLike(op.Constant(value_float=math.inf), sorted_sequence),
        )
        is_below = op.LessOrEqual if right else op.Less
        found = op.Expand(op.Constant(value_ints=[0]), op.Shape(self))
        for step in reversed(range(n_steps)):
            last = op.Add(found, op.Constant(value_ints=[2**step - 1]))
            entry = op.GatherElements(table, last, axis=1)
            more = op.Add(found, op.Constant(value_ints=[2**step]))
            found = op.Where(is_below(entry, self), more, found)
        return found

    return function


def solve_lower() -> Callable[..., Any]:
    """Solution of equations with lower triangular matrices, line after line."""
    from onnxscript import opset18 as op

    def part(x: Any, first: int, last: int, axis: int) -> Any:
        ends = (op.Constant(value_ints=[end]) for end in (first, last, axis))
        return op.Slice(x, *ends)

    def function(
        self: Any,
        B: Any,
        upper: bool,
        left: bool = True,
        unitriangular: bool = False,
    ) -> Any:
        found: Any = None
        for i in range(int(self.shape[-1])):
            line, right = part(self, i, i + 1, -2), part(B, i, i + 1, -2)
            if found is not None:
                right = op.Sub(right, op.MatMul(part(line, 0, i, -1), found))
            own = op.Div(right, part(line, i, i + 1, -1))
            found = own if found is None else op.Concat(found, own, axis=-2)
        return found

    return function
