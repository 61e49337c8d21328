"""The cost of a fit, a score and an import, against size: `pages/speed.md`.

Imports, the first fit and peak memory are measured in processes of their own.
"""

import json
import pickle
import subprocess
import sys
from functools import partial

import numpy as np
from scipy.optimize import least_squares

from benchmarks.common.benchmark import Benchmark, product
from benchmarks.common.clocks import take_turns
from benchmarks.common.internals import quadrature_nodes
from benchmarks.common.markdown import goal, table
from benchmarks.common.peers import forward_products
from skvae import BalancedVAE

SETTINGS = {
    "n_features": 30,
    "turns": 3,
    "import_turns": 15,
    "fit_rows": [1000, 3200, 10_000, 31_600, 100_000, 316_200, 1_000_000],
    "methods": ["fit", "transform", "score_samples"],
    "memory_shapes": [[2_000_000, 30], [100_000, 784]],
    "level_rows": 20_000,
    "levels": [10, 100, 1000, 5000],
    "scored_rows": 1_000_000,
}
QUICK = {
    "turns": 1,
    "import_turns": 1,
    "fit_rows": [1000, 10_000, 15_000, 20_000],
    "methods": ["fit"],
    "memory_shapes": [[2000, 30], [300, 784]],
    "level_rows": 2000,
    "levels": [10, 100],
    "scored_rows": 10_000,
}
N_FEATURES = SETTINGS["n_features"]
# An epoch has a minimum number of steps; on fewer than half as many rows as this, the
# cost does not depend on the rows.
LINEAR_FROM = 10_000

# Threads are set by the environment, as torch is not imported yet.
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
compiler = {{"torch._dynamo", "torch._inductor", "sympy"}} & set(sys.modules)
print(json.dumps(dict(seconds=seconds, n_modules=n_modules, compiler=[*compiler])))
"""

IMPORT = """
import time
start = time.perf_counter()
import {module}
print(time.perf_counter() - start)
"""

# Memory of a process in bytes: of the imports, after a call on a few rows, and at the
# peak. On Linux ru_maxrss starts at the peak of the parent when it forked; VmHWM does
# not. (macOS has only the first.) The rows are drawn in place. With levels, the first
# column has so many.
MEMORY = """
import json, pickle, resource, sys, warnings
import numpy as np, torch
def memory(name):
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with open("/proc/self/status") as lines:
        return next(1024 * int(line.split()[1]) for line in lines if name in line)
def rows(n_rows):
    X = random.standard_normal((n_rows, {n_features}), dtype={dtype!r})
    if {n_levels}:
        X[:, 0] = np.arange(n_rows) % {n_levels}
    return X
