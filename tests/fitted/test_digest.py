"""Checksum of settings and arrays: equal for equal contents, else different."""

import copy
import datetime
import functools
import pickle
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

from skvae.balance import Cyclical, LearnedVariance
from skvae.fitted._digest import Digest, digest_of
from skvae.likelihoods import Categorical, Gaussian


class Own:
    """An object of someone else's."""

    def __init__(self, value):
        self.value = value


@dataclass(frozen=True, slots=True)
class Slotted:
    """An object without a dictionary."""

    value: int


class Locked:
    """An object that cannot be pickled."""

    def __reduce_ex__(self, protocol):
        raise TypeError("a lock")


def nested(depth):
    found = [0]
    for _ in range(depth):
        found = [found, found]
    return found


DIFFERENT = {
    "none": None,
    "true": True,
    "one": 1,
    "one as a float": 1.0,
    "text": "1",
    "bytes": b"1",
    "nothing": "",
    "a lone surrogate": "\ud800",
    "large": 2**70,
    "nan": np.nan,
    "minus zero": -0.0,
    "complex": 1j,
    "single": np.ones(3, np.float32),
    "double": np.ones(3),
    "column": np.ones((3, 1)),
    "row": np.ones((1, 3)),
    "transposed": np.arange(6.0).reshape(2, 3).T,
    "objects": np.array(["a", None, 1.0], dtype=object),
    "strings": np.array(["a", "b"]),
    "structured": np.array([(1, 2.0)], dtype=[("a", int), ("b", float)]),
    "times": np.array(["2020-01-01"], dtype="datetime64[ns]"),
    "a time": np.datetime64("2020-01-01"),
    "a difference": np.timedelta64(1, "D"),
    "empty": np.empty((0, 3)),
    "type of numpy": np.dtype("float32"),
    "types of numpy": np.dtype([("a", int)]),
    "list": [1, 2],
    "tuple": (1, 2),
    "set": {"a", "b", "c"},
    "frozen set": frozenset({"a", "b", "c"}),
    "dictionary": {"a": 1, "b": 2},
    "keys": {"a": 2, "b": 1},
    "nested": nested(3),
    "class": Gaussian,
    "function": nested,
    "built in": len,
    "part of a function": functools.partial(nested, 2),
    "date": datetime.date(2020, 1, 1),
    "decimal": Decimal("0.1"),
    "fraction": Fraction(1, 10),
    "policy": Cyclical(),
    "wrapped": Cyclical(policy=LearnedVariance()),
    "likelihood": Categorical().fit(np.array([[0.0], [1.0]])),
    "own": Own(1),
    "another": Own(2),
    "slots": Slotted(1),
    "other slots": Slotted(2),
    "old generator": np.random.RandomState(0),
    "old generator, 1": np.random.RandomState(1),
    "generator": np.random.default_rng(0),
    "tensor": torch.ones(3),
    "category": pd.CategoricalDtype(["a", "b"]),
    "ordered": pd.CategoricalDtype(["a", "b"], ordered=True),
    "many": pd.CategoricalDtype([f"level {i}" for i in range(1000)]),
    "other many": pd.CategoricalDtype([f"level {i + (i > 500)}" for i in range(1000)]),
    "string of Arrow": pd.StringDtype("pyarrow"),
    "string of Python": pd.StringDtype("python"),
    "integer of pandas": pd.Int64Dtype(),
    "index": pd.Index(["a", "b"]),
    "missing": pd.NA,
    "time of pandas": pd.Timestamp("2020-01-01", tz="UTC"),
    "enum": pl.Enum(["a", "b"]),
    "other enum": pl.Enum(["a", "c"]),
    "time of polars": pl.Datetime("ns"),
    "class of polars": pl.Int64,
    "column of polars": pl.Series([1, None]),
    "type of Arrow": pa.dictionary(pa.int8(), pa.string()),
}


def test_different_contents_have_different_checksums():
    found = {name: digest_of(value) for name, value in DIFFERENT.items()}
    assert len(set(found.values())) == len(found)


@pytest.mark.parametrize("name", DIFFERENT)
def test_copies_have_the_same_checksum(name):
    value = DIFFERENT[name]
    expected = digest_of(value)
    assert digest_of(value) == expected
    for protocol in (2, 5):
        again = pickle.loads(pickle.dumps(value, protocol=protocol))
        assert digest_of(again) == expected
    assert digest_of(copy.deepcopy(value)) == expected


def test_layout_and_sharing_make_no_difference():
    array = np.arange(6.0).reshape(2, 3)
    assert digest_of(np.asfortranarray(array)) == digest_of(array)
    assert digest_of(np.arange(12.0)[::2]) == digest_of(np.arange(6) * 2.0)
    shared = [1, 2]
    assert digest_of([shared, shared]) == digest_of([[1, 2], [1, 2]])
    assert digest_of({"b", "a"}) == digest_of({"a", "b"})
    # As skops returns them.
    assert digest_of(np.float64(0.1)) == digest_of(0.1)
    assert digest_of(np.int64(3)) == digest_of(3)
    assert digest_of(np.bool_(True)) == digest_of(True)
    assert digest_of(np.str_("a")) == digest_of("a")


def test_objects_that_hold_themselves_or_cannot_be_pickled():
    one = [1]
    one.append(one)
    assert digest_of(one) == digest_of(copy.deepcopy(one))
    assert digest_of(Locked()) == digest_of(Locked())
    owner = Own(1)
    owner.value = owner
    digest = Digest(owner)
    digest.add(vars(owner))
    again = pickle.loads(pickle.dumps(owner))
    other = Digest(again)
    other.add(vars(again))
    assert digest.hexdigest() == other.hexdigest()


def test_copies_on_devices_make_no_difference():
    likelihood = DIFFERENT["likelihood"]
    before = digest_of(likelihood)
    likelihood.tensor("block_offset_", torch.zeros(1))
    assert digest_of(likelihood) == before
    assert "_tensors" not in vars(copy.deepcopy(likelihood))


def test_missing_attributes_are_noted():
    likelihood = Gaussian()
    del likelihood.floor
    digest = Digest()
    digest.add([likelihood, Gaussian()])
    assert digest.lacking == ["skvae.likelihoods._gaussian.Gaussian.floor"]
