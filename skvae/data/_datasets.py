"""Parquet files and datasets of Arrow, read in blocks."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import Any, TypeGuard

import numpy as np

from skvae.data._blocks import Block
from skvae.ground._optional import import_optional_dependency

# Rows of a batch of Arrow: enough for its overhead not to count.
_BATCH = 2**15


def is_dataset(X: Any) -> TypeGuard[Any]:
    """True for a dataset of Arrow, and for the path of a Parquet file or folder."""
    if isinstance(X, (str, os.PathLike)):
        return True
    dataset = sys.modules.get("pyarrow.dataset")
    return dataset is not None and isinstance(X, dataset.Dataset)


def opened(X: Any) -> Any:
    """Dataset of a path, or the one that is given.

    Raises
    ------
    FileNotFoundError
        If there is nothing at the path.
    ValueError
        If it holds no file, other files than of Parquet, or tables of several forms.
    """
    if not isinstance(X, (str, os.PathLike)):
        return X
    path = os.fspath(X)
    if not os.path.exists(X):
        raise FileNotFoundError(
            f"X is {path!r}, where there is no file or folder. Pass a table, or the "
            "path of a Parquet file, or of a folder of them. Files that are elsewhere, "
            "or named by a pattern, are read from a pyarrow.dataset.Dataset."
        )
    dataset = import_optional_dependency("pyarrow.dataset", needed_by="A path as X")
    settings = {"format": "parquet", "partitioning": "hive"}
    try:
        found = dataset.dataset(X, **settings)
        files = {
            each.path: _without_index(each.physical_schema)
            for each in found.get_fragments()
        }
    except ValueError as error:
        raise ValueError(
            f"X is the path {path!r}, which cannot be read as Parquet. Read files of "
            f"other kinds by their own library, such as pandas.read_csv. ({error})"
        ) from error
    if not files:
        raise ValueError(
            f"X is the folder {path!r}, in which there is no file. Pass the path of a "
            "Parquet file, or of a folder of them."
        )
    # The types of a dataset are those of its first file.
    first = _without_index(found.schema)
    schema = _unified(first, files)
    return found if schema == first else dataset.dataset(X, schema=schema, **settings)


def _unified(schema: Any, files: dict[str, Any]) -> Any:
    """Schema of all files of a dataset, from that of the first and of each.

    Raises
    ------
    ValueError
        If files have several columns, or a column has types that do not go together.
    """
    import pyarrow as pa

    first, columns = next((path, set(own.names)) for path, own in files.items())
    for path, own in files.items():
        for name in sorted(columns ^ set(own.names)):
            with_it, without = (first, path) if name in columns else (path, first)
            raise ValueError(
                f"X has column {name!r} in the file {with_it!r} and not in "
                f"{without!r}. Give all files the same columns, or pass a "
                "pyarrow.dataset.dataset with a schema: cells of a column that a file "
                "lacks are then missing."
            )
        try:
            schema = pa.unify_schemas([schema, own], promote_options="permissive")
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"The file {path!r} of X has other types than {first!r}: {error}. Give "
                "each column one type in all files."
            ) from error
    return schema


def columns_in(dataset: Any) -> list[str]:
    """Names of the columns, without those that hold the row index of pandas."""
    names: list[str] = _without_index(dataset.schema).names
    return names


def _without_index(schema: Any) -> Any:
    """Schema without the columns that hold the row index of pandas."""
    import pyarrow as pa

    noted = (schema.metadata or {}).get(b"pandas", b"{}")
    index = json.loads(noted).get("index_columns", [])
    return pa.schema([field for field in schema if field.name not in index])


class ArrowDataset:
    """A dataset of Arrow, such as the Parquet files of a folder.

    Parameters
    ----------
    dataset : pyarrow.dataset.Dataset
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self.n_rows: int = dataset.count_rows()
        self.columns = columns_in(dataset)
        self._settings = {
            "columns": self.columns,
            "batch_size": _BATCH,
            "batch_readahead": 1,
            "fragment_readahead": 1,
            "use_threads": False,
        }

    @property
    def n_features(self) -> int:
        """Number of columns."""
        return len(self.columns)

    @property
    def is_numeric(self) -> bool:
        """False: the types of its columns are those of a table of Arrow."""
        return False

    def read(self, random: np.random.RandomState | None = None) -> Iterator[Block]:
        """Read all rows once, as `Blocks` describes it: by groups of rows."""
        import pyarrow as pa

        parts = self._parts
        if random is not None:
            parts = [parts[i] for i in random.permutation(len(parts))]
        for start, part in parts:
            settings = dict(self._settings)
            if part is not self.dataset:
                settings["schema"] = self.dataset.schema
            for batch in part.to_batches(**settings):
                if len(batch):
                    yield Block(start, pa.Table.from_batches([batch]))
                    start += len(batch)

    @property
    def _parts(self) -> list[tuple[int, Any]]:
        """Parts that can be read in any order, and the number of their first rows."""
        try:
            fragments = list(self.dataset.get_fragments())
        except ValueError:
            # Of a dataset with a filter.
            return [(0, self.dataset)]
        found, start = [], 0
        for fragment in fragments:
            if not hasattr(fragment, "split_by_row_group"):
                found.append((start, fragment))
                start += fragment.count_rows()
                continue
            for part in fragment.split_by_row_group():
                found.append((start, part))
                # Its method counts the rows of the whole file.
                start += sum(group.num_rows for group in part.row_groups)
        return found
