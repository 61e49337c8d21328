"""Real tables as they are: types, gaps and categories in, and the same out."""

import functools
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skvae import BalancedVAE
from skvae.data._view import TableView
from skvae.divergences import ImportanceWeighted
from skvae.fitted._access import admitted
from skvae.likelihoods import Categorical

pytestmark = [
    pytest.mark.xdist_group("mixed tables"),
    pytest.mark.filterwarnings(
        "ignore:Training ended after",
        # Two epochs on a few rows: what these tests are about is not how well it fits.
        "ignore::skvae.exceptions.PosteriorCollapseWarning",
        # Cabins, and an astronaut.
        "ignore::skvae.exceptions.ColumnWarning",
    ),
]
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 2, "tol": 1e3, "random_state": 0}
N_ROWS = 150

# Which columns of each table, and every how many rows.
TABLES = {
    "adult": (lambda frame: frame.drop(columns="split"), 300),
    "titanic": (lambda frame: frame.drop(columns=["Name", "Ticket"]), 5),
    "horse_colic": (lambda frame: frame.drop(columns="hospital_number"), 2),
    "communities_crime": (lambda frame: frame.iloc[:, 1:40], 14),
    "bike_sharing_hourly": (lambda frame: frame.drop(columns="dteday"), 110),
    "gas_sensor_drift": (lambda frame: frame.iloc[:, -30:], 44),
    "worm_neuron_counts": (lambda frame: frame, 27),
}

# Forms of a table do not depend on what it holds: all of them on one table, which has
# numbers, text and gaps, and one for each of the others.
OF_ALL_FORMS = "titanic"

FORMS = {
    "numpy types": lambda frame: frame,
    "nullable": lambda frame: frame.convert_dtypes(),
    "arrow": lambda frame: frame.convert_dtypes(dtype_backend="pyarrow"),
    "categorical": lambda frame: frame.astype(
        {name: "category" for name in texts(frame)}
    ),
    "polars": pl.from_pandas,
}


PAIRS = [
    pytest.param(
        name,
        form,
        id=f"{name}-{form}",
        marks=()
        if name == OF_ALL_FORMS or form == list(FORMS)[i % len(FORMS)]
        else pytest.mark.slow,
    )
    for i, name in enumerate(TABLES)
    for form in FORMS
]
every_pair = pytest.mark.parametrize(("name", "form"), PAIRS)


def texts(frame):
    """Names of the columns of text."""
    return [d for d in frame if not pd.api.types.is_numeric_dtype(frame[d])]


@pytest.fixture(scope="module")
def table(shared_data):
    """Some rows of a table, by its name."""

    @functools.cache
    def load(name):
        choose, step = TABLES[name]
        if name == "worm_neuron_counts":
            counts = np.load(shared_data / f"scrna_{name}.npz")["X"][:, :25]
            frame = pd.DataFrame(counts, columns=[f"gene {d}" for d in range(25)])
        else:
            frame = pd.read_parquet(shared_data / f"{name}.parquet")
        return choose(frame)[::step][:N_ROWS]

    return load


@pytest.fixture(scope="module")
def fitted(table):
    """A model of a table in some form."""

    @functools.cache
    def fit(name, form="numpy types"):
        return BalancedVAE(2, **SMALL).fit(FORMS[form](table(name)))

    return fit


def types_of(frame):
    return frame.schema if isinstance(frame, pl.DataFrame) else dict(frame.dtypes)


def gaps_in(frame, share=0.2):
    """A copy that lacks some cells at random, and which."""
    is_gap = np.random.RandomState(0).uniform(size=frame.shape) < share
    return frame.mask(is_gap), is_gap & frame.notna().to_numpy()


def as_objects(frame):
    """Cells of a frame of any kind, None where missing."""
    frame = frame.to_pandas() if isinstance(frame, pl.DataFrame) else frame
    return frame.astype(object).where(frame.notna(), None)


# --- types ----------------------------------------------------------------------------


