"""Distortion against rate."""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skvae import BalancedVAE
from skvae.displays import RateDistortionDisplay
from skvae.displays._axes import short_number

# A path as `beta_path` returns it: more beta, less rate.
BETAS = np.geomspace(0.1, 10.0, 20)
RATE = 12.0 / (1.0 + BETAS)
DISTORTION = 20.0 * np.exp(-RATE / 3.0) - 5.0
FOLDS = np.array([-1.0, 0.0, 1.0])


def path(n_betas=20, folds=True):
    rate, distortion = RATE[:n_betas], DISTORTION[:n_betas]
    if folds:
        rate = rate[:, None] + 0.1 * FOLDS
        distortion = distortion[:, None] - 0.5 * FOLDS
    return SimpleNamespace(betas=BETAS[:n_betas], rate=rate, distortion=distortion)


def rate_and_distortion(estimator, X, y=None):
    """What a scorer of both gives, from one encoding."""
    vae = estimator[-1] if hasattr(estimator, "steps") else estimator
    rows = estimator[:-1].transform(X) if vae is not estimator else X
    rate, distortion = vae.rate_distortion(rows)
    return {"neg_rate": -rate.mean(), "neg_distortion": -distortion.mean()}


def searched(estimator, grid, frame):
    search = GridSearchCV(
        estimator, grid, scoring=rate_and_distortion, refit=False, cv=3
    )
    return search.fit(frame).cv_results_


def small(**params):
    settings = {"balance": "constant", "hidden_layer_sizes": (), "max_iter": 2}
    return BalancedVAE(2, random_state=0, tol=1e3, **{**settings, **params})


@pytest.fixture(scope="module")
def cv_results(frame):
    return searched(small(), {"beta": [3.0, 0.3, 1.0]}, frame)


# --- where the numbers come from -----------------------------------------------------


def test_from_path():
    display = RateDistortionDisplay.from_path(path())
    assert_array_equal(display.betas, BETAS)
    assert display.rate.shape == display.distortion.shape == (20, 3)
    assert display.bound is None
    assert display.pca is None


def test_from_path_with_rows(frame):
    display = RateDistortionDisplay.from_path(path(), X=frame, n_components=2)
    assert display.bound[0].max() == pytest.approx(RATE.max())
    same = RateDistortionDisplay.from_path(path(folds=False), X=frame, n_components=2)
    assert_array_equal(display.bound, same.bound)
    other = RateDistortionDisplay.from_path(path(), X=frame, n_components=5)
    assert other.pca[0] > display.pca[0]
    raw = RateDistortionDisplay.from_path(
        path(), X=frame, n_components=2, standardize=False
    )
    assert raw.pca != display.pca


def test_from_cv_results(cv_results):
    display = RateDistortionDisplay.from_cv_results(cv_results)
    assert_array_equal(display.betas, [3.0, 0.3, 1.0])
    assert display.rate.shape == (3, 3)
    for name in ("rate", "distortion"):
        means = getattr(display, name).mean(axis=1)
        assert_allclose(means, -cv_results[f"mean_test_neg_{name}"])


def test_from_cv_results_of_a_pipeline(frame):
    pipeline = make_pipeline(StandardScaler(), small())
    cv_results = searched(pipeline, {"balancedvae__beta": [0.5, 2.0]}, frame)
    rows = StandardScaler().fit_transform(frame)
    display = RateDistortionDisplay.from_cv_results(cv_results, X=rows, n_components=2)
    assert_array_equal(display.betas, [0.5, 2.0])
    assert display.pca[0] > 0.0


def test_from_cv_results_takes_one_curve_of_several(frame):
    grid = [
        {"beta": [0.5, 2.0], "n_components": [1, 2]},
        {"n_components": [3], "max_iter": [3]},
    ]
    cv_results = searched(small(), grid, frame)
    with pytest.raises(ValueError, match=r"where=\{'n_components': 1\}"):
        RateDistortionDisplay.from_cv_results(cv_results)
    display = RateDistortionDisplay.from_cv_results(
        cv_results, where={"n_components": 2}
    )
    assert_array_equal(display.betas, [0.5, 2.0])
    chosen = [p.get("beta") and p["n_components"] == 2 for p in cv_results["params"]]
    expected = -cv_results["mean_test_neg_rate"][np.array(chosen, dtype=bool)]
    assert_allclose(display.rate.mean(axis=1), expected)


