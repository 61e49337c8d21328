"""Identity of a training: the table, settings and versions that it follows from."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from numbers import Integral
from typing import Any, NamedTuple

from skvae.data._canonical import canonical_rows
from skvae.data._view import TableView
from skvae.fit._table import CheckedTable
from skvae.fitted._digest import Digest, digest_of
from skvae.fitted._fitted import Fitted
from skvae.ground._version import __version__
from skvae.model._device import torch_device
from skvae.model._settings import Settings

# Libraries whose versions may compute other digits.
_LIBRARIES = ("torch", "numpy", "scikit-learn")

# Rows that are copied at once to compute their checksum.
_ROWS_AT_ONCE = 2**16


class Trait(NamedTuple):
    """Something that a training depends on."""

    text: str
    """In a form to be read."""
    checksum: str
    """The same for equal contents."""

    @classmethod
    def of(cls, value: Any) -> Trait:
        """Trait of a value."""
        return cls(repr(value), digest_of(value))


Identity = dict[str, Trait]


def identity_of(vae: Settings, table: CheckedTable, last: Fitted | None) -> Identity:
    """All that the result of a training follows from, but for the seed that is drawn.

    Parameters
    ----------
    vae : BalancedVAE
        The settings.
    table : CheckedTable
        The table.
    last : Fitted or None
        The model that a warm start goes on from.
    """
    # Those of training: not what a class of its own makes of the model.
    settings = {
        name: Trait.of(value)
        for name, value in _settings_of(vae).items()
        if name in Settings.__annotations__
    }
    start = None if last is None else [last.values, last.view, last.variance]
    n_rows, n_features = table.X.shape
    if table.sampled is not None:
        n_rows = table.sampled.stream.n_rows
    return {
        **settings,
        "model to start from": Trait(
            "none" if last is None else "that of a fit", digest_of(start)
        ),
        "columns of X": Trait(f"{n_features} columns", digest_of(table.columns)),
        "X or sample_weight": Trait(f"{n_rows} rows", _checksum_of_rows(table)),
        "version of skvae": Trait.of(__version__),
        **{f"version of {name}": Trait.of(version(name)) for name in _LIBRARIES},
    }


def origin_of(vae: Settings, view: TableView) -> dict[str, str]:
    """Checksums of what start values and rows do not show, by name.

    Parameters
    ----------
    vae : BalancedVAE
        The settings, of which some make their difference after training.
    view : TableView
        Equal rows may differ in their units, or in the names of levels.
    """
    return {
        "a setting": digest_of(_settings_of(vae)),
        "a value, a name or a weight of X": digest_of(view),
    }


def differences(identity: Mapping[str, Trait], other: Mapping[str, Trait]) -> list[str]:
    """Traits in which a training differs from an earlier one, as clauses.

    Parameters
    ----------
    identity : mapping of str to Trait
        Of the earlier one.
    other : mapping of str to Trait
    """
    none = Trait("not there", "")
    found = []
    for name in {**identity, **other}:
        was, now = identity.get(name, none), other.get(name, none)
        if was.checksum == now.checksum:
            continue
        if was.text == now.text:
            found.append(f"{name} had other contents")
        else:
            found.append(f"{name} was {was.text} and is {now.text}")
    return found


def _settings_of(vae: Settings) -> dict[str, Any]:
    """Settings of an estimator but for those that make no difference to a model."""
    settings = {name: getattr(vae, name) for name in Settings.__annotations__}
    # A class of its own may have more parameters, or fewer.
    settings |= vae.get_params(deep=False)
    # Lines that are printed make no difference.
    del settings["verbose"]
    seed = settings["random_state"]
    if not isinstance(seed, Integral):
        # What counts is the seed that it draws.
        settings["random_state"] = type(seed).__name__
    settings["device"] = torch_device(vae.device).type
    return settings


def _checksum_of_rows(table: CheckedTable) -> str:
    """Checksum of the rows and their weights.

    It is the same in any order of rows, except of a table that is read in blocks, whose
    training depends on the order.
    """
    digest = Digest()
    if table.sampled is not None:
        for _, place, X, weight in table.sampled.stream.read():
            digest.add([place, X + 0.0, weight])
        return digest.hexdigest()
    index, weight = canonical_rows(table.X, table.weight)
    digest.add(weight)
    for start in range(0, len(index), _ROWS_AT_ONCE):
        # Of two zeros that are equal only one has a sign.
        digest.add(table.X[index[start : start + _ROWS_AT_ONCE]] + 0.0)
    return digest.hexdigest()
