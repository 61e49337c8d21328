"""What happened in training."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skvae import BalancedVAE
from skvae.displays import HistoryDisplay

EPOCHS = np.arange(1.0, 41.0)


def history(**entries):
    rate, distortion = 3.0 + EPOCHS / 40.0, 20.0 + 50.0 / EPOCHS**2
    found = {"rate": rate, "distortion": distortion, "elbo": -(rate + distortion)}
    return {**found, "beta": np.ones(40), **entries}


def test_from_estimator(vae, frame):
    display = HistoryDisplay.from_estimator(vae)
    assert_array_equal(display.history["elbo"], vae.history_["elbo"])
    pipeline = make_pipeline(StandardScaler(), clone(vae)).fit(frame)
    of_pipeline = HistoryDisplay.from_estimator(pipeline)
    assert_array_equal(of_pipeline.history["rate"], pipeline[-1].history_["rate"])


def test_terms_are_drawn_by_epoch():
    display = HistoryDisplay(history()).plot()
    assert set(display.lines_) == {"distortion", "rate", "elbo", "beta"}
    assert_array_equal(display.lines_["rate"].get_xdata(), EPOCHS)
    assert_array_equal(display.lines_["rate"].get_ydata(), history()["rate"])
    # With its sign changed it is as large as what it is the sum of.
    assert_array_equal(display.lines_["elbo"].get_ydata(), -history()["elbo"])
    assert display.lines_["elbo"].axes is display.ax_
    assert display.lines_["beta"].axes is display.beta_ax_
    assert display.ax_.get_ylabel() == "nats per row"


def test_held_out_terms_are_dashed_in_the_same_colour(vae):
    lines = HistoryDisplay.from_estimator(vae).plot().lines_
    for term in ("distortion", "rate", "elbo"):
        assert lines[f"validation_{term}"].get_linestyle() == "--"
        assert lines[f"validation_{term}"].get_color() == lines[term].get_color()
        assert lines[f"validation_{term}"].get_label().startswith("held-out ")
    colors = {line.get_color() for line in lines.values()}
    assert len(colors) == 5  # three terms, beta and theta


def test_chosen_terms():
    display = HistoryDisplay(history()).plot(terms=["rate"])
    assert set(display.lines_) == {"rate", "beta"}


def test_first_epochs_do_not_set_the_limits():
    display = HistoryDisplay(history())
    assert display.plot().ax_.get_ylim()[1] < 50.0
    assert display.plot(skip=0.0).ax_.get_ylim()[1] > 70.0


def test_theta_is_drawn_where_the_variance_moves():
    moving = history(theta=0.5 / EPOCHS, variance=0.5 / EPOCHS)
    assert "theta" in HistoryDisplay(moving).plot().lines_
    fixed = history(theta=np.ones(40), variance=np.ones(40))
    assert "theta" not in HistoryDisplay(fixed).plot().lines_


@pytest.mark.parametrize(
    ("beta", "scale"),
    [
        (np.ones(40), "linear"),
        (np.linspace(0.0, 1.0, 40), "linear"),
        (np.geomspace(0.01, 1.0, 40), "log"),
    ],
)
def test_beta_that_spans_decades_is_logarithmic(beta, scale):
    display = HistoryDisplay(history(beta=beta)).plot()
    assert display.beta_ax_.get_yscale() == scale


def test_takes_the_place_of_the_axes():
    figure, axes = plt.subplots(1, 2)
    places = [ax.get_position().bounds for ax in axes]
    display = HistoryDisplay(history()).plot(axes[1])
    assert display.figure_ is figure
    assert axes[0] in figure.axes
    assert axes[1] not in figure.axes
    assert display.ax_.get_position().x0 == pytest.approx(places[1][0])


def test_missing_entries_of_a_continued_fit():
    # partial_fit after fit holds out nothing.
    held_out = np.where(EPOCHS < 30, 20.0, np.nan)
    entries = {f"validation_{name}": held_out for name in ("rate", "distortion")}
    display = HistoryDisplay(history(**entries)).plot()
    assert np.isfinite(display.ax_.get_ylim()).all()


@pytest.mark.parametrize("max_iter", [1, 40])
def test_texts_do_not_overlap(max_iter, frame, overlaps):
    short = {name: values[:max_iter] for name, values in history().items()}
    theta = 0.5 / EPOCHS[:max_iter]
    display = HistoryDisplay({**short, "theta": theta, "variance": theta}).plot()
    assert overlaps(display.figure_) == []


def test_a_single_epoch_is_a_point(frame):
    display = HistoryDisplay({name: v[:1] for name, v in history().items()}).plot()
    assert display.lines_["rate"].get_marker() == "o"


def test_missing_terms_are_an_error():
    with pytest.raises(ValueError, match=r"history lacks \['beta', 'elbo'\]; pass the"):
        HistoryDisplay({"rate": EPOCHS, "distortion": EPOCHS})


def test_lengths_must_agree():
    with pytest.raises(ValueError, match=r"must be equally long, got \{.*'beta': \(3,"):
        HistoryDisplay(history(beta=np.ones(3)))


def test_estimator_must_be_fitted_and_ours(frame):
    with pytest.raises(NotFittedError):
        HistoryDisplay.from_estimator(BalancedVAE())
    with pytest.raises(TypeError, match=r"takes a fitted BalancedVAE.*got PCA\(\)"):
        HistoryDisplay.from_estimator(PCA().fit(frame))


@pytest.mark.parametrize("terms", [["rate", "kl"], []])
def test_unknown_terms(terms):
    with pytest.raises(ValueError, match=r"terms must be among \('distortion', "):
        HistoryDisplay(history()).plot(terms=terms)


@pytest.mark.parametrize("skip", [-0.1, 1.0])
def test_skip_is_a_share(skip):
    with pytest.raises(ValueError, match=r"skip must be in the range \[0, 1\)"):
        HistoryDisplay(history()).plot(skip=skip)
