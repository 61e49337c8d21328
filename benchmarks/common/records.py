"""Results on disk, with their settings and the environment they were measured in."""

import json
import os
import platform
import re
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from skvae import __version__

FOLDER = Path(__file__).resolve().parents[1] / "results"
PACKAGES = ["torch", "numpy", "scikit-learn", "pythae", "pyod", "skorch", "ctgan"]
PACKAGES += ["copulas", "arfpy"]


def _version(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor():
    """Model name of the processor; `platform` gives only its family."""
    path = Path("/proc/cpuinfo")
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    found = re.search(r"model name\s*: (.+)", text)
    return found[1] if found else platform.processor() or platform.machine()


def environment():
    """Versions, machine and date: what the figures depend on."""
    return {
        "skvae": __version__,
        **{package: _version(package) for package in PACKAGES},
        "python": platform.python_version(),
        "processor": _processor(),
        "n_cores": os.cpu_count(),
        "date": date.today().isoformat(),
    }


def save(name, settings, runs):
    """Write results, one run per line so that a diff shows which runs changed."""
    head = {"environment": environment(), "settings": settings}
    lines = ",\n".join(f"  {json.dumps(run)}" for run in runs)
    text = f'{json.dumps(head, indent=1)[:-2]},\n "runs": [\n{lines}\n ]\n}}\n'
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.json").write_text(text, encoding="utf-8")


def load(name):
    """Results of a claim, or None if there are none."""
    path = FOLDER / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
