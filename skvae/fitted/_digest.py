"""Checksum of settings and arrays, by their contents alone."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

_TABLES = frozenset({"pandas", "polars", "pyarrow"})


class Digest:
    """Checksum of objects, the same for equal contents in whatever process.

    It depends on values, types and the names of attributes, and not on which objects
    are shared, where arrays lie, or how a library of tables stores its own types. So
    it is the same after pickle, joblib, skops and a deep copy.

    Parameters
    ----------
    owner : object
        Object whose attributes are added; where these refer to it, that is not
        followed.

    Attributes
    ----------
    lacking : list of str
        Attributes that a class declares and an object of it does not have.
    """

    def __init__(self, owner: Any = None) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self._within = {id(owner)}
        self.lacking: list[str] = []

    def hexdigest(self) -> str:
        """Checksum of all that was added, as 32 hexadecimal digits."""
        return self._hash.hexdigest()

    def add(self, value: Any) -> None:
        """Add an object, with all that it holds."""
        # A time of numpy counts as an integer there.
        if isinstance(value, (np.ndarray, np.timedelta64)):
            self._add_array(np.asarray(value))
        elif value is None or isinstance(value, (bool, np.bool_)):
            self._put("constant", str(value))
        elif isinstance(value, (int, np.integer)):
            self._put("integer", str(int(value)))
        elif isinstance(value, (float, np.floating)):
            # skops makes Python's numbers of numpy's.
            self._put("float", struct.pack("<d", float(value)))
        elif isinstance(value, str):
            self._put("text", str(value))
        elif isinstance(value, (bytes, bytearray)):
            self._put("bytes", bytes(value))
        elif isinstance(value, np.generic):
            self._add_array(np.asarray(value))
        elif isinstance(value, (type, FunctionType, BuiltinFunctionType)):
            self._put("name", _name_of(value))
        else:
            self._add_nested(value)

    def _put(self, kind: str, content: str | bytes) -> None:
        """Add bytes, so that their beginning and their end count."""
        if isinstance(content, str):
            content = content.encode("utf-8", "surrogatepass")
        self._hash.update(f"{kind} {len(content)} ".encode())
        self._hash.update(content)

    def _add_array(self, array: np.ndarray) -> None:
        self._put("array", f"{array.dtype.str} {array.shape}")
        if array.dtype.hasobject:
            self._add_all("object", array.ravel().tolist())
        else:
            self._hash.update(
                np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
            )

    def _add_all(self, name: str, values: Iterable[Any]) -> None:
        """Add a sequence."""
        values = list(values)
        self._put("sequence", f"{name} {len(values)}")
        for value in values:
            self.add(value)

    def _add_items(self, name: str, items: Mapping[Any, Any]) -> None:
        """Add a mapping."""
        self._put("mapping", f"{name} {len(items)}")
        for key, value in items.items():
            self.add(key)
            self.add(value)

    def _add_nested(self, value: Any) -> None:
        """Add an object that may hold others, itself among them."""
        if id(value) in self._within:
            self._put("constant", "within itself")
            return
        self._within.add(id(value))
        name = _name_of(type(value))
        if isinstance(value, (list, tuple)):
            self._add_all(name, value)
        elif type(value) is dict:
            self._add_items(name, value)
        elif isinstance(value, (set, frozenset)):
            self._add_all(name, sorted(map(digest_of, value)))
        elif isinstance(value, (np.dtype, np.random.RandomState, np.random.Generator)):
            self._add_all(name, [_of_numpy(value)])
        elif name.partition(".")[0] in _TABLES:
            self._add_all(name, _of_table(value))
        elif name.startswith("torch.") and hasattr(value, "detach"):
            self._add_all(name, [np.asarray(value.detach().cpu())])
        elif is_dataclass(value) or isinstance(value, BaseEstimator):
            self._add_items(name, self._attributes(name, value))
        else:
            self._add_all(name, _reduced(value))
        self._within.remove(id(value))

    def _attributes(self, name: str, value: Any) -> dict[str, Any]:
        """Attributes of an object as it is stored; notes those that it lacks."""
        declared: list[str] = []
        if isinstance(value, BaseEstimator):
            declared = type(value)._get_param_names()
        elif name.startswith("skvae."):
            declared = [field.name for field in fields(value)]
        self.lacking += [
            f"{name}.{each}" for each in declared if not hasattr(value, each)
        ]
        state = value.__getstate__()
        # Of an object with slots, or with a state of its own.
        attributes = dict(state) if isinstance(state, dict) else {"state": state}
        # That of the scikit-learn that stores it, not of the one that stored it first.
        attributes.pop("_sklearn_version", None)
        return attributes


def digest_of(value: Any) -> str:
    """Checksum of an object, as 32 hexadecimal digits."""
    digest = Digest()
    digest.add(value)
    return digest.hexdigest()


def _name_of(kind: Any) -> str:
    """Full name of a class or a function."""
    return f"{kind.__module__}.{kind.__qualname__}"


def _of_numpy(value: Any) -> Any:
    """Contents of a type of numpy, or state of one of its generators."""
    if isinstance(value, np.dtype):
        return value.descr if value.names else value.str
    if isinstance(value, np.random.RandomState):
        return value.get_state(legacy=False)
    return value.bit_generator.state


def _of_table(value: Any) -> list[Any]:
    """Contents of an object of pandas, polars or Arrow: a type, an index, a column."""
    for method in ("to_list", "tolist", "to_pylist"):
        if hasattr(value, method):
            return getattr(value, method)()
    categories = getattr(value, "categories", None)
    # A text with all categories would be cut short.
    text = type(value).__name__ if categories is not None else str(value)
    return [
        text,
        getattr(value, "storage", None),
        getattr(value, "ordered", None),
        categories,
    ]


def _reduced(value: Any) -> list[Any]:
    """Parts that pickle makes of an object; none of one that cannot be pickled."""
    try:
        reduced = value.__reduce_ex__(4)
    except Exception:
        return []
    if isinstance(reduced, str):
        return [reduced]
    constructor, arguments, state, elements, items = (*reduced, None, None, None)[:5]
    return [
        constructor,
        arguments,
        state,
        None if elements is None else list(elements),
        None if items is None else list(items),
    ]
