"""Rows as tensors, and chunks of long tables."""

import numpy as np
import pytest
import torch

from skvae.data._rows import Rows, chunks

WEIGHT = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
X = torch.arange(12.0, dtype=torch.float64).reshape(4, 3)
OBSERVED = X % 5 != 0


@pytest.fixture(params=[None, OBSERVED], ids=["complete", "with gaps"])
def rows(request):
    return Rows(X, WEIGHT, request.param)


def same(one, other):
    return one is other if one is None or other is None else torch.equal(one, other)


@pytest.mark.parametrize(
    "index", [slice(1, 3), torch.tensor([1, 2]), torch.arange(4) % 3 > 0], ids=str
)
def test_weights_of_some_rows_sum_to_one(rows, index):
    few = rows.take(index)
    assert torch.equal(few.x, X[index])
    torch.testing.assert_close(few.weight, WEIGHT[index] / WEIGHT[index].sum())
    assert same(few.observed, None if rows.observed is None else OBSERVED[index])


def test_some_columns(rows):
    mask = np.array([True, False, True])
    few = rows.of_columns(mask)
    assert torch.equal(few.x, X[:, [0, 2]])
    assert few.weight is rows.weight
    assert same(few.observed, None if rows.observed is None else OBSERVED[:, [0, 2]])
    assert rows.of_columns(np.ones(3, dtype=bool)) is rows


def test_weights_of_batches_sum_to_one_in_the_mean(rows):
    batches = rows.window(2).weight.reshape(2, 2).sum(dim=1)
    assert float(batches.mean()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("n_rows", "cells_per_row"), [(1, 1), (7, 400_000), (5, 10**7)]
)
def test_chunks_are_all_rows_in_order(n_rows, cells_per_row):
    found = [i for part in chunks(n_rows, cells_per_row) for i in range(n_rows)[part]]
    assert found == list(range(n_rows))
    size = max(len(range(n_rows)[part]) for part in chunks(n_rows, cells_per_row))
    assert size == 1 or size * cells_per_row <= 1_000_000


def test_no_rows_have_no_chunks():
    assert chunks(0, 3) == []
    assert chunks(3, 0) == [slice(0, 1_000_000)]
