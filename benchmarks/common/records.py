"""Results that are kept, with the machine and the versions that they are of."""

import json
import os
import platform
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from skvae import __version__

FOLDER = Path(__file__).resolve().parents[1] / "results"

PACKAGES = ["torch", "numpy", "scikit-learn", "pythae", "pyod", "skorch", "ctgan"]


def _version(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor():
    """Name of the processor; platform knows no more than its family."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":")[1].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.machine()


def environment():
    """What the figures depend on."""
    return {
        "skvae": __version__,
        **{package: _version(package) for package in PACKAGES},
        "python": platform.python_version(),
        "processor": _processor(),
        "n_cores": os.cpu_count(),
        "date": date.today().isoformat(),
    }


def save(name, settings, **results):
    """Write results to their file."""
    FOLDER.mkdir(exist_ok=True)
    kept = {"environment": environment(), "settings": settings, **results}
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def load(name):
    """Results from their file, or None."""
    path = FOLDER / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def environment_line(results):
    """Under what figures were taken, as a line of a page."""
    found = results["environment"]
    # Results from before a package was compared with do not name it.
    packages = [f"{name} {found[name]}" for name in PACKAGES if found.get(name)]
    return (
        f"*skvae {found['skvae']}, {', '.join(packages)}, Python {found['python']}, "
        f"{found['processor']}, {found['n_cores']} cores, {found['date']}.*"
    )


def goal(text, is_met):
    """A line of the verdict."""
    return f"- {text}: {'met' if is_met else 'not met'}."
