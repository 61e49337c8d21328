"""What a fit, a score and an import cost: time and memory against size.

    python -m benchmarks.claims.scaling
    python -m benchmarks.claims.scaling --quick

Whatever is of a process, such as imports, its first fit and its peak memory, is
measured in processes of its own. One thread.
"""

import argparse
import itertools
import json
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
import timeit
import warnings
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import least_squares
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning

from benchmarks.common import records
from benchmarks.pages.scaling_page import scaling_tables
from benchmarks.pages.speed_page import write_page
from skvae import BalancedVAE, training

N_FEATURES = 30
COMPILER = ("torch._dynamo", "torch._inductor", "sympy")
# Twice as many rows as make the fewest steps of an epoch that a small table has: below,
# cost does not depend on rows at all.
LINEAR_FROM = 10_000

# Threads by the environment: torch is not there yet to be told.
FIRST_FIT = """
import json, os, sys, time
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"
import {modules}
from sklearn.datasets import load_breast_cancer
X = load_breast_cancer().data
before = len(sys.modules)
start = time.perf_counter()
skvae.BalancedVAE(random_state=0).fit(X)
seconds = time.perf_counter() - start
n_modules = len(sys.modules) - before
print(json.dumps(dict(seconds=seconds, n_modules=n_modules, modules=[*sys.modules])))
"""

IMPORT = """
import time
start = time.perf_counter()
import {module}
print(time.perf_counter() - start)
"""

# What reads the peak memory of a process in bytes. On Linux ru_maxrss starts at what
# the parent had when it forked; VmHWM does not. (macOS has only the first.)
PEAK = """
import json, resource, sys, warnings
import numpy as np, torch
def peak():
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with open("/proc/self/status") as lines:
        return next(1024 * int(line.split()[1]) for line in lines if "VmHWM" in line)
warnings.simplefilter("ignore")
torch.set_num_threads(1)
random = np.random.default_rng(0)
"""

# The rows are drawn in place and the estimator comes from a file, so that nothing but
# they and the imports are in memory before.
MEMORY = (
    PEAK
    + """
import pickle
with open({path!r}, "rb") as file:
    vae = pickle.load(file)
X = random.standard_normal(({n_rows}, {n_features}), dtype={dtype!r})
before = peak()
result = vae.{method}(X)
out = result.nbytes if isinstance(result, np.ndarray) else 0
print(json.dumps(dict(before=before, peak=peak(), rows=X.nbytes, out=out)))
"""
)

# One column of many levels beside three of numbers.
LEVELS = (
    PEAK
    + """
from skvae import BalancedVAE
X = random.standard_normal(({n_rows}, 4), dtype="float32")
X[:, 0] = np.arange(len(X)) % {n_levels}
columns = [("categorical", [0]), ("gaussian", [1, 2, 3])]
before = peak()
BalancedVAE(likelihood=columns, max_iter=1, random_state=0).fit(X)
print(peak() - before)
"""
)


def in_process(code, **values):
    """What a fresh interpreter prints."""
    code = code.format(**values) if values else code
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"a process of the benchmark failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def table(n_rows, dtype="float32"):
    """Rows with ten directions, so that there is something to learn."""
    random = np.random.default_rng(0)
    codes = random.standard_normal((n_rows, 10), dtype=dtype)
    loadings = random.standard_normal((10, N_FEATURES), dtype=dtype)
    noise = random.standard_normal((n_rows, N_FEATURES), dtype=dtype)
    return np.tanh(codes @ loadings) + noise


def fit_seconds(sizes, n_turns):
    """Median seconds of a fit of two epochs, for each number of rows."""
    vae = BalancedVAE(max_iter=2, batch_size=256, random_state=0)
    vae.fit(table(1000))
    seconds = {n_rows: [] for n_rows in sizes}
    for _ in range(n_turns):
        for n_rows in sizes:
            X = table(n_rows)
            start = time.perf_counter()
            vae.fit(X)
            seconds[n_rows].append(time.perf_counter() - start)
    return [[n_rows, statistics.median(seconds[n_rows])] for n_rows in sizes]


def growth(curve):
    """Overhead in seconds and exponent p of overhead + c rows^p, by least squares.

    On the logarithm of the seconds, so that each size counts the same.
    """
    points = [point for point in curve if point[0] >= LINEAR_FROM]
    rows, seconds = np.array(points, dtype=float).T
    share = rows / rows[-1]

    def residuals(parameters):
        log_overhead, log_cost, exponent = parameters
        model = np.exp(log_overhead) + np.exp(log_cost) * share**exponent
        return np.log(model / seconds)

    start = [np.log(seconds[0] / 2), np.log(seconds[-1]), 1.0]
    found = least_squares(residuals, start).x
    return {"overhead": float(np.exp(found[0])), "exponent": float(found[2])}


def peaks(methods, sizes):
    """Peak memory of methods against the size of their rows, for both precisions."""
    vae = BalancedVAE(max_iter=1, batch_size=1024, random_state=0).fit(table(1000))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vae.pickle"
        path.write_bytes(pickle.dumps(vae))
        values = {"path": str(path), "n_features": N_FEATURES}
        return [
            memory_of(
                {"method": method, "dtype": dtype},
                [
                    in_process(
                        MEMORY, n_rows=n_rows, dtype=dtype, method=method, **values
                    )
                    for n_rows in sizes
                ],
            )
            for method in methods
            for dtype in ("float32", "float64")
        ]


