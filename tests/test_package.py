"""What is published: the sdist, the wheel that is built from it, and an empty Python.

Needs an index of packages, and some minutes: run by `make test-package`.
"""

import email
import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import skvae

pytestmark = [pytest.mark.package, pytest.mark.xdist_group("package")]

ROOT = Path(__file__).resolve().parents[1]


def run(*command):
    """Output of a command; an error with all of it where the command fails."""
    done = subprocess.run(
        list(map(str, command)),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Path of the sdist, and of the wheel that `build` makes of the unpacked sdist."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel


def files_in(folder):
    """Files of a folder, committed or not, as paths below the root."""
    listed = run("git", "ls-files", "-co", "--exclude-standard", folder).splitlines()
    # Those that were removed and are not committed yet are listed too.
    return {name for name in listed if (ROOT / name).is_file()}


def test_wheel_holds_the_package_only(built):
    with zipfile.ZipFile(built[1]) as archive:
        names = set(archive.namelist())
        info = f"skvae-{skvae.__version__}.dist-info"
        metadata = email.message_from_bytes(archive.read(f"{info}/METADATA"))
    rest = {name for name in names if not name.startswith("skvae/")}
    assert names - rest == files_in("skvae")
    assert rest == {
        f"{info}/{name}" for name in ("METADATA", "RECORD", "WHEEL", "licenses/LICENSE")
    }
    assert metadata["Version"] == skvae.__version__
    required = metadata.get_all("Requires-Dist")
    always = {line.split(">")[0] for line in required if "extra ==" not in line}
    assert always == {"joblib", "numpy", "scikit-learn", "scipy", "torch"}


def test_sdist_holds_what_its_tests_need(built):
    with tarfile.open(built[0]) as archive:
        names = {Path(*Path(name).parts[1:]).as_posix() for name in archive.getnames()}
    for folder in ("skvae", "tests", "docs", "benchmarks"):
        assert files_in(folder) <= names
    assert {"README.md", "SECURITY.md", "Makefile", "constraints.txt"} <= names


def test_metadata_is_fit_to_be_published(built):
    assert "PASSED" in run(sys.executable, "-m", "twine", "check", "--strict", *built)


def test_wheel_runs_the_quickstart_in_an_empty_environment(built, tmp_path):
    venv.create(tmp_path / "venv", with_pip=True)
    folder = "Scripts" if os.name == "nt" else "bin"
    python = tmp_path / "venv" / folder / "python"
    constraints = os.environ.get("CONSTRAINTS", "constraints.txt")
    run(python, "-m", "pip", "install", "-c", constraints, built[1])
    # Isolated, or the package of the checkout would be imported.
    run(python, "-I", "-m", "doctest", "-o", "ELLIPSIS", "docs/quickstart.md")
    printed = run(python, "-I", "-m", "skvae")
    assert f"skvae: {skvae.__version__}" in printed
    assert "pandas" not in printed
