"""Results of the experiments, kept in ``docs/_cache`` so that pages build quickly.

``python _kept.py`` computes them all again, as `make gallery` does, and
``python _kept.py plot_01_sum_or_mean`` those of one script.
"""

import ast
import functools
import hashlib
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[2]
CACHE = ROOT / "docs" / "_cache"
# Set while results are computed; pages are built without it.
COMPUTE = "SKVAE_GALLERY_COMPUTE"


def kept(measure):
    """Return the results of a script's function from the cache.

    The function takes no arguments and returns a dict of arrays, numbers and strings.
    The kept results are those of the code that is in the script from its beginning to
    the end of the function. If that has changed, an error asks for `make gallery`.
    """

    @functools.wraps(measure)
    def results():
        script = FOLDER / Path(measure.__code__.co_filename).name
        if os.environ.get(COMPUTE):
            write(script, code_of(script), measure())
        values, made = read(script)
        print("Computed with", ", ".join(f"{k} {v}" for k, v in made.items()))
        return values

    return results


def code_of(script):
    """Digest of a script's code down to its function that is decorated by `kept`.

    Comments and empty lines are left out: to mend a text makes no result stale.
    """
    source = script.read_text(encoding="utf-8")
    docstring, *statements = ast.parse(source).body
    (measure,) = (
        node
        for node in statements
        if isinstance(node, ast.FunctionDef)
        and any(ast.unparse(decorator) == "kept" for decorator in node.decorator_list)
    )
    lines = source.splitlines()[docstring.end_lineno : measure.end_lineno]
    code = [line for line in lines if line.strip() and line.strip()[0] != "#"]
    return hashlib.sha256("\n".join(code).encode()).hexdigest()


def write(script, code, values):
    """Keep results, and what they were computed with."""
    made = {name: version(name) for name in ("skvae", "torch", "scikit-learn")}
    made |= {"on": datetime.now(UTC).date().isoformat()}
    CACHE.mkdir(exist_ok=True)
    record = {"code": code, "made": made}
    path = CACHE / f"{script.stem}.npz"
    np.savez_compressed(path, _record=json.dumps(record), **values)


def read(script):
    """Return the kept results of a script, and what they were computed with."""
    path = CACHE / f"{script.stem}.npz"
    if not path.exists():
        raise FileNotFoundError(
            f"no results of {script.name} in {CACHE}. Run `make gallery`, or "
            f"`python {FOLDER.relative_to(ROOT) / '_kept.py'} {script.stem}`."
        )
    with np.load(path) as arrays:
        values = {name: arrays[name][()] for name in arrays.files}
    record = json.loads(str(values.pop("_record")))
    if record["code"] != code_of(script):
        raise ValueError(
            f"{path.name} has results of other code than {script.name} has now. Run "
            f"`make gallery`, or `python {FOLDER.relative_to(ROOT) / '_kept.py'} "
            f"{script.stem}`."
        )
    return values, record["made"]


def compute(script):
    """Run a script in a process of its own, from the root of the repository."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {COMPUTE: "1", "MPLBACKEND": "agg", "PYTHONPATH": path}
    subprocess.run(
        [sys.executable, script], check=True, cwd=ROOT, env=os.environ | environment
    )


if __name__ == "__main__":
    names = sys.argv[1:] or sorted(path.stem for path in FOLDER.glob("plot_*.py"))
    for name in names:
        print(name, flush=True)
        compute(FOLDER / f"{name}.py")
