"""Pictures that are drawn while a model trains."""

import io
import pickle
import re
import sys
import types

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits, load_wine
from sklearn.model_selection import GridSearchCV

from skvae import BalancedVAE, BalancedVAECV
from skvae.callbacks import Pictures
from skvae.data import _large

pytest.importorskip("matplotlib")

X = load_wine().data
DIGITS = load_digits().data[:80] / 16


def small(**params):
    settings = {"hidden_layer_sizes": (4,), "balance": "constant", "max_iter": 5}
    settings |= {"early_stopping": False, "tol": 1e3, "random_state": 0}
    return BalancedVAE(2, **settings | params)


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))


@pytest.fixture
def figures(monkeypatch):
    """Figures that are drawn, as a list that grows."""
    from matplotlib.figure import Figure

    drawn, save = [], Figure.savefig

    def savefig(self, *args, **kwargs):
        drawn.append(self)
        return save(self, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return drawn


def test_files_of_two_fits(tmp_path):
    from matplotlib import pyplot
    from matplotlib.image import imread

    folder = tmp_path / "some" / "place"
    vae = small().set_callbacks(Pictures(folder, every=2)).fit(X)
    drawn = ["end.png", "epoch_0002.png", "epoch_0004.png"]
    assert names(folder) == [f"fit_1/{name}" for name in drawn]
    before = (folder / "fit_1" / "end.png").read_bytes()
    vae.set_params(max_iter=3).fit(X)
    assert names(folder)[3:] == ["fit_2/end.png", "fit_2/epoch_0002.png"]
    assert (folder / "fit_1" / "end.png").read_bytes() == before
    assert np.ptp(imread(folder / "fit_1" / "epoch_0002.png")) == 1.0
    # No figure stays open.
    assert pyplot.get_fignums() == []


def test_training_is_the_same_and_evaluated_for_pictures_alone(tmp_path, monkeypatch):
    from skvae.fit._fit import Fit

    calls, trained = [], Fit.trained

    def counted(self, *args):
        calls.append(args)
        return trained(self, *args)

    monkeypatch.setattr(Fit, "trained", counted)
    plain = small().fit(X)
    n_plain = len(calls)
    watched = small().set_callbacks(Pictures(tmp_path, every=2)).fit(X)
    # Epochs 2 and 4; the end has what `fit` itself has evaluated.
    assert len(calls) == 2 * n_plain + 2
    assert_array_equal(watched.transform(X), plain.transform(X))


def test_a_table_has_its_history_and_cells(tmp_path, figures):
    small().set_callbacks(Pictures(tmp_path, every=5, n_rows=7)).fit(X)
    assert len(figures) == 2
    for figure in figures:
        assert re.fullmatch(
            r"epoch 5 of 5, elbo -?[\d.]+ nats per row", figure.get_suptitle()
        )
        terms, beta, cells, _ = figure.axes
        assert terms.get_ylabel() == "nats per row"
        assert beta.get_xlabel() == "epoch"
        assert cells.images[0].get_array().shape == (7, X.shape[1])


def test_pictures_have_reconstructions_and_draws(tmp_path, figures):
    pictures = Pictures(tmp_path, every=5, n_rows=6, image_shape=(8, 8))
    vae = small(likelihood="gaussian").set_callbacks(pictures).fit(DIGITS)
    rows, drawn = figures[-1].axes[2:]
    # Gaps of one cell between the pictures.
    assert rows.images[0].get_array().shape == (17, 53)
    found = drawn.images[0].get_array()
    assert found.shape == (8, 53)
    means = vae.sample(6, random_state=0, noise=False)
    assert_array_equal(found[:, :8], means[0].reshape(8, 8))
    assert_array_equal(found[:, 45:], means[5].reshape(8, 8))
    assert drawn.images[0].get_clim() == rows.images[0].get_clim()
    assert [label.get_text() for label in drawn.get_yticklabels()] == ["drawn"]


@pytest.mark.parametrize("limit", [0, 2**26])
@pytest.mark.parametrize("form", ["chunks", "lists", "path", "loader"])
def test_tables_in_other_forms(tmp_path, figures, monkeypatch, form, limit):
    pd = pytest.importorskip("pandas")
    loading = pytest.importorskip("torch.utils.data")
    monkeypatch.setattr(_large, "_SMALL", limit)
    path = tmp_path / "rows.parquet"
    pd.DataFrame(X).rename(columns=str).to_parquet(path, index=False)
    given = {
        "chunks": [X[:80], X[80:]],
        "lists": X.tolist(),
        "path": path,
        "loader": loading.DataLoader(X, 50),
    }[form]
    small().set_callbacks(Pictures(tmp_path, every=5, n_rows=7)).fit(given)
    assert names(tmp_path) == ["fit_1/end.png", "fit_1/epoch_0005.png"]
    cells = figures[-1].axes[2]
    assert cells.images[0].get_array().shape == (7, X.shape[1])


def test_frames_of_any_types(tmp_path):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"size": X[:, 0], "kind": np.where(X[:, 1] > 2.0, "a", "b")})
    frame.loc[3, "size"] = np.nan
    small().set_callbacks(Pictures(tmp_path, every=5)).fit(frame)
    assert names(tmp_path) == ["fit_1/end.png", "fit_1/epoch_0005.png"]