def memory_of(case, runs):
    """Line through the peaks of runs of several sizes, in bytes."""
    rows, peak = np.array([[run["rows"], run["peak"]] for run in runs]).T
    slope, constant = np.polyfit(rows, peak, 1)
    return {
        **case,
        "slope": float(slope),
        "constant": float(constant),
        # The peak holds the rows and what came back: what else the method needs.
        "beyond": [run["peak"] - run["before"] - run["out"] for run in runs],
        "rows": [run["rows"] for run in runs],
    }


def levels(numbers, n_rows):
    """Bytes beyond the rows that a fit needs, by the levels of one column."""
    found = [in_process(LEVELS, n_levels=n, n_rows=n_rows) for n in numbers]
    return [list(pair) for pair in zip(numbers, found, strict=True)]


def throughput(n_rows, n_turns):
    """Rows a second of `transform` and `score_samples`, relative to their products."""
    X = table(n_rows)
    vae = BalancedVAE(max_iter=2, random_state=0).fit(X[:2000])
    n_nodes = len(training.quadrature(vae.n_components_))
    widths = [N_FEATURES, *vae.hidden_layer_sizes]
    encoder = [*widths, 2 * vae.n_components_]
    decoder = [vae.n_components_, *reversed(widths)]
    jobs = {
        "transform": (vae.transform, [encoder]),
        "score_samples": (vae.score_samples, [encoder, *[decoder] * n_nodes]),
    }
    found = []
    for method, (run, passes) in jobs.items():
        floor = forward_products(n_rows, passes)
        # The first rows warm up.
        run(X[:5000])
        spent, ratios = [], []
        for _ in range(n_turns):
            start = time.perf_counter()
            run(X)
            between = time.perf_counter()
            floor()
            seconds = between - start
            spent.append(seconds)
            ratios.append((time.perf_counter() - between) / seconds)
        found.append(
            {
                "method": method,
                "n_rows": n_rows,
                "rows_per_second": n_rows / statistics.median(spent),
                "of_products": statistics.median(ratios),
            }
        )
    return found


# Two thousand rows fit the caches: larger chunks take longer.
def forward_products(n_rows, passes, n_chunk=2000):
    """The matrix products of forward passes over all rows, in chunks."""
    products = []
    for widths in passes:
        for n_in, n_out in itertools.pairwise(widths):
            rows, w = torch.randn(n_chunk, n_in), torch.randn(n_in, n_out)
            products.append((rows, w, torch.empty(n_chunk, n_out)))

    def run():
        for _ in range(n_rows // n_chunk):
            for left, right, out in products:
                torch.mm(left, right, out=out)

    return run


def imports(n_turns):
    """Seconds to import the package and `sklearn.base`, in turns."""
    modules = ("sklearn.base", "skvae")
    seconds = {module: [] for module in modules}
    for _ in range(n_turns + 1):
        for module in modules:
            seconds[module].append(in_process(IMPORT, module=module))
    # The first turn fills the file cache.
    base, package = (np.array(seconds[module][1:]) for module in modules)
    return {
        "sklearn.base": float(np.median(base)),
        "skvae": float(np.median(package)),
        "ratio": float(np.median(package / base)),
    }


def first_fit(n_turns):
    """The first fit of a process: seconds with and without torch, and what it imports.

    The table is breast cancer, the estimator at its defaults.
    """
    warm = [in_process(FIRST_FIT, modules="torch, skvae") for _ in range(n_turns)]
    cold = [in_process(FIRST_FIT, modules="skvae") for _ in range(n_turns)]
    loaded = cold[0]["modules"]
    return {
        "seconds": statistics.median(run["seconds"] for run in warm),
        "seconds_with_import": statistics.median(run["seconds"] for run in cold),
        "n_modules": cold[0]["n_modules"],
        "compiler": [name for name in COMPILER if name in loaded],
    }


def handling():
    """Microseconds to construct, clone and pickle."""
    vae = BalancedVAE(random_state=0)
    X = load_breast_cancer().data
    fitted = BalancedVAE(max_iter=2, random_state=0).fit(X)
    jobs = {
        "construct": BalancedVAE,
        "clone": lambda: clone(vae),
        "pickle": lambda: pickle.loads(pickle.dumps(vae)),
        "pickle, fitted": lambda: pickle.loads(pickle.dumps(fitted)),
    }
    return {
        name: 1e6 * min(timeit.repeat(job, number=100, repeat=5)) / 100
        for name, job in jobs.items()
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="print only")
    parser.add_argument("--page", action="store_true", help="write the page only")
    args = parser.parse_args()
    if args.page:
        return write_page()

    torch.set_num_threads(1)
    # Two epochs tell what they cost, not where they would end.
    warnings.simplefilter("ignore", ConvergenceWarning)
    sizes = [int(n) for n in np.geomspace(1e3, 1e6, 7).round(-2)]
    memory_sizes, scored, n_turns = [250_000, 500_000, 1_000_000], 1_000_000, 3
    if args.quick:
        sizes, memory_sizes, scored, n_turns = sizes[:5], [100_000, 200_000], 50_000, 1
    curve = fit_seconds(sizes, n_turns)
    results = {
        "fit": {"curve": curve, **growth(curve)},
        "memory": peaks(["fit", "transform", "score_samples"], memory_sizes),
        "levels": levels([10, 100, 1000, 5000], n_rows=20_000),
        "throughput": throughput(scored, n_turns),
        "imports": imports(3 if args.quick else 15),
        "first_fit": first_fit(n_turns),
        "handling": handling(),
    }
    if args.quick:
        print(scaling_tables(results))
    else:
        settings = {"n_features": N_FEATURES, "turns": n_turns}
        records.save("scaling", settings, results=results)
        write_page()


if __name__ == "__main__":
    main()
