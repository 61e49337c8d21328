"""The inputs of an encoder, and the columns that they stand for."""

from __future__ import annotations

from collections.abc import Iterable


class Inputs(int):
    """The number of inputs of an encoder, and the column that each stands for.

    An integer like any other, which `Network.encoder` and the `make_encoder` of
    `TorchNetwork` are called with.

    Parameters
    ----------
    columns : iterable of int
        Column of the table that each input holds a cell of. A column of levels has
        one input for each level.
    masked : iterable of int, default=()
        Columns with an indicator of missing cells: one input more for each, after
        all others.

    Attributes
    ----------
    columns : tuple of int
        Column of each input, those of indicators too. If columns have several
        likelihoods, they have the order of `likelihood`.
    n_values : int
        Number of inputs that hold cells; the others are indicators.

    Examples
    --------
    A number, a column of three levels, and an indicator for the number:

    >>> from skvae.networks import Inputs
    >>> n_inputs = Inputs([0, 1, 1, 1], masked=[0])
    >>> n_inputs
    5
    >>> n_inputs.columns, n_inputs.n_values
    ((0, 1, 1, 1, 0), 4)
    """

    columns: tuple[int, ...]
    n_values: int

    def __new__(cls, columns: Iterable[int], masked: Iterable[int] = ()) -> Inputs:
        cells, indicators = tuple(map(int, columns)), tuple(map(int, masked))
        self = super().__new__(cls, len(cells) + len(indicators))
        self.columns, self.n_values = cells + indicators, len(cells)
        return self

    def __reduce__(self) -> tuple[type[Inputs], tuple[tuple[int, ...], ...]]:
        """Return what copies and pickles are made from."""
        return Inputs, (self.columns[: self.n_values], self.columns[self.n_values :])