@every_pair
def test_rows_come_back_in_the_types_they_came_in(fitted, table, name, form):
    vae, frame = fitted(name, form), FORMS[form](table(name))
    rows = frame[:20]
    Z = vae.transform(rows)
    assert np.isfinite(Z).all()
    found = {
        "sample": vae.sample(20, random_state=0),
        "inverse_transform": vae.inverse_transform(Z),
        "impute": vae.impute(rows),
    }
    filled, known = as_objects(found["impute"]), as_objects(rows)
    is_there = known.notna().to_numpy()
    assert (filled.to_numpy() == known.to_numpy())[is_there].all()
    for what, again in found.items():
        assert list(again.columns) == list(frame.columns), what
        cells = as_objects(again)
        is_all_missing = as_objects(frame).isna().all(axis=0)
        assert cells.loc[:, ~is_all_missing].notna().all(axis=None), what
        for column, dtype in types_of(frame).items():
            # Categories of a column of fit without the ones that no row holds.
            if form != "categorical" or not isinstance(dtype, pd.CategoricalDtype):
                assert types_of(again)[column] == dtype, (what, column)
        for column in texts(table(name)):
            assert set(cells[column]) <= {*as_objects(frame)[column]}, (what, column)


@every_pair
def test_every_form_of_a_table_says_the_same(fitted, table, name, form):
    plain = fitted(name).score_samples(table(name))
    frame = FORMS[form](table(name))
    assert_array_equal(fitted(name, form).score_samples(frame), plain)


def test_model_takes_rows_in_another_form(fitted, table):
    plain = fitted("titanic").transform(table("titanic"))
    for form in list(FORMS)[1:]:
        frame = FORMS[form](table("titanic"))
        assert_array_equal(fitted("titanic").transform(frame), plain, form)


@every_pair
def test_model_that_was_saved_does_the_same(fitted, table, name, form):
    vae, rows = fitted(name, form), FORMS[form](gaps_in(table(name)[:20])[0])
    again = pickle.loads(pickle.dumps(vae))
    for method in ("transform", "score_cells", "score_samples"):
        assert_array_equal(getattr(again, method)(rows), getattr(vae, method)(rows))
    assert again.impute(rows).equals(vae.impute(rows))
    assert again.sample(5, random_state=0).equals(vae.sample(5, random_state=0))


# --- scores ---------------------------------------------------------------------------


@every_pair
def test_cells_sum_to_the_distortion(fitted, table, name, form):
    vae, frame = fitted(name, form), FORMS[form](table(name))
    cells, (rate, distortion) = vae.score_cells(frame), vae.rate_distortion(frame)
    assert np.isfinite(cells).all()
    assert_array_equal(cells == 0.0, as_objects(frame).isna().to_numpy())
    assert_array_equal(cells.sum(axis=1), distortion)
    assert_array_equal(vae.score_samples(frame), -(rate + distortion))
    assert (rate >= 0.0).all()


def test_complete_rows_are_scored_as_beside_rows_with_gaps(fitted, table):
    vae, frame = fitted("bike_sharing_hourly"), table("bike_sharing_hourly")
    gaps = frame.astype(float)
    gaps.iloc[::3, 4] = np.nan
    complete = np.arange(len(frame)) % 3 > 0
    for method in (vae.transform, vae.score_cells):
        assert_array_equal(method(gaps)[complete], method(frame)[complete])


def test_mask_of_what_is_all_there_changes_nothing(table, monkeypatch):
    """Nor is there one, unless it is forced upon the fit."""
    frame = table("bike_sharing_hourly")
    params = {**SMALL, "precision": "float64"}
    plain = BalancedVAE(2, **params).fit(frame)
    fitted, X = admitted(plain, frame)
    assert fitted.view.seen(X)[1] is None
    rows = TableView.rows

    def masked_rows(self, *args, **kwargs):
        return rows(self, *args, **{**kwargs, "has_gaps": True})

    monkeypatch.setattr(TableView, "rows", masked_rows)
    masked = BalancedVAE(2, **params).fit(frame)
    # Sums of other shapes are rounded in another way.
    assert_allclose(masked.transform(frame), plain.transform(frame), atol=1e-8)
    assert masked.elbo_ == pytest.approx(plain.elbo_, abs=1e-8)


