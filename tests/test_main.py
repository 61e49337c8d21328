"""`python -m skvae`, as a bug report quotes it."""

import os
import platform
import subprocess
import sys
from importlib import metadata

import joblib
import numpy
import pytest
import scipy
import sklearn
import torch

import skvae
from skvae.__main__ import OPTIONAL, REQUIRED, main


@pytest.fixture
def printed(capsys):
    """Function that returns what the command prints, by name."""

    def run():
        main()
        lines = capsys.readouterr().out.splitlines()
        return dict(line.split(": ", 1) for line in lines)

    return run


def test_command_prints_what_the_function_does(printed):
    done = subprocess.run(
        [sys.executable, "-m", "skvae"],
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert lines == printed()
    assert done.stderr == ""


def test_versions_are_those_of_the_modules(printed):
    found = printed()
    assert found["skvae"] == skvae.__version__
    assert found["Python"].startswith(platform.python_version())
    assert found["platform"] == platform.platform()
    modules = {
        "torch": torch,
        "numpy": numpy,
        "scipy": scipy,
        "scikit-learn": sklearn,
        "joblib": joblib,
    }
    assert modules.keys() == set(REQUIRED)
    for name, module in modules.items():
        assert found[name] == module.__version__
    assert found["torch threads"] == str(torch.get_num_threads())


def test_optional_libraries_are_named_where_they_are_installed(printed, monkeypatch):
    found, real = printed(), metadata.version
    assert found["matplotlib"] == real("matplotlib")
    assert found["pandas"] == real("pandas")

    def version(name):
        if name in {"pandas", "torch"}:
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(metadata, "version", version)
    without = printed()
    assert found.keys() - without.keys() == {"pandas"}
    assert without["torch"] == "not installed"
    assert set(OPTIONAL) >= found.keys() & set(OPTIONAL) >= {"matplotlib", "skops"}


def test_device_is_named(printed, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert printed()["CUDA"] == "not available"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a device")
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    assert printed()["CUDA"] == "12.8, a device"


def test_torch_that_cannot_be_imported_is_reported(printed, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    found = printed()
    assert "torch" in found["torch cannot be imported"]
    assert "torch threads" not in found
    assert found["numpy"] == numpy.__version__