warnings.simplefilter("ignore")
torch.set_num_threads(1)
random = np.random.default_rng(0)
vae = pickle.load(sys.stdin.buffer)
vae.{method}(rows(1000))
imports = memory("VmRSS")
X = rows({n_rows})
result = vae.{method}(X)
out = result.nbytes if isinstance(result, np.ndarray) else 0
print(json.dumps(dict(own=memory("VmHWM") - imports - out, rows=X.nbytes)))
"""


def in_process(code, given=None, **values):
    """Output of a fresh interpreter, read as JSON; it finds an object in its input."""
    command, data = [sys.executable, "-c", code.format(**values)], pickle.dumps(given)
    done = subprocess.run(command, input=data, capture_output=True, check=False)
    if done.returncode:
        error = done.stderr.decode()
        raise RuntimeError(f"a process of the benchmark failed:\n{error}")
    return json.loads(done.stdout.splitlines()[-1])


def rows_of(n_rows, n_features=N_FEATURES):
    """Rows with ten latent directions and noise."""
    draw = partial(np.random.default_rng(0).standard_normal, dtype="float32")
    codes, loadings = draw((n_rows, 10)), draw((10, n_features))
    return np.tanh(codes @ loadings) + draw((n_rows, n_features))


def fit(settings):
    """Median seconds of a fit of two epochs, for each number of rows, and growth."""
    vae = BalancedVAE(max_iter=2, batch_size=256, random_state=0)
    vae.fit(rows_of(1000))
    jobs = {n: partial(vae.fit, rows_of(n)) for n in settings["fit_rows"]}
    seconds = take_turns(jobs, settings["turns"])
    curve = [[n_rows, float(np.median(spent))] for n_rows, spent in seconds.items()]
    return {"curve": curve, **growth(curve)}


def growth(curve):
    """Overhead in seconds and exponent p of overhead + c rows^p, by least squares.

    On the logarithm of the seconds, so that each size counts the same.
    """
    points = [point for point in curve if point[0] >= LINEAR_FROM]
    rows, seconds = np.array(points, dtype=float).T
    relative = rows / rows[-1]

    def residuals(parameters):
        log_overhead, log_cost, exponent = parameters
        model = np.exp(log_overhead) + np.exp(log_cost) * relative**exponent
        return np.log(model / seconds)

    start = [np.log(seconds[0] / 2), np.log(seconds[-1]), 1.0]
    found = least_squares(residuals, start).x
    return {"overhead": float(np.exp(found[0])), "exponent": float(found[2])}


def memory(settings):
    """Peak memory of methods, relative to that of their rows, for both precisions."""
    vae = BalancedVAE(max_iter=1, batch_size=1024, random_state=0)
    found = []
    for n_rows, n_features in settings["memory_shapes"]:
        vae.fit(rows_of(1000, n_features))
        shape = {"n_rows": n_rows, "n_features": n_features}
        for case in product(method=settings["methods"], dtype=["float32", "float64"]):
            run = in_process(MEMORY, vae, **shape, **case, n_levels=0)
            found.append({**shape, **case, **run, "times": run["own"] / run["rows"]})
    return found


def levels(settings):
    """Bytes beyond the rows that a fit needs, by the levels of one column of four."""
    columns = [("categorical", [0]), ("gaussian", [1, 2, 3])]
    vae = BalancedVAE(likelihood=columns, max_iter=1, random_state=0)
    case = {"method": "fit", "dtype": "float32", "n_features": 4}
    found = []
    for n_levels in settings["levels"]:
        values = {"n_rows": settings["level_rows"], "n_levels": n_levels}
        run = in_process(MEMORY, vae, **case, **values)
        found.append([n_levels, run["own"] - run["rows"]])
    return found


def throughput(settings):
    """Rows a second of `transform` and `score_samples`, relative to their products."""
    n_rows = settings["scored_rows"]
    X = rows_of(n_rows)
    vae = BalancedVAE(max_iter=2, random_state=0).fit(X[:2000])
    n_nodes = len(quadrature_nodes(vae.n_components_))
    widths = [N_FEATURES, *vae.hidden_layer_sizes]
    encoder = [*widths, 2 * vae.n_components_]
    decoder = [vae.n_components_, *reversed(widths)]
    jobs = {
        "transform": (vae.transform, [encoder]),
        "score_samples": (vae.score_samples, [encoder, *[decoder] * n_nodes]),
    }
    found = []
    for method, (run, passes) in jobs.items():
        # The first rows warm up.
        run(X[:5000])
        turns = {"run": partial(run, X), "products": forward_products(n_rows, passes)}
        spent = take_turns(turns, settings["turns"])
        found.append(
            {
                "method": method,
                "n_rows": n_rows,
                "rows_per_second": n_rows / float(np.median(spent["run"])),
                "of_products": float(np.median(spent["products"] / spent["run"])),
            }
        )
    return found


def imports(settings):
    """Seconds to import the package and `sklearn.base`, in turns."""
    modules, turns = ("sklearn.base", "skvae"), range(settings["import_turns"] + 1)
    seconds = [[in_process(IMPORT, module=name) for name in modules] for _ in turns]
    # The first turn fills the file cache.
    base, package = np.array(seconds[1:]).T
    return {
        "sklearn.base": float(np.median(base)),
        "skvae": float(np.median(package)),
        "ratio": float(np.median(package / base)),
    }


def first_fit(settings):
    """The first fit of a process: its seconds, with and without torch, and imports."""
    warm, cold = (
        [in_process(FIRST_FIT, modules=modules) for _ in range(settings["turns"])]
        for modules in ("torch, skvae", "skvae")
    )
    return {
        "seconds": float(np.median([run["seconds"] for run in warm])),
        "seconds_with_import": float(np.median([run["seconds"] for run in cold])),
        "n_modules": cold[0]["n_modules"],
        "compiler": sorted(cold[0]["compiler"]),
    }


PARTS = {f.__name__: f for f in (fit, memory, levels, throughput, imports, first_fit)}


def keys(settings):
    return product(part=PARTS)


def measure(settings, part):
    return {"found": PARTS[part](settings)}


def verdict(found):
    """The goals of size and import."""
    fit, first, imports = found["fit"], found["first_fit"], found["imports"]
    times = max(
        row["times"]
        for row in found["memory"]
        if (row["method"], row["dtype"]) == ("fit", "float32")
    )
    compiler = ", ".join(first["compiler"]) or "nothing"
    goals = {
        f"Cost of a fit beyond {fit['overhead']:.2f} s grows with rows to the power of "
        f"{fit['exponent']:.2f} (1 ± 0.05)": abs(fit["exponent"] - 1) <= 0.05,
        f"Peak memory of a fit beyond the imports is {times:.2f} times that of X in "
        "single precision, X itself included (at most 1.5)": times <= 1.5,
        f"`fit` on breast cancer at the defaults, the first of its process: "
        f"{first['seconds']:.2f} s (at most 1); {first['seconds_with_import']:.2f} s "
        "with the import of torch": first["seconds"] <= 1,
        f"`import skvae` takes {imports['ratio']:.2f} times `import sklearn.base` "
        f"({imports['sklearn.base']:.2f} s; at most 1.1)": imports["ratio"] <= 1.1,
        f"The first fit loads {compiler} of the compiler stack": not first["compiler"],
    }
    for row in found["throughput"]:
        percent = 100 * row["of_products"]
        text = f"`{row['method']}` has {percent:.0f} % of the throughput of its matrix"
        goals[f"{text} products (at least 80 %)"] = percent >= 80
    return "\n".join(goal(text, is_met) for text, is_met in goals.items())


def start(found):
    """What a process pays before its first fit is done, in sentences."""
    first, imports = found["first_fit"], found["imports"]
    return (
        f"The first `fit` of a process, on breast cancer at the defaults, takes "
        f"{first['seconds']:.2f} s, and {first['seconds_with_import']:.2f} s with the "
        f"import of torch. `import skvae` does not import torch, and takes "
        f"{imports['ratio']:.2f} times as long as `import sklearn.base`."
    )


def slots(results):
    found = {run["part"]: run["found"] for run in results["runs"]}
    return {
        "goals": verdict(found),
        "start": start(found),
        "fit": table(
            "rows {n:,} | seconds of a fit of two epochs {s:.2f} | "
            "microseconds a row {each:.0f}",
            [{"n": n, "s": s, "each": 1e6 * s / n} for n, s in found["fit"]["curve"]],
        ),
        "memory": table(
            "method `{method}` | rows {n_rows:,} | columns {n_features} | "
            "X in {dtype} | MB of X {mb:,.0f} | peak, times X {times:.2f}",
            [{**row, "mb": row["rows"] / 1e6} for row in found["memory"]],
        ),
        "levels": table(
            "levels {n:,} | MB beyond the rows {mb:.0f}",
            [{"n": n, "mb": value / 1e6} for n, value in found["levels"]],
        ),
        "throughput": table(
            "method `{method}` | rows {n_rows:,} | "
            "rows a second {rows_per_second:,.0f} | of the products {of_products:.0%}",
            found["throughput"],
        ),
    }


BENCHMARK = Benchmark("scaling", "speed", SETTINGS, QUICK, keys, measure, slots)

if __name__ == "__main__":
    BENCHMARK.main(__doc__)