# --- gaps -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLES)
def test_gaps_of_every_kind_are_the_same(fitted, table, name):
    vae, frame = fitted(name), gaps_in(table(name))[0]
    objects = frame.astype(object)
    for gap in (None, np.nan, pd.NA, float("nan")):
        same = objects.where(frame.notna(), gap)
        assert_array_equal(vae.transform(same), vae.transform(frame))
        assert_array_equal(vae.score_cells(same), vae.score_cells(frame))


@pytest.mark.parametrize("name", TABLES)
def test_gaps_that_fit_did_not_see(fitted, table, name):
    vae, frame = fitted(name), table(name)
    gaps, is_gap = gaps_in(frame)
    assert np.isfinite(vae.transform(gaps)).all()
    assert not vae.score_cells(gaps)[gaps.isna().to_numpy()].any()
    filled = vae.impute(gaps)
    assert filled.loc[:, frame.notna().any()].notna().all(axis=None)
    is_there = gaps.notna().to_numpy()
    assert (filled.astype(object) == frame.astype(object)).to_numpy()[is_there].all()
    assert np.isfinite(vae.score_samples(filled)).all()
    assert is_gap.any()


@pytest.mark.parametrize("when", ["fit", "later"])
def test_column_that_is_missing_altogether(table, when):
    frame = table("titanic")
    no_text = pd.Series([None] * len(frame), frame.index, dtype="string")
    gaps = frame.assign(Age=np.nan, Embarked=no_text)
    vae = BalancedVAE(2, **SMALL).fit(gaps if when == "fit" else frame)
    assert np.isfinite(vae.transform(gaps)).all()
    cells = vae.score_cells(gaps)
    assert np.isfinite(cells).all()
    assert not cells[:, frame.columns.get_indexer(["Age", "Embarked"])].any()
    filled, drawn = vae.impute(gaps), vae.sample(5, random_state=0)
    for again in (filled, drawn):
        assert again["Age"].notna().all()
        # What no row ever held, nobody can give.
        assert again["Embarked"].isna().all() == (when == "fit")


@pytest.mark.parametrize("name", TABLES)
def test_row_that_is_missing_altogether_says_nothing(table, name):
    frame = table(name)
    empty = pd.DataFrame(np.nan, index=[0], columns=frame.columns).astype(object)
    gaps = pd.concat([frame.astype(object), empty])
    vae = BalancedVAE(2, **SMALL).fit(gaps)
    assert np.isfinite(vae.transform(gaps)).all()
    assert vae.rate_distortion(gaps)[1][-1] == 0.0
    # A bound on log 1, and no more than that where few rows like it were trained on.
    bound = vae.log_likelihood(gaps, 100)[-1]
    assert bound <= 0.5
    if name == "titanic":
        assert bound == pytest.approx(0.0, abs=0.5)
    filled = vae.impute(gaps)
    assert filled.loc[:, frame.notna().any()].notna().all(axis=None)


@pytest.mark.parametrize("name", TABLES)
def test_weight_is_repetition_with_gaps(table, name):
    frame = table(name)
    weight = np.random.RandomState(0).randint(3, size=len(frame))
    weighed = BalancedVAE(2, **SMALL).fit(frame, sample_weight=weight)
    rows = frame.loc[frame.index.repeat(weight)]
    repeated = BalancedVAE(2, **SMALL).fit(rows)
    if name == "titanic":
        # Some categories are those of rows of weight zero alone.
        assert set(rows["Cabin"]) < set(frame["Cabin"])
    assert_array_equal(weighed.transform(rows), repeated.transform(rows))
    assert_array_equal(weighed.score_cells(rows), repeated.score_cells(rows))
    assert weighed.elbo_ == repeated.elbo_


# --- categories -----------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_category_that_fit_did_not_see(table, form):
    frame = table("adult")
    new = frame[:3].assign(occupation="Astronaut")
    numbers = [d for d in frame if d not in texts(frame)]

    def model(handle_unknown):
        likelihood = [
            ("gaussian", numbers),
            (Categorical(handle_unknown=handle_unknown), texts(frame)),
        ]
        return BalancedVAE(2, likelihood=likelihood, **SMALL).fit(FORMS[form](frame))

    strict, lenient = model("error"), model("missing")
    for method in (strict.transform, strict.score_cells, strict.impute):
        with pytest.raises(ValueError, match="'occupation' holds the category 'Astro"):
            method(FORMS[form](new))
    missing = new.assign(occupation=pd.Series([None] * 3, new.index, dtype="str"))
    for method in (lenient.transform, lenient.score_cells):
        assert_array_equal(method(FORMS[form](new)), method(FORMS[form](missing)))
    filled = as_objects(lenient.impute(FORMS[form](new)))
    assert set(filled["occupation"]) <= set(frame["occupation"].dropna())