def test_from_estimators(models, frame):
    display = RateDistortionDisplay.from_estimators(models, frame)
    assert_allclose(display.betas, [vae.beta for vae in models])
    for i, vae in enumerate(models):
        assert vae.score(frame) == pytest.approx(
            -(display.rate[i] + display.distortion[i])
        )
    assert display.bound is not None
    # Without held-out rows there is one variance for all: the models are on the curve.
    nats = np.interp(display.rate, *display.bound)
    assert_allclose(display.distortion, nats, atol=0.1)
    plain = RateDistortionDisplay.from_estimators(models, frame, linear=False)
    assert plain.bound is None
    assert plain.pca is None


def test_from_estimators_of_pipelines(models, frame):
    scaler = StandardScaler(with_std=False).fit(frame)
    pipelines = [make_pipeline(scaler, small(beta=beta)) for beta in (0.5, 2.0)]
    for pipeline in pipelines:
        pipeline.fit(frame)
    display = RateDistortionDisplay.from_estimators(pipelines, frame)
    scores = [pipeline.score(frame) for pipeline in pipelines]
    assert_allclose(-(display.rate + display.distortion), scores)


def test_density_is_not_compared_with_probability(frame):
    binary = (frame > frame.median()).astype(float)
    vae = small(likelihood="bernoulli").fit(binary)
    display = RateDistortionDisplay.from_estimators([vae], binary)
    assert display.bound is None
    assert display.plot().bound_line_ is None


# --- what is drawn -------------------------------------------------------------------


def test_curve_in_the_order_of_beta():
    shuffled = np.random.default_rng(0).permutation(20)
    display = RateDistortionDisplay(
        RATE[shuffled], DISTORTION[shuffled], betas=BETAS[shuffled]
    ).plot(name="wine")
    assert_array_equal(display.line_.get_xdata(), RATE)
    assert_array_equal(display.line_.get_ydata(), DISTORTION)
    assert display.line_.get_label() == "wine"
    assert display.errorbar_ is None
    unnamed = RateDistortionDisplay(RATE[shuffled], DISTORTION[shuffled]).plot()
    assert_array_equal(unnamed.line_.get_xdata(), np.sort(RATE))
    assert unnamed.annotations_ == []
    assert unnamed.knee_.get_label() == "knee"


def test_error_bars_are_one_standard_deviation_over_folds():
    display = RateDistortionDisplay.from_path(path()).plot()
    across, up = (bar.get_segments() for bar in display.errorbar_[2])
    width = np.array([segment[1, 0] - segment[0, 0] for segment in across])
    height = np.array([segment[1, 1] - segment[0, 1] for segment in up])
    assert_allclose(width, 2 * 0.1 * FOLDS.std())
    assert_allclose(height, 2 * 0.5 * FOLDS.std())


def test_knee_is_ringed_and_named():
    display = RateDistortionDisplay.from_path(path()).plot()
    ((x,), (y,)) = display.knee_.get_data()
    (i,) = np.flatnonzero(np.isclose(RATE, x))
    assert y == pytest.approx(DISTORTION[i])
    assert display.knee_.get_label() == f"knee, beta = {short_number(BETAS[i])}"
    assert short_number(BETAS[i]) in {note.get_text() for note in display.annotations_}
    assert RateDistortionDisplay.from_path(path()).plot(knee=False).knee_ is None


def test_best_elbo_is_a_line_of_slope_minus_one():
    line = RateDistortionDisplay.from_path(path()).plot().elbo_line_
    assert line.get_slope() == -1.0
    assert line.get_xy1() == (0.0, pytest.approx((RATE + DISTORTION).min()))


@pytest.mark.parametrize("n_betas", [1, 2, 20])
def test_texts_do_not_overlap(n_betas, frame, overlaps):
    display = RateDistortionDisplay.from_path(path(n_betas), X=frame).plot()
    assert overlaps(display.figure_) == []


