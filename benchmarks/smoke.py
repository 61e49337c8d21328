"""Check the main ratios of the speed page with generous bounds, in two minutes.

    make bench-smoke

Exits with status 1 and says what is too slow. Ratios and not seconds, so that the
bounds hold on other machines; each is of the best of several turns, as whatever else
runs on a machine can only make it slower.
"""

import sys

import numpy as np
import torch

from benchmarks.claims.scaling import COMPILER, FIRST_FIT, IMPORT, in_process
from benchmarks.claims.step import REPLICAS_HIDDEN, take_time
from benchmarks.common.contenders import FLOOR, REPLICAS

# Step over its matrix products: hidden 128-128, batches of 256, 30 columns.
MAX_STEP = 2.5
# The same at batches of 1024 and hidden 256-256, where there is least beside them.
MAX_LARGE_STEP = 2.5
# Per model, sixteen side by side over one alone: hidden 64-64, batches of 64.
MAX_REPLICAS = 0.75
# `import skvae` over `import sklearn.base`.
MAX_IMPORT = 1.5

N_TURNS = 7
N_ROWS = 8192


def ratio(hidden, batch_size, names):
    """Time of the second contender over that of the first, at their best turns."""
    x = np.random.default_rng(0).standard_normal((N_ROWS, 30), dtype=np.float32)
    spent = take_time(x, hidden, batch_size, N_TURNS, names=names)
    for name in names:
        if isinstance(spent[name], str):
            sys.exit(f"{name} did not run: {spent[name]}")
    first, second = (spent[name].min() for name in names)
    return second / first


def import_ratio():
    seconds = {
        module: min(in_process(IMPORT, module=module) for _ in range(5))
        for module in ("sklearn.base", "skvae")
    }
    return seconds["skvae"] / seconds["sklearn.base"]


def main():
    torch.set_num_threads(1)
    checks = [
        (
            "a training step over its matrix products, at 128-128 and batch 256",
            ratio((128, 128), 256, (FLOOR, "skvae")),
            MAX_STEP,
        ),
        (
            "a training step over its matrix products, at 256-256 and batch 1024",
            ratio((256, 256), 1024, (FLOOR, "skvae")),
            MAX_LARGE_STEP,
        ),
        (
            "a model of sixteen over one alone, at 64-64 and batch 64",
            ratio(REPLICAS_HIDDEN, 64, ("skvae", REPLICAS)),
            MAX_REPLICAS,
        ),
        ("import skvae over import sklearn.base", import_ratio(), MAX_IMPORT),
    ]
    failures = []
    for what, found, bound in checks:
        print(f"{found:6.2f}  {what} (at most {bound})")
        if found > bound:
            failures.append(f"{what}: {found:.2f}, but at most {bound} is allowed")
    loaded = in_process(FIRST_FIT, modules="skvae")["modules"]
    compiler = [name for name in COMPILER if name in loaded]
    print(f"{len(compiler):6d}  modules of the compiler stack after a fit")
    if compiler:
        failures.append(f"a first fit imports {', '.join(compiler)}")
    if failures:
        sys.exit("Too slow:\n- " + "\n- ".join(failures))


if __name__ == "__main__":
    main()