# --- imputation -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(table):
    """A model of a table with gaps that has learned something, the table, the gaps."""

    @functools.cache
    def train(name):
        gaps, is_gap = gaps_in(table(name))
        params = {**SMALL, "max_iter": 40}
        return BalancedVAE(4, **params).fit(gaps), gaps, is_gap

    return train


def test_imputed_numbers_are_better_than_the_means(trained, table):
    vae, gaps, is_gap = trained("gas_sensor_drift")
    numbers = ~np.isin(gaps.columns, texts(gaps))
    truth = table("gas_sensor_drift").loc[:, numbers].to_numpy(float)
    filled = vae.impute(gaps).loc[:, numbers].to_numpy(float)
    known, is_gap = gaps.loc[:, numbers].to_numpy(float), is_gap[:, numbers]
    mean, spread = np.nanmean(known, axis=0), np.nanstd(known, axis=0)
    error, of_mean = (np.square((x - truth) / spread) for x in (filled, mean))
    assert error[is_gap].mean() < 0.5 * of_mean[is_gap].mean()


def test_imputed_categories_are_better_than_the_most_frequent(trained, table):
    vae, gaps, is_gap = trained("adult")
    frame, filled = table("adult"), vae.impute(gaps)
    hits, of_mode = 0, 0
    for column in texts(frame):
        missing = is_gap[:, frame.columns.get_loc(column)]
        truth = frame[column][missing]
        hits += (filled[column][missing] == truth).sum()
        of_mode += (gaps[column].mode()[0] == truth).sum()
    assert hits > 1.05 * of_mode


def test_draws_spread_around_the_expectation(trained):
    vae, gaps, is_gap = trained("gas_sensor_drift")
    tables = vae.impute(gaps[:30], n_draws=40, random_state=0)
    assert len(tables) == 40
    numbers = gaps.select_dtypes("number").columns
    numbers = [d for d in numbers if gaps[d].std() > 0.0]
    drawn = np.stack([each[numbers].to_numpy(float) for each in tables])
    is_gap = gaps[:30][numbers].isna().to_numpy()
    assert not np.ptp(drawn, axis=0)[~is_gap].any()
    spread = drawn.std(axis=0)[is_gap]
    assert (spread > 0.0).all()
    expected = vae.impute(gaps[:30], n_importance_samples=400)[numbers].to_numpy(float)
    z = (drawn.mean(axis=0) - expected)[is_gap] / (spread / np.sqrt(40))
    # Standard normal, but for what whole numbers and weights of few draws add.
    assert np.abs(np.mean(z)) < 0.5
    assert np.std(z) < 2.0


def test_draws_are_of_the_types_of_the_table_and_repeat_by_seed(trained):
    vae, gaps, _ = trained("adult")
    first, second = vae.impute(gaps[:20], n_draws=2, random_state=0)
    assert dict(first.dtypes) == dict(second.dtypes)
    assert first.notna().all(axis=None)
    assert not first.equals(second)
    again = vae.impute(gaps[:20], n_draws=2, random_state=0)
    pd.testing.assert_frame_equal(again[1], second)
    for column in texts(gaps):
        assert set(first[column]) <= set(gaps[column].dropna())


@pytest.mark.parametrize("name", TABLES)
def test_importance_weighted_objective_with_gaps(table, name):
    """The objective of MIWAE."""
    frame = table(name)
    params = {"divergence": ImportanceWeighted(3), "balance": "learned_variance"}
    vae = BalancedVAE(2, **params, **SMALL).fit(frame)
    assert np.isfinite(vae.elbo_)
    assert np.isfinite(vae.transform(frame)).all()
    assert np.isfinite(vae.history_["objective"]).all()
    filled = vae.impute(frame)
    assert filled.loc[:, frame.notna().any()].notna().all(axis=None)
