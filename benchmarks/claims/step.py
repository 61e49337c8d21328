"""Time a training step, of skvae and of its peers, against its matrix products.

    python -m benchmarks.claims.step
    python -m benchmarks.claims.step --quick

The floor is the bare matrix products of the same step; `contenders.py` says who is
timed and what is in it. All take turns, so that each turn's ratios are of the same
machine; what is kept are medians over the turns, after one to warm up. Peers see the
first rows only, where a whole epoch is more than `--peer-steps` steps.

A peer that is not installed (they come with the extra `bench`) or that does not run is
listed with the reason.
"""

import argparse
import itertools
import logging
import time

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from benchmarks.common import records
from benchmarks.common.contenders import (
    CONTENDERS,
    FLOOR,
    N_REPLICAS,
    PEERS,
    REPLICAS,
    build,
)
from benchmarks.pages.speed_page import write_page
from benchmarks.pages.step_page import step_tables

N_ROWS = 16_384
COLUMNS = [8, 30, 128]
HIDDEN = [(64, 64), (128, 128), (256, 256)]
BATCHES = [64, 256, 1024]
THREADS = [1, 2]
# The replicas are timed where many small models are trained.
REPLICAS_HIDDEN = (64, 64)

QUICK = [(8, (64, 64), 64), (30, (128, 128), 256), (30, (64, 64), 1024)]


def rows_of(name, x, batch_size, peer_steps):
    """Rows that a contender sees: whole batches of them."""
    n_steps = len(x) // batch_size
    if name in PEERS:
        n_steps = min(n_steps, peer_steps)
    return x[: n_steps * batch_size]


def take_turns(runs, n_turns):
    """Seconds of each run at each turn."""
    seconds = {name: [] for name in runs}
    for _ in range(n_turns):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def take_time(x, hidden, batch_size, n_turns, names, peer_steps=64):
    """Microseconds a step and model, an array over turns, of each contender.

    Of one that does not run, the reason as a string.
    """
    found, runs, n_models = {}, {}, {}
    for name in names:
        rows = rows_of(name, x, batch_size, peer_steps)
        run, reason = build(name, rows, hidden, batch_size)
        if run is None:
            found[name] = reason
            continue
        replicas = N_REPLICAS if name == REPLICAS else 1
        runs[name], n_models[name] = run, len(rows) // batch_size * replicas
    for name, seconds in take_turns(runs, n_turns).items():
        found[name] = 1e6 * np.array(seconds) / n_models[name]
    return found


def summary(spent):
    """Medians over turns, and of the ratios to the floor of the same turn."""
    return {
        name: {"reason": microseconds}
        if isinstance(microseconds, str)
        else {
            "microseconds": round(float(np.median(microseconds)), 1),
            "ratio": round(float(np.median(microseconds / spent[FLOOR])), 3),
        }
        for name, microseconds in spent.items()
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--peer-steps", type=int, default=64)
    parser.add_argument("--threads", type=int, nargs="*", default=THREADS)
    parser.add_argument("--quick", action="store_true", help="print only")
    parser.add_argument("--page", action="store_true", help="write the page only")
    args = parser.parse_args()
    if args.page:
        return write_page()

    # The log lines of peers are none of their training.
    logging.disable(logging.INFO)
    torch.manual_seed(0)
    sizes = list(itertools.product(COLUMNS, HIDDEN, BATCHES))
    n_rows, threads = N_ROWS, args.threads
    if args.quick:
        sizes, n_rows, threads = QUICK, 4096, args.threads[:1]
    cases = []
    for n_threads in threads:
        # Two libraries with threads of their own: numpy's products and torch.
        with threadpool_limits(n_threads):
            torch.set_num_threads(n_threads)
            for n_features, hidden, batch_size in sizes:
                x = np.random.default_rng(0).standard_normal(
                    (n_rows, n_features), dtype=np.float32
                )
                names = [
                    name
                    for name in CONTENDERS
                    if name != REPLICAS or hidden == REPLICAS_HIDDEN
                ]
                spent = take_time(
                    x, hidden, batch_size, args.turns, names, args.peer_steps
                )
                case = {
                    "threads": n_threads,
                    "columns": n_features,
                    "hidden": "-".join(map(str, hidden)),
                    "batch": batch_size,
                }
                cases.append({**case, "contenders": summary(spent)})
                print(*case.values(), flush=True)
    settings = {"n_rows": n_rows, "turns": args.turns, "peer_steps": args.peer_steps}
    if args.quick:
        print("\n" + step_tables(cases))
    else:
        records.save("step", settings, cases=cases)
        write_page()


if __name__ == "__main__":
    main()