@pytest.mark.parametrize(
    "backend",
    ["sequential", "threading", pytest.param("loky", marks=pytest.mark.slow)],
)
def test_each_fit_of_a_search_has_a_folder(tmp_path, backend):
    from joblib import parallel_config

    vae = small(max_iter=2).set_callbacks(Pictures(tmp_path))
    search = GridSearchCV(vae, {"beta": [1.0]}, cv=2, n_jobs=2)
    with parallel_config(backend):
        search.fit(X)
    assert names(tmp_path) == [f"fit_{i}/end.png" for i in (1, 2, 3)]


def test_each_run_of_a_path_has_a_folder(tmp_path):
    settings = small(max_iter=2).get_params() | {"betas": [0.5, 2.0], "cv": 2}
    del settings["beta"]
    vae = BalancedVAECV(**settings).set_callbacks(Pictures(tmp_path)).fit(X)
    assert vae.n_splits_ == 2
    assert names(tmp_path) == [f"fit_{i}/end.png" for i in (1, 2, 3)]


def test_model_with_the_callback_is_cloned_and_pickled(tmp_path):
    vae = small().set_callbacks(Pictures(tmp_path, every=4))
    again = pickle.loads(pickle.dumps(clone(vae))).fit(X)
    assert names(tmp_path) == ["fit_1/end.png", "fit_1/epoch_0004.png"]
    assert_array_equal(again.transform(X), small().fit(X).transform(X))


class Notebook:
    """IPython, as far as a notebook shows pictures with it."""

    def __init__(self, monkeypatch, *, is_running=True):
        self.shown, self.replaced = [], []
        package, display = types.ModuleType("IPython"), types.ModuleType("display")
        package.get_ipython = lambda: self if is_running else None
        display.Image = lambda data: data
        display.display = self.display
        monkeypatch.setitem(sys.modules, "IPython", package)
        monkeypatch.setitem(sys.modules, "IPython.display", display)

    def display(self, image, display_id):
        assert display_id is True
        self.shown.append(image)
        return self

    def update(self, image):
        self.replaced.append(image)


def test_in_a_notebook_one_picture_is_replaced(monkeypatch):
    from matplotlib.image import imread

    notebook = Notebook(monkeypatch)
    vae = small().set_callbacks(Pictures(every=2)).fit(X)
    assert len(notebook.shown) == 1
    assert len(notebook.replaced) == 2
    for png in (*notebook.shown, *notebook.replaced):
        assert imread(io.BytesIO(png)).ndim == 3
    # The next fit has a picture of its own.
    vae.fit(X)
    assert len(notebook.shown) == 2


def test_no_notebook(monkeypatch):
    Notebook(monkeypatch, is_running=False)
    vae = small().set_callbacks(Pictures())
    with pytest.raises(ValueError, match=r"this is none\. Name a folder .*'pictures'"):
        vae.fit(X)
    assert not hasattr(vae, "n_iter_")


@pytest.mark.parametrize("package", ["IPython", "matplotlib"])
def test_package_that_is_not_installed(monkeypatch, tmp_path, package):
    module = "matplotlib.figure" if package == "matplotlib" else package

    class NotInstalled:
        def find_spec(self, name, path=None, target=None):
            if name == module:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(sys, "meta_path", [NotInstalled(), *sys.meta_path])
    monkeypatch.delitem(sys.modules, module, raising=False)
    folder = tmp_path if package == "matplotlib" else None
    vae = small().set_callbacks(Pictures(folder))
    match = f"Pictures.* needs {package}, which is not installed. Install it with"
    with pytest.raises(ImportError, match=match):
        vae.fit(X)
    assert not hasattr(vae, "n_iter_")


@pytest.mark.parametrize("shape", [(8, 9), (64,), (4, 4, 4)])
def test_shape_of_no_row(tmp_path, shape):
    vae = small().set_callbacks(Pictures(tmp_path, image_shape=shape))
    with pytest.raises(ValueError, match="image_shape"):
        vae.fit(DIGITS)
    assert names(tmp_path) == []


@pytest.mark.parametrize("below", ["", "below"])
def test_folder_that_is_a_file(tmp_path, below):
    path = tmp_path / "pictures"
    path.write_text("")
    vae = small().set_callbacks(Pictures(path / below if below else path))
    with pytest.raises(OSError, match=r"pictures.*, is a file, or lies in one. Name a"):
        vae.fit(X)
    assert not hasattr(vae, "n_iter_")
    assert path.read_text() == ""


def test_on_a_search_itself(tmp_path):
    pytest.importorskip("sklearn.callback", reason="new in scikit-learn 1.9")
    search = GridSearchCV(small(), {"beta": [1.0]}, cv=2)
    match = "draws the training of a BalancedVAE, got GridSearchCV. Set it on"
    with pytest.raises(TypeError, match=match):
        search.set_callbacks(Pictures(tmp_path)).fit(X)


@pytest.mark.parametrize("name", ["every", "n_rows"])
@pytest.mark.parametrize("value", [0, 1.5, "2"])
def test_numbers_of_what_is_drawn(name, value):
    match = f"{name} must be an integer of at least 1, got {value!r}"
    with pytest.raises(ValueError, match=match):
        Pictures("pictures", **{name: value})


class Keep:
    """Stores the model of each epoch."""

    stored: list = []

    def setup(self, estimator, context): ...

    teardown = on_fit_task_begin = setup

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        if fitted_estimator is not None:
            self.stored.append(pickle.dumps(fitted_estimator))


def test_model_may_be_stored_by_another_callback(tmp_path):
    Keep.stored.clear()
    small().set_callbacks(Pictures(tmp_path, every=2), Keep()).fit(X)
    assert Keep.stored
