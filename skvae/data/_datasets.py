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
    """
    if not isinstance(X, (str, os.PathLike)):
        return X
    if not os.path.exists(X):
        raise FileNotFoundError(
            f"X is {os.fspath(X)!r}, where there is no file or folder. Pass a table, "
            "or the path of a Parquet file, or of a folder of them."
        )
    dataset = import_optional_dependency("pyarrow.dataset", needed_by="A path as X")
    return dataset.dataset(X, format="parquet", partitioning="hive")


def columns_in(dataset: Any) -> list[str]:
    """Names of the columns, without those that hold the row index of pandas."""
    noted = (dataset.schema.metadata or {}).get(b"pandas", b"{}")
    index = json.loads(noted).get("index_columns", [])
    return [name for name in dataset.schema.names if name not in index]


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
