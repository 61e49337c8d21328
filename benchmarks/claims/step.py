"""A training step of skvae and of its peers against its products: `pages/speed.md`.

All contenders take turns, so that the ratios of a turn belong to the same state of the
machine. A peer that is not installed or fails is listed with the reason.
"""

import logging

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from benchmarks.common.benchmark import Benchmark, product, widths
from benchmarks.common.clocks import take_turns
from benchmarks.common.markdown import goal, table
from benchmarks.common.peers import (
    CONTENDERS,
    N_COMPONENTS,
    N_REPLICAS,
    PEERS,
    PRODUCTS,
    REPLICAS,
)

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
        try:
            one_pass = CONTENDERS[name](x[: n_steps * batch_size], hidden, batch_size)
            # The first pass warms up.
            one_pass()
        except Exception as reason:
            # The others still run, and the page states the reason.
            found[name] = f"{type(reason).__name__}: {reason}"
            continue
        passes[name] = one_pass
        n_models[name] = n_steps * (N_REPLICAS if name == REPLICAS else 1)
    for name, seconds in take_turns(passes, n_turns).items():
        found[name] = 1e6 * seconds / n_models[name]
    return found


def keys(settings):
    names = "threads", "columns", "hidden", "batch"
    return product(**{name: settings[name] for name in names})


def measure(settings, threads, columns, hidden, batch):
    """Microseconds a step of each contender, and their ratio to the products."""
    logging.disable(logging.INFO)
    torch.manual_seed(0)
    shape = settings["n_rows"], columns
    x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    names = [n for n in CONTENDERS if n != REPLICAS or hidden == REPLICAS_HIDDEN]
    if threads > 1:
        # What a second thread gains is a matter of skvae alone.
        names = [PRODUCTS, "skvae"]
    # numpy and torch each have threads of their own.
    with threadpool_limits(threads):
        torch.set_num_threads(threads)
        spent = take_time(
            x, widths(hidden), batch, settings["turns"], names, settings["peer_steps"]
        )
    found = {}
    for name, each in spent.items():
        if isinstance(each, str):
            found[name] = {"reason": each}
            continue
        found[name] = {
            "microseconds": round(float(np.median(each)), 1),
            "ratio": round(float(np.median(each / spent[PRODUCTS])), 3),
        }
    return {"contenders": found}


def flat(run):
    """A run beside the ratio of each contender, nan if it did not run."""
    found = run["contenders"]
    ratios = {name: found.get(name, {}).get("ratio", np.nan) for name in CONTENDERS}
    spent = {"floor": PRODUCTS, "ours": "skvae"}
    spent = {key: found[name]["microseconds"] for key, name in spent.items()}
    return {**run, **ratios, **spent}


def relative(rows, name):
    """Ratios of a contender to skvae, where it ran."""
    return (rows[name] / rows["skvae"]).dropna()


def step_tables(rows):
    """Ratios on one thread, those of replicas, and contenders that failed."""
    size = "columns {columns} | hidden {hidden} | batch {batch}"
    ratios = " | ".join(f"{name} {{{name}:.1f}}" for name in ("skvae", *PEERS))
    together = f"per model / products {{{REPLICAS}:.1f}} | per model / one {{one:.2f}}"
    replicas = rows.assign(one=relative(rows, REPLICAS)).dropna(subset=["one"])
    failed = {
        f"- {name} did not run: {found['reason']}"
        for contenders in rows["contenders"]
        for name, found in contenders.items()
        if "reason" in found
    }
    parts = [
        table(f"{size} | products, µs {{floor:.0f}} | {ratios}", rows),
        f"{N_REPLICAS} models side by side, time per model:",
        table(f"{size} | {together}", replicas),
        "\n".join(sorted(failed)),
    ]
    return "\n\n".join(filter(None, parts))


def verdict(rows):
    """The goals of a step on one thread, those of sizes that were run."""
    lines = []
    for bound, size in STEP_GOALS:
        is_size = (rows[[*size]] == pd.Series(size)).all(axis=1)
        if is_size.any():
            worst = rows.loc[is_size, "skvae"].max()
            where = ", ".join(f"{key} {value}" for key, value in size.items())
            text = f"At {where}, a step takes at worst {worst:.2f} times its products"
            lines.append(goal(f"{text} (at most {bound})", worst <= bound))
    for name, bound in PEER_GOALS.items():
        gains = relative(rows, name)
        if len(gains):
            text = (
                f"{name} takes {gains.min():.1f} to {gains.max():.1f} times as long, "
                f"median {gains.median():.1f} (at least {bound})"
            )
            lines.append(goal(text, gains.min() >= bound))
    worst = relative(rows, REPLICAS).max()
    text = (
        f"{N_REPLICAS} models side by side take {worst:.2f} of one alone, each and at "
        "worst (at most 0.5)"
    )
    return "\n".join([*lines, goal(text, worst <= 0.5)])


def answer(rows):
    """The cost of a step, alone and against others, in a sentence."""
    others = ", ".join(
        f"{relative(rows, name).median():.1f} times as long in {name}"
        for name in PEER_GOALS
        if len(relative(rows, name))
    )
    text = (
        f"A training step takes {rows['skvae'].min():.1f} to {rows['skvae'].max():.1f} "
        "times its bare matrix products"
    )
    return f"{text}; it takes {others} (medians)." if others else f"{text}."


def thread_gain(rows):
    """Speed with two threads relative to one, by size, medians over columns."""
    cases = rows.groupby(["hidden", "batch", "columns", "threads"], sort=False)
    spent = cases["ours"].first().unstack().reindex(columns=[1, 2])
    gain = (spent[1] / spent[2]).dropna().rename("gain")
    gain = gain.groupby(["hidden", "batch"], sort=False).median()
    columns = "hidden {hidden} | batch {batch} | gain of a second thread {gain:.2f}"
    return table(columns, gain.reset_index())


def slots(results):
    rows = pd.DataFrame(flat(run) for run in results["runs"])
    on_one = rows[rows["threads"] == 1]
    return {
        "n_components": str(N_COMPONENTS),
        "answer": answer(on_one),
        "goals": verdict(on_one),
        "tables": step_tables(on_one),
        "threads": thread_gain(rows),
    }


BENCHMARK = Benchmark("step", "speed", SETTINGS, QUICK, keys, measure, slots)

if __name__ == "__main__":
    BENCHMARK.main(__doc__)
