"""Experiments of the gallery show results of the code that is above them."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "examples" / "experiments"
SCRIPTS = sorted(FOLDER.glob("plot_*.py"))
SCRIPT = '''"""
A title
=======
"""

# %%
# A text.

N_ROWS = 3


@kept
def measured():
    return {"rows": np.arange(N_ROWS), "name": "a"}


results = measured()
'''


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """The module of the scripts, with a folder of scripts and a cache of its own."""
    spec = importlib.util.spec_from_file_location("_kept", FOLDER / "_kept.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "FOLDER", tmp_path / "scripts")
    monkeypatch.setattr(module, "CACHE", tmp_path / "cache")
    module.FOLDER.mkdir()
    return module


@pytest.fixture
def script(kept):
    """A script with kept results."""
    path = kept.FOLDER / "plot_a.py"
    path.write_text(SCRIPT, encoding="utf-8")
    kept.write(path, kept.code_of(path), {"rows": np.arange(3), "name": "a"})
    return path


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_results_of_every_experiment_are_those_of_its_code(path, kept, monkeypatch):
    monkeypatch.setattr(kept, "CACHE", ROOT / "docs" / "_cache")
    compile(path.read_text(encoding="utf-8"), path, "exec")
    values, made = kept.read(path)
    assert values
    assert set(made) == {"skvae", "torch", "scikit-learn", "on"}
    assert (kept.CACHE / f"{path.stem}.npz").stat().st_size < 300_000


def test_every_result_belongs_to_an_experiment():
    cached = {path.stem for path in (ROOT / "docs" / "_cache").iterdir()}
    assert cached == {path.stem for path in SCRIPTS}


def test_results_are_read_back(kept, script):
    values, _ = kept.read(script)
    np.testing.assert_array_equal(values["rows"], [0, 1, 2])
    assert values["name"] == "a"


@pytest.mark.parametrize(
    ("old", "new"), [("# A text.", "# Another text.\n"), ("A title", "A name ")]
)
def test_a_change_of_text_makes_no_result_stale(kept, script, old, new):
    script.write_text(SCRIPT.replace(old, new), encoding="utf-8")
    kept.read(script)


def test_a_change_of_plots_makes_no_result_stale(kept, script):
    script.write_text(SCRIPT + "print(results)\n", encoding="utf-8")
    kept.read(script)


@pytest.mark.parametrize(
    ("old", "new"), [("N_ROWS = 3", "N_ROWS = 4"), ('"a"}', '"b"}')]
)
def test_a_change_of_code_makes_results_stale(kept, script, old, new):
    script.write_text(SCRIPT.replace(old, new), encoding="utf-8")
    message = (
        "plot_a.npz has results of other code than plot_a.py has now. Run "
        "`make gallery`, or `python scripts/_kept.py plot_a`."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        kept.read(script)


def test_missing_results_are_an_error(kept, script):
    (kept.CACHE / "plot_a.npz").unlink()
    message = (
        f"no results of plot_a.py in {kept.CACHE}. Run `make gallery`, or "
        "`python scripts/_kept.py plot_a`."
    )
    with pytest.raises(FileNotFoundError, match=re.escape(message)):
        kept.read(script)


@pytest.mark.parametrize("computes", [True, False])
def test_a_function_is_called_only_to_compute(kept, script, monkeypatch, computes):
    monkeypatch.setenv(kept.COMPUTE, "1" if computes else "")
    source = SCRIPT.replace('"name": "a"', '"name": calls.append(1) or "a"')
    script.write_text(source, encoding="utf-8")
    kept.write(script, kept.code_of(script), {"rows": np.arange(3), "name": "old"})
    scope = {"kept": kept.kept, "np": np, "calls": []}
    exec(compile(source, script, "exec"), scope)
    assert scope["calls"] == [1] * computes
    assert scope["results"]["name"] == ("a" if computes else "old")
