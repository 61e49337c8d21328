"""Memory, time and elbo of a fit on a table in a file: `pages/large.md`.

Each fit on the large table runs in a process of its own.
"""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.claims.scaling import in_process
from benchmarks.common.benchmark import Benchmark, product
from benchmarks.common.internals import reading_in_blocks
from benchmarks.common.markdown import goal, table
from benchmarks.common.tables import data_file
from skvae import BalancedVAE

SETTINGS = {
    "large_rows": 33_333_333,
    "n_features": 30,
    "hidden": 8,
    "batch_size": 16_384,
    "new_rows": 10_000,
    "tables": ["california housing", "adult"],
    "max_iter": 15,
    "n_seeds": 2,
}
QUICK = {"large_rows": 700_000, "new_rows": 100, "max_iter": 2, "n_seeds": 1}

# Resident pages that are not of a file: those of a mapped one are the system's, which
# takes them back where memory is short.
LARGE = """
import json, threading, time, warnings
import numpy as np
import torch
from skvae import BalancedVAE

warnings.simplefilter("ignore")
torch.set_num_threads(1)

def resident():
    with open("/proc/self/status") as status:
        lines = dict(line.split(":", 1) for line in status)
    return 1024 * int(lines["RssAnon"].split()[0])

peak, before = 0, resident()
def watch():
    global peak
    while True:
        peak = max(peak, resident())
        time.sleep(0.01)
threading.Thread(target=watch, daemon=True).start()

X = np.load({path!r}, mmap_mode={mode!r})
new, X = X[:{new_rows}], X[{new_rows}:]
vae = BalancedVAE(
    hidden_layer_sizes=({hidden},), batch_size={batch_size}, max_iter=1, random_state=0
).fit(X)
fit_peak = peak
peak, part = 0, X[: len(X) // 10]
Z = vae.transform(part)
print(json.dumps(dict(
    before=before, rows=X.nbytes, peak=fit_peak,
    transform_peak=peak - Z.nbytes, elbo=vae.score(new),
)))
"""


def write(path, n_rows, n_features):
    """Write rows with ten latent directions and noise to a file, part by part."""
    random = np.random.default_rng(0)
    loadings = random.standard_normal((10, n_features), dtype="float32")
    X = np.lib.format.open_memmap(path, "w+", "float32", (n_rows, n_features))
    for start in range(0, n_rows, 100_000):
        part = X[start : start + 100_000]
        codes = random.standard_normal((len(part), 10), dtype="float32")
        part[:] = np.tanh(codes @ loadings)
        part += random.standard_normal(part.shape, dtype="float32")
    X.flush()


def large(settings, mode):
    """Memory and elbo of a fit of one epoch on a large table."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "X.npy")
        n_rows = settings["large_rows"] + settings["new_rows"]
        write(path, n_rows, settings["n_features"])
        names = ("new_rows", "hidden", "batch_size")
        values = {name: settings[name] for name in names}
        mode = "r" if mode == "mapped" else None
        return in_process(LARGE, path=path, mode=mode, **values)


def rows_of(name):
    """Numeric columns of a table, shuffled."""
    frame = pd.read_parquet(data_file(f"{name.replace(' ', '_')}.parquet"))
    X = frame.select_dtypes("number").dropna().to_numpy("float32")
    return X[np.random.default_rng(0).permutation(len(X))]


def small(settings, seed, name, mode):
    """Elbo of new rows of a small table."""
    X = rows_of(name)
    X, new = np.split(X, [int(0.8 * len(X))])
    vae = BalancedVAE(max_iter=settings["max_iter"], random_state=seed)
    if mode == "in memory":
        vae.fit(X)
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "X.npy"
            np.save(path, X)
            with reading_in_blocks(X.nbytes // 8):
                vae.fit(np.load(path, mmap_mode="r"))
    return {"elbo": float(vae.score(new))}


MODES = ["in memory", "mapped"]


def keys(settings):
    every = product(
        seed=range(settings["n_seeds"]),
        table=["random", *settings["tables"]],
        mode=MODES,
    )
    # The large table is fitted once.
    return [key for key in every if key["table"] != "random" or key["seed"] == 0]


def measure(settings, seed, table, mode):
    if table == "random":
        return large(settings, mode)
    return small(settings, seed, table, mode)


def slots(results):
    runs = pd.DataFrame(results["runs"])
    first = runs[runs.table == "random"].copy()
    first["own"] = (first.peak - first.before) / 1e6
    first["total"] = first.peak / 1e6
    first["times"] = first.peak / first.rows
    first["transform"] = first.transform_peak / 1e6
    first["mb"] = first.rows / 1e6
    means = (
        runs[runs.table != "random"].groupby(["table", "mode"]).elbo.mean().unstack()
    )
    means = pd.concat([means, first.groupby(["table", "mode"]).elbo.mean().unstack()])
    means["loss"] = means["in memory"] - means["mapped"]
    peak = first.set_index("mode").own["mapped"]
    goals = {
        f"A fit on a mapped file of {first.mb.iloc[0]:,.0f} MB needs at most "
        f"{peak:.0f} MB beyond the imports (at most 300)": peak <= 300,
        f"Its held-out elbo is at most {means.loss.max():.2f} nats per row below that "
        "of the fit in memory (at most 0.1)": means.loss.max() <= 0.1,
    }
    return {
        "file": f"{first.mb.iloc[0]:,.0f}",
        "answer": f"A fit on a file of {first.mb.iloc[0]:,.0f} MB takes {peak:.0f} MB "
        "of memory beyond the imports, and its held-out elbo is within "
        f"{means.loss.max():.2f} nats per row of that of the fit in memory.",
        "goals": "\n".join(goal(text, is_met) for text, is_met in goals.items()),
        "memory": table(
            "X {mode} | MB of the process {total:.0f} | beyond the imports {own:.0f} | "
            "MB of `transform` {transform:.0f}",
            first,
        ),
        "elbo": table(
            "table {table} | in memory {in memory:.2f} | mapped {mapped:.2f} | "
            "loss {loss:+.2f}",
            means.reset_index(),
        ),
    }


BENCHMARK = Benchmark("large", "large", SETTINGS, QUICK, keys, measure, slots)

if __name__ == "__main__":
    BENCHMARK.main(__doc__)