def test_betas_are_annotated_sparsely():
    notes = RateDistortionDisplay.from_path(path()).plot().annotations_
    assert 4 <= len(notes) < 15
    assert {"0.1", "10"} <= {note.get_text() for note in notes}


def test_single_point_is_seen_beside_the_bound(frame):
    display = RateDistortionDisplay.from_path(path(1), X=frame).plot()
    assert display.knee_ is None
    assert display.elbo_line_ is None
    left, right = display.ax_.get_xlim()
    assert left <= 0.0 < display.bound[0].max() <= right
    assert [note.get_text() for note in display.annotations_] == ["0.1"]


def test_bound_makes_no_room_for_itself():
    far = (np.array([0.0, 1e3]), np.array([1e3, -1e3]))
    display = RateDistortionDisplay(RATE, DISTORTION, bound=far, pca=(3.0, 3.0)).plot()
    assert display.ax_.get_xlim()[1] < 15.0
    assert display.ax_.get_ylim()[1] < 30.0
    assert display.pca_point_.get_xydata().tolist() == [[3.0, 3.0]]


def test_two_curves_in_one_picture():
    first = RateDistortionDisplay(RATE, DISTORTION).plot(name="first")
    second = RateDistortionDisplay(RATE + 50.0, DISTORTION).plot(first.ax_, name="b")
    assert second.ax_ is first.ax_
    assert second.figure_ is first.figure_
    assert first.ax_.get_xlim()[1] > 60.0
    assert first.line_.get_color() != second.line_.get_color()


def test_failed_fits_are_left_out():
    rate, distortion = RATE.copy(), DISTORTION.copy()
    rate[3], distortion[5] = np.nan, np.inf
    display = RateDistortionDisplay(rate, distortion, betas=BETAS).plot()
    assert len(display.line_.get_xdata()) == 18
    folds = path()
    folds.distortion[4, 1] = np.inf
    assert len(RateDistortionDisplay.from_path(folds).plot().line_.get_xdata()) == 19


# --- errors --------------------------------------------------------------------------


def test_nothing_to_draw():
    display = RateDistortionDisplay(np.full(4, np.nan), np.ones(4))
    with pytest.raises(ValueError, match=r"None of the 4 points has a finite rate"):
        display.plot()


@pytest.mark.parametrize(
    ("rate", "distortion"),
    [(np.ones(3), np.ones(4)), (np.ones(3), np.ones((3, 2))), (1.0, 1.0)],
)
def test_shapes_must_agree(rate, distortion):
    with pytest.raises(ValueError, match=r"must both be of shape \(n_points,\) or"):
        RateDistortionDisplay(rate, distortion)


def test_betas_must_be_as_many_as_points():
    with pytest.raises(ValueError, match=r"betas must be of shape \(n_points,\), here"):
        RateDistortionDisplay(RATE, DISTORTION, betas=BETAS[:3])


def test_search_without_rate_and_distortion(frame):
    search = GridSearchCV(small(), {"beta": [1.0, 2.0]}, cv=2).fit(frame)
    with pytest.raises(
        ValueError, match=r"lacks 'mean_test_neg_rate'.*rate_distortion"
    ):
        RateDistortionDisplay.from_cv_results(search.cv_results_)


def test_search_over_something_else(frame):
    cv_results = searched(small(), {"max_iter": [2, 3]}, frame)
    with pytest.raises(ValueError, match=r"one parameter named beta.*\['max_iter'\]"):
        RateDistortionDisplay.from_cv_results(cv_results)


def test_where_must_name_what_was_searched(cv_results):
    with pytest.raises(ValueError, match=r"where names \['gamma'\], but the search v"):
        RateDistortionDisplay.from_cv_results(cv_results, where={"gamma": 1})
    with pytest.raises(ValueError, match=r"No setting of the search has beta and \{'b"):
        RateDistortionDisplay.from_cv_results(cv_results, where={"beta": 77.0})


def test_no_estimators(frame):
    with pytest.raises(ValueError, match="at least one fitted model, got none"):
        RateDistortionDisplay.from_estimators([], frame)
