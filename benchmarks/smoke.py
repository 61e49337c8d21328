"""Check the main ratios of the speed page with generous bounds, in two minutes.

    make bench-smoke

Exits with status 1 and lists the ratios that are too large. Ratios hold on other
machines, unlike seconds; each compares the best of several turns, as other load can
only slow a turn down.
"""

import sys

import numpy as np
import torch

from benchmarks.claims.scaling import FIRST_FIT, IMPORT, in_process
from benchmarks.claims.step import REPLICAS_HIDDEN, take_time
from benchmarks.common.benchmark import widths
from benchmarks.common.peers import PRODUCTS, REPLICAS

N_TURNS, N_ROWS = 7, 8192
# Hidden layers, batch size, what is compared and the largest ratio allowed. Batches of
# 1024 at 256-256 have the least work beside the products. In smaller ones the ratio to
# the products depends on the processor, 1.8 to 3.5 for the same code at 128-128: there
# the measure is a loop that has as much work beside them.
STEPS = [
    ("128-128", 256, "DataLoader loop", "skvae", 0.75),
    ("256-256", 1024, PRODUCTS, "skvae", 2.5),
    (REPLICAS_HIDDEN, 64, "skvae", REPLICAS, 0.75),
]
MAX_IMPORT = 1.5


def step_ratio(hidden, batch_size, *names):
    """Time of the second contender over that of the first, at their best turns."""
    x = np.random.default_rng(0).standard_normal((N_ROWS, 30), dtype=np.float32)
    spent = take_time(x, widths(hidden), batch_size, N_TURNS, names)
    for name in names:
        if isinstance(spent[name], str):
            sys.exit(f"{name} did not run: {spent[name]}")
    first, second = (spent[name].min() for name in names)
    return second / first


def import_ratio():
    first, second = (
        min(in_process(IMPORT, module=module) for _ in range(5))
        for module in ("sklearn.base", "skvae")
    )
    return second / first


def main():
    torch.set_num_threads(1)
    failures = []

    def check(text, found, bound):
        print(f"{found:6.2f}  {text} (at most {bound})", flush=True)
        if found > bound:
            failures.append(f"{text}: {found:.2f}, but at most {bound} is allowed")

    for hidden, batch_size, first, second, bound in STEPS:
        text = f"a step of {second} over {first}, at {hidden} and batch {batch_size}"
        check(text, step_ratio(hidden, batch_size, first, second), bound)
    check("import skvae over import sklearn.base", import_ratio(), MAX_IMPORT)
    compiler = in_process(FIRST_FIT, modules="skvae")["compiler"]
    check("modules of the compiler stack after a fit", len(compiler), 0)
    if failures:
        sys.exit("Too slow:\n- " + "\n- ".join(failures))


if __name__ == "__main__":
    main()
