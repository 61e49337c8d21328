"""Parquet files and datasets of Arrow, which are never in memory as a whole."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skvae import BalancedVAE
from skvae.data import _datasets, _large
from skvae.data._datasets import ArrowDataset
from skvae.data._frames import joined
from skvae.data._large import blocks_of
from skvae.fit import _stream, _windows
from skvae.fit._stream import Stream

pytest.importorskip("pyarrow.dataset")

SETTINGS = {"hidden_layer_sizes": (8,), "max_iter": 5, "tol": 1e3, "random_state": 0}


@pytest.fixture
def frame():
    random = np.random.default_rng(0)
    code = random.standard_normal(1200)
    frame = pd.DataFrame(
        {
            "size": code + 0.2 * random.standard_normal(1200),
            "weight": 3.0 * code + random.standard_normal(1200),
            "number": random.integers(0, 50, 1200),
            "colour": np.where(code > 0, "red", "blue"),
            "flag": code > 0.5,
        }
    )
    frame.loc[1111, "colour"] = "a rare green"
    frame.loc[44, "weight"] = np.nan
    return frame


@pytest.fixture
def folder(frame, tmp_path):
    """A folder of two files of three groups of rows each."""
    path = tmp_path / "rows"
    path.mkdir()
    for i, start in enumerate((0, 600)):
        part = frame[start : start + 600]
        part.to_parquet(path / f"{i}.parquet", row_group_size=200, index=False)
    return path


@pytest.fixture
def small_parts(monkeypatch):
    """Datasets of any size count as large, and are read in small parts."""
    monkeypatch.setattr(_large, "_SMALL", 0)
    monkeypatch.setattr(_datasets, "_BATCH", 90)
    monkeypatch.setattr(_windows, "_WINDOW", 2**12)
    monkeypatch.setattr(_stream, "_ROWS", 400)


def dataset_of(path):
    from pyarrow import dataset

    return dataset.dataset(path, format="parquet")


def test_small_files_are_fitted_as_in_memory(frame, folder):
    expected = BalancedVAE(2, **SETTINGS).fit(dataset_of(folder).to_table())
    for X in (folder, str(folder), dataset_of(folder)):
        vae = BalancedVAE(2, **SETTINGS).fit(X)
        assert_array_equal(vae.transform(X), expected.transform(frame))


@pytest.mark.parametrize("random", [None, np.random.RandomState(0)])
def test_blocks_are_all_rows(frame, folder, small_parts, random):
    blocks = blocks_of(folder)
    assert blocks.n_rows == 1200
    parts = list(blocks.read(random))
    starts = [start for start, _ in parts]
    assert (starts == sorted(starts)) == (random is None)
    parts.sort(key=lambda block: block.start)
    assert_array_equal([start for start, _ in parts][:4], [0, 90, 180, 200])
    table = joined([table for _, table in parts])
    assert_array_equal(table["size"].to_numpy(), frame["size"])


def test_levels_are_those_of_all_rows(folder, small_parts):
    vae = BalancedVAE(2)
    stream = Stream.of(vae, blocks_of(folder), None, None)
    assert_array_equal(stream.columns.levels(3), ["a rare green", "blue", "red"])
    assert list(vae.feature_names_in_) == ["size", "weight", "number", "colour", "flag"]
    sample = stream.sample()
    codes = set(sample.X[:, 3])
    assert codes == {0.0, 1.0, 2.0}
    assert np.isnan(sample.X[:, 1]).any()


def test_fit_is_about_as_good_as_in_memory(frame, folder, small_parts):
    one = BalancedVAE(2, **SETTINGS).fit(frame)
    other = BalancedVAE(2, **SETTINGS).fit(folder)
    assert_allclose(
        other._fitted.view.scaling.center, one._fitted.view.scaling.center, rtol=1e-9
    )
    assert other.score(frame) == pytest.approx(one.score(frame), abs=0.3)
    assert other.sample(3, random_state=0).column_names == list(frame.columns)


@pytest.mark.parametrize("method", ["transform", "score_samples"])
def test_methods_give_the_same_block_by_block(frame, folder, small_parts, method):
    vae = BalancedVAE(2, **SETTINGS).fit(frame)
    found, expected = (getattr(vae, method)(X) for X in (folder, frame))
    assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_weights(folder, small_parts):
    vae = BalancedVAE(2, **SETTINGS)
    weight = np.ones(1200)
    weight[:600] = 0.0
    vae.fit(folder, sample_weight=weight)
    with pytest.raises(ValueError, match="sample_weight"):
        vae.fit(folder, sample_weight=weight[1:])


def test_a_dataset_with_a_filter_is_read_in_order(frame, folder, small_parts):
    from pyarrow import dataset

    blocks = ArrowDataset(dataset_of(folder).filter(dataset.field("flag")))
    assert blocks.n_rows == frame["flag"].sum()
    parts = list(blocks.read(np.random.RandomState(0)))
    assert sum(len(table) for _, table in parts) == blocks.n_rows


def test_a_path_without_a_file():
    with pytest.raises(FileNotFoundError, match=r"nowhere.*there is no file or folder"):
        BalancedVAE().fit("nowhere")


@pytest.mark.parametrize("make", [lambda folder: folder, lambda folder: folder / "0"])
def test_files_that_are_not_parquet(tmp_path, make):
    (tmp_path / "0").write_text("a,b\n1,2\n")
    message = (
        r"cannot be read as Parquet\. .* such as pandas\.read_csv\. \(.*magic|size"
    )
    with pytest.raises(ValueError, match=message):
        BalancedVAE().fit(make(tmp_path))


def test_a_folder_without_files(tmp_path):
    with pytest.raises(ValueError, match=r"the folder .*, in which there is no file"):
        BalancedVAE().fit(tmp_path)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("limit", [0, 2**26])
def test_files_of_several_types(frame, tmp_path, monkeypatch, limit, order):
    """The types of a dataset are else those of its first file."""
    monkeypatch.setattr(_large, "_SMALL", limit)
    other = frame.assign(number=frame["number"] + 0.5, colour=None)
    for i, part in enumerate([frame, other][::order]):
        part.to_parquet(tmp_path / f"{i}.parquet", index=False)
    vae = BalancedVAE(1, **SETTINGS).fit(tmp_path)
    table = vae.sample(3, random_state=0)
    assert table["number"].type == "double"
    assert str(table["colour"].type) in {"string", "large_string"}
    assert vae.transform(tmp_path).shape == (2400, 1)


def test_files_that_do_not_go_together(frame, tmp_path):
    frame.to_parquet(tmp_path / "0.parquet", index=False)
    frame.drop(columns="flag").to_parquet(tmp_path / "1.parquet", index=False)
    with pytest.raises(
        ValueError, match=r"column 'flag' in the file .*0.parquet' and not in .*1\.parq"
    ):
        BalancedVAE().fit(tmp_path)
    frame.assign(new=1).to_parquet(tmp_path / "1.parquet", index=False)
    with pytest.raises(
        ValueError, match=r"column 'new' in the file .*1.parquet' and not in .*0\.parq"
    ):
        BalancedVAE().fit(tmp_path)
    frame.assign(size="large").to_parquet(tmp_path / "1.parquet", index=False)
    with pytest.raises(
        ValueError, match=r"1.parquet' of X has other types than .*0\.parquet': .* size"
    ):
        BalancedVAE().fit(tmp_path)


def test_a_column_of_two_kinds(tmp_path, small_parts):
    from skvae.data._columns import Columns

    parts = [pd.DataFrame({"a": [1.0]}), pd.DataFrame({"a": ["x"]})]
    message = (
        "'a' holds numbers of type float64 in chunk 0 .* categories 'x' in chunk 1"
    )
    with pytest.raises(ValueError, match=message):
        Columns.of_parts(parts)


@pytest.mark.parametrize("limit", [0, 2**26])
def test_columns_of_partitions_and_index(frame, tmp_path, monkeypatch, limit):
    monkeypatch.setattr(_large, "_SMALL", limit)
    frame = frame[["size", "weight", "flag"]].assign(year=2000 + np.arange(1200) % 3)
    frame.to_parquet(tmp_path / "parts", partition_cols=["year"], index=False)
    vae = BalancedVAE(1, **SETTINGS).fit(str(tmp_path / "parts"))
    assert sorted(vae.feature_names_in_) == ["flag", "size", "weight", "year"]
    frame.index = pd.Index(np.arange(1200)[::-1], name="id")
    frame.to_parquet(tmp_path / "indexed.parquet")
    vae = BalancedVAE(1, **SETTINGS).fit(str(tmp_path / "indexed.parquet"))
    assert list(vae.feature_names_in_) == list(frame)
    assert vae.transform(str(tmp_path / "indexed.parquet")).shape == (1200, 1)
    # Of a file that is filtered by pandas, the index is a column.
    (tmp_path / "both").mkdir()
    frame.reset_index(drop=True).to_parquet(tmp_path / "both" / "0.parquet")
    frame[frame["year"] > 2000].to_parquet(tmp_path / "both" / "1.parquet")
    vae = BalancedVAE(1, **SETTINGS).fit(str(tmp_path / "both"))
    assert sorted(vae.feature_names_in_) == sorted(frame)
