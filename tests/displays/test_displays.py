"""What all displays have in common."""

import subprocess
import sys

import numpy as np
import pytest

from skvae import displays
from skvae.displays import (
    HistoryDisplay,
    LatentDisplay,
    RateDistortionDisplay,
    ReconstructionDisplay,
)

MADE = {
    "HistoryDisplay": lambda: HistoryDisplay(
        {name: np.ones(3) for name in ("rate", "distortion", "elbo", "beta")}
    ),
    "LatentDisplay": lambda: LatentDisplay(
        np.ones((5, 2)),
        np.ones(2),
        np.ones(2),
        steps=np.arange(3.0),
        traversals=np.ones((2, 3, 4)),
    ),
    "RateDistortionDisplay": lambda: RateDistortionDisplay(np.ones(2), np.ones(2)),
    "ReconstructionDisplay": lambda: ReconstructionDisplay(*np.ones((3, 5, 4))),
}


def test_every_display_is_tested():
    assert set(MADE) == set(displays.__all__)


@pytest.mark.parametrize("name", MADE)
def test_plot_returns_the_display_with_its_axes_and_figure(name):
    display = MADE[name]()
    assert not hasattr(display, "ax_")
    assert display.plot() is display
    assert display.ax_.figure is display.figure_


@pytest.mark.parametrize("name", MADE)
def test_missing_matplotlib_is_named(name, monkeypatch):
    display = MADE[name]()
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    message = rf"{name}\.plot needs matplotlib.*pip install 'skvae\[plot\]'"
    with pytest.raises(ImportError, match=message):
        display.plot()


def test_only_plot_imports_matplotlib():
    script = (
        "import sys, skvae.displays; print({'matplotlib', 'torch'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
