"""A training step of skvae and of its peers against its matrix products.

The first section of `pages/speed.md`. All contenders take turns, so that the ratios of
a turn belong to the same state of the machine; medians over turns are kept. Peers see
only the first rows where an epoch has more than `peer_steps` steps. A peer that is not
installed or fails is listed with the reason.
"""

import logging
import statistics
import time

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from benchmarks.common.benchmark import Benchmark, product, widths
from benchmarks.common.markdown import goal, table
from benchmarks.common.peers import (
    CONTENDERS,
    N_COMPONENTS,
    N_REPLICAS,
    PEERS,
    PRODUCTS,
    REPLICAS,
    build,
)
from benchmarks.common.statistics import groups

SETTINGS = {
    "n_rows": 16_384,
    "turns": 3,
    "peer_steps": 64,
    "threads": [1, 2],
    "columns": [8, 30, 128],
    "hidden": ["64-64", "128-128", "256-256"],
    "batch": [64, 256, 1024],
}
QUICK = {
    "n_rows": 4096,
    "threads": [1],
    "columns": [8],
    "hidden": ["64-64", "128-128"],
    "batch": [64, 256],
}
# Replicas are timed where many small models are trained.
REPLICAS_HIDDEN = "64-64"
# The largest ratio to the products at some sizes, and the least of each peer to skvae.
STEP_GOALS = [
    (2.0, {"hidden": "128-128", "batch": 256}),
    (1.4, {"hidden": "128-128", "batch": 1024}),
    (4.0, {"hidden": "64-64", "batch": 64}),
]
PEER_GOALS = {"pythae": 5, "PyOD": 5, "skorch": 5, "MLPRegressor": 2}


def take_time(x, hidden, batch_size, n_turns, names, peer_steps=64):
    """Microseconds a step and model of each contender, an array over turns.

    For one that fails, the reason as a string.
    """
    found, passes, n_models = {}, {}, {}
    for name in names:
        n_steps = len(x) // batch_size
        if name in PEERS:
            n_steps = min(n_steps, peer_steps)
        one_pass, reason = build(name, x[: n_steps * batch_size], hidden, batch_size)
        if one_pass is None:
            found[name] = reason
            continue
        passes[name] = one_pass
        n_models[name] = n_steps * (N_REPLICAS if name == REPLICAS else 1)
    seconds = {name: [] for name in passes}
    for _ in range(n_turns):
        for name, one_pass in passes.items():
            start = time.perf_counter()
            one_pass()
            seconds[name].append(time.perf_counter() - start)
    for name, spent in seconds.items():
        found[name] = 1e6 * np.array(spent) / n_models[name]
    return found


def keys(settings):
    return product(
        **{n: settings[n] for n in ("threads", "columns", "hidden", "batch")}
    )


def measure(settings, threads, columns, hidden, batch):
    """Microseconds a step of each contender, and their ratio to the products."""
    logging.disable(logging.INFO)
    torch.manual_seed(0)
    x = np.random.default_rng(0).standard_normal(
        (settings["n_rows"], columns), dtype=np.float32
    )
    names = [n for n in CONTENDERS if n != REPLICAS or hidden == REPLICAS_HIDDEN]
    # numpy and torch each have threads of their own.
    with threadpool_limits(threads):
        torch.set_num_threads(threads)
        spent = take_time(
            x, widths(hidden), batch, settings["turns"], names, settings["peer_steps"]
        )
    return {
        "contenders": {
            name: {"reason": microseconds}
            if isinstance(microseconds, str)
            else {
                "microseconds": round(float(np.median(microseconds)), 1),
                "ratio": round(float(np.median(microseconds / spent[PRODUCTS])), 3),
            }
            for name, microseconds in spent.items()
        }
    }


def ratio(run, name):
    """Ratio to the products, or None if a contender did not run."""
    return run["contenders"].get(name, {}).get("ratio")


def relative(runs, name):
    """Ratios of a contender to skvae, where both ran."""
    pairs = [(ratio(run, name), ratio(run, "skvae")) for run in runs]
    return [theirs / ours for theirs, ours in pairs if theirs and ours]


def step_tables(runs):
    """Ratios on one thread, those of replicas, and contenders that failed."""
    size = "columns {columns} | hidden {hidden} | batch {batch}"
    names = [name for name in CONTENDERS if name not in (PRODUCTS, REPLICAS)]
    rows = [
        {
            **run,
            **{name: ratio(run, name) for name in names},
            "µs": run["contenders"][PRODUCTS]["microseconds"],
        }
        for run in runs
    ]
    ratios = " | ".join(f"{name} {{{name}:.1f}}" for name in names)
    parts = [table(f"{size} | products, µs {{µs:.0f}} | {ratios}", rows)]
    rows = [
        {**run, "each": ratio(run, REPLICAS), "one": relative([run], REPLICAS)[0]}
        for run in runs
        if relative([run], REPLICAS)
    ]
    together = "per model / products {each:.1f} | per model / one {one:.2f}"
    parts.append(f"{N_REPLICAS} models side by side, time per model:")
    parts.append(table(f"{size} | {together}", rows))
    failed = {
        f"- {name} did not run: {found['reason']}"
        for run in runs
        for name, found in run["contenders"].items()
        if "reason" in found
    }
    return "\n\n".join([*parts, *(["\n".join(sorted(failed))] if failed else [])])


def verdict(runs):
    """The goals of a step on one thread, those of sizes that were run."""
    lines = []
    for bound, size in STEP_GOALS:
        found = [ratio(run, "skvae") for run in runs if size.items() <= run.items()]
        if found:
            where = ", ".join(f"{key} {value}" for key, value in size.items())
            text = f"At {where}, at worst {max(found):.2f} times the products"
            lines.append(goal(f"{text} (at most {bound})", max(found) <= bound))
    for name, bound in PEER_GOALS.items():
        gains = relative(runs, name)
        if gains:
            text = (
                f"{name} takes {min(gains):.1f} to {max(gains):.1f} times as long, "
                f"median {statistics.median(gains):.1f} (at least {bound})"
            )
            lines.append(goal(text, min(gains) >= bound))
    worst = max(relative(runs, REPLICAS))
    text = (
        f"{N_REPLICAS} models side by side take {worst:.2f} of one alone, each and at "
        "worst (at most 0.5)"
    )
    return "\n".join([*lines, goal(text, worst <= 0.5)])


def thread_gain(runs):
    """Speed with two threads relative to one, by size, medians over columns."""
    rows = []
    for (hidden, batch), group in groups(runs, "hidden", "batch").items():
        micro = [
            {r["threads"]: r["contenders"]["skvae"]["microseconds"] for r in each}
            for each in groups(group, "columns").values()
        ]
        gains = [spent[1] / spent[2] for spent in micro if 2 in spent]
        if gains:
            gain = statistics.median(gains)
            rows.append({"hidden": hidden, "batch": batch, "gain": gain})
    columns = "hidden {hidden} | batch {batch} | gain of a second thread {gain:.2f}"
    return table(columns, rows)


def slots(results):
    runs = results["runs"]
    on_one = groups(runs, "threads")[1]
    return {
        "n_components": str(N_COMPONENTS),
        "goals": verdict(on_one),
        "tables": step_tables(on_one),
        "threads": thread_gain(runs),
    }


BENCHMARK = Benchmark("step", "speed", SETTINGS, QUICK, keys, measure, slots)

if __name__ == "__main__":
    BENCHMARK.main(__doc__)
