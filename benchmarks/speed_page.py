"""From the results of step, quality and scaling to a page of the docs."""

import statistics
from collections import defaultdict
from pathlib import Path

import records
from contenders import CONTENDERS, FLOOR, N_COMPONENTS, N_REPLICAS, REPLICAS
from regret_page import table_of

PAGE = Path(__file__).resolve().parents[1] / "docs" / "guide" / "speed.md"

INTRO = """# Speed

What a training step, a fit and a score cost, as ratios that hold on other machines too.
Everything here is written by

```sh
make bench
```

from `benchmarks/results/`. `make bench-smoke` checks the main ratios in two minutes,
and `asv run --config benchmarks/asv.conf.json` follows time, peak memory and elbo over
commits."""

STEP = """## A training step

Microseconds a step, divided by those of the bare matrix products that the step needs:
forward, gradients of the weights and gradients of the inputs, as `torch.mm` into memory
that is there. All train an autoencoder of {n_components} latents with the same widths,
batches and Adam on the same rows. What is timed is one pass over {n_rows:,} rows (at
most {peer_steps} steps for the peers), without what comes before and after. skvae has
SiLU, a linear path beside the layers and a variance that is trained; the peers have
ReLU. `MLPRegressor` has no noise and a code of half the width. All take turns; medians
of {turns}."""

QUALITY = """## Time to quality

Seconds until new rows are explained as well as by the best of {epochs} epochs of a
tutorial's loop: hidden layers of {hidden}, Adam at 1e-3, batches of {batch}, a decoder
variance that is trained. `BalancedVAE` is at its defaults, with as many latents. Both
are judged on the same rows, which neither has seen, with decoder variances that are
calibrated alike. The clock of the loop stops at its best epoch and does not run while
it is judged; that of skvae includes its judging and what `fit` does after the last
epoch. *Whole fit* is all of `fit` against all epochs of the loop. One thread, medians
over {n_seeds} seeds."""

SCALING = """## A fit, a score, an import

One thread, {n_features} columns, medians of {turns} turns."""

THREADS = """## Threads

skvae changes no setting of the process, neither threads nor the precision of matrix
products: it takes what torch has. A step of a small network is too short to be shared,
so that a search makes more of its cores with `n_jobs` workers of one thread each than
with one fit at a time on all of them. Say so before Python starts, or to torch:

```sh
OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 python search.py
```

```python
import torch

torch.set_num_threads(1)
```"""


def goal(text, is_met):
    """A line of the verdict."""
    return f"- {text}: {'met' if is_met else 'not met'}."


def _ratio(case, name):
    """Ratio to the floor, or None where a contender is not there."""
    return case["contenders"].get(name, {}).get("ratio")


def _cell(case, name):
    ratio = _ratio(case, name)
    return "" if ratio is None else f"{ratio:.1f}"


def _step_table(cases):
    names = [name for name in CONTENDERS if name not in (FLOOR, REPLICAS)]
    header = ["columns", "hidden", "batch", "products, µs", *names]
    rows = [
        [case["columns"], case["hidden"], case["batch"]]
        + [f"{case['contenders'][FLOOR]['microseconds']:.0f}"]
        + [_cell(case, name) for name in names]
        for case in cases
    ]
    return table_of(header, rows)


def _replica_table(cases):
    header = ["columns", "hidden", "batch", "per model / products", "per model / one"]
    rows = [
        [
            *[case["columns"], case["hidden"], case["batch"], _cell(case, REPLICAS)],
            f"{_ratio(case, REPLICAS) / _ratio(case, 'skvae'):.2f}",
        ]
        for case in cases
        if _ratio(case, REPLICAS) and _ratio(case, "skvae")
    ]
    return table_of(header, rows)


def absent(cases):
    """Contenders that did not run, each with its reasons."""
    reasons = defaultdict(set)
    for case in cases:
        for name, found in case["contenders"].items():
            if "reason" in found:
                reasons[name].add(found["reason"])
    return "\n".join(
        f"- {name} did not run: {'; '.join(sorted(why))}"
        for name, why in reasons.items()
    )


def step_tables(cases):
    """Ratios for each number of threads, replicas, and who did not run."""
    parts = []
    for n_threads in dict.fromkeys(case["threads"] for case in cases):
        some = [case for case in cases if case["threads"] == n_threads]
        threads = "One thread" if n_threads == 1 else f"{n_threads} threads"
        parts += [f"### {threads}", _step_table(some)]
        if any(_ratio(case, REPLICAS) for case in some):
            parts.append(f"{N_REPLICAS} models side by side, time per model:")
            parts.append(_replica_table(some))
    parts.append(absent(cases))
    return "\n\n".join(part for part in parts if part)


def step_verdict(cases):
    """The goals of a step, on one thread."""
    ones = [case for case in cases if case["threads"] == 1 and _ratio(case, "skvae")]

    def worst(**size):
        return max(
            _ratio(case, "skvae")
            for case in ones
            if all(case[key] == value for key, value in size.items())
        )

    lines = []
    for bound, size in [
        (2.0, {"hidden": "128-128", "batch": 256}),
        (1.4, {"batch": 1024}),
        (4.0, {"hidden": "64-64", "batch": 64}),
    ]:
        found = worst(**size)
        where = ", ".join(f"{key} {value}" for key, value in size.items())
        text = f"At {where}, at worst {found:.2f} times the products (at most {bound})"
        lines.append(goal(text, found <= bound))
    for name, bound in [("pythae", 5), ("PyOD", 5), ("skorch", 5), ("MLPRegressor", 2)]:
        gains = [
            _ratio(case, name) / _ratio(case, "skvae")
            for case in ones
            if _ratio(case, name)
        ]
        if gains:
            text = (
                f"{name} takes {min(gains):.1f} to {max(gains):.1f} times as long, "
                f"median {statistics.median(gains):.1f} (at least {bound})"
            )
            lines.append(goal(text, min(gains) >= bound))
    shares = [
        _ratio(case, REPLICAS) / _ratio(case, "skvae")
        for case in ones
        if _ratio(case, REPLICAS)
    ]
    if shares:
        text = (
            f"{N_REPLICAS} models side by side take {max(shares):.2f} of one alone, "
            "each and at worst (at most 0.5)"
        )
        lines.append(goal(text, max(shares) <= 0.5))
    return "\n".join(lines)


def thread_gain(cases):
    """What a second thread gives, by size."""
    micro = {
        (case["columns"], case["hidden"], case["batch"], case["threads"]): case[
            "contenders"
        ]["skvae"].get("microseconds")
        for case in cases
    }
    gains = defaultdict(list)
    for (columns, hidden, batch, n_threads), spent in micro.items():
        two = micro.get((columns, hidden, batch, 2))
        if n_threads == 1 and spent and two:
            gains[hidden, batch].append(spent / two)
    if not gains:
        return ""
    rows = [
        [hidden, batch, f"{statistics.median(values):.2f}"]
        for (hidden, batch), values in gains.items()
    ]
    return (
        "How many times faster a step is with two threads than with one, the median "
        "over the numbers of columns:\n\n"
        + table_of(["hidden", "batch", "gain of a second thread"], rows)
    )


def _groups(runs):
    """Runs of each table."""
    groups = defaultdict(list)
    for run in runs:
        groups[run["table"]].append(run)
    return groups


def _share(run):
    """Time of skvae over that of the loop; infinite if the mark was not reached."""
    if run["skvae_seconds"] is None:
        return float("inf")
    return run["skvae_seconds"] / run["loop_seconds"]


def quality_tables(runs):
    """A line for each table: medians over seeds."""

    def median(group, value, digits):
        return f"{statistics.median(value(run) for run in group):.{digits}f}"

    header = [
        "table",
        "rows",
        "columns",
        "elbo of the loop",
        "its epoch",
        "its seconds",
    ]
    header += ["seconds of skvae", "skvae / loop", "whole fit / all epochs"]
    header += ["elbo after fit", "reached"]
    rows = []
    for name, group in _groups(runs).items():
        reached = [run for run in group if run["skvae_seconds"] is not None]
        ours = median(reached, lambda run: run["skvae_seconds"], 2) if reached else ""
        share = statistics.median(_share(run) for run in group)
        rows.append(
            [
                name,
                group[0]["n_rows"],
                group[0]["n_features"],
                median(group, lambda run: run["mark"], 2),
                median(group, lambda run: run["loop_epoch"], 0),
                median(group, lambda run: run["loop_seconds"], 2),
                ours,
                f"{share:.2f}" if share < float("inf") else "",
                median(
                    group,
                    lambda run: (
                        run["skvae"]["fit_seconds"] / run["loop"]["seconds"][-1]
                    ),
                    2,
                ),
                median(group, lambda run: run["skvae"]["elbo"][-1], 2),
                f"{len(reached)} of {len(group)}",
            ]
        )
    return table_of(header, rows)


def quality_verdict(runs):
    """Whether the mark is reached in a fifth of the loop's time."""
    shares = {
        name: statistics.median(_share(run) for run in group)
        for name, group in _groups(runs).items()
    }
    worst = max(shares, key=shares.get)
    text = (
        f"{shares[worst]:.2f} of the loop's time at worst, on {worst} (at most 0.2)"
        if shares[worst] < float("inf")
        else f"The loop's elbo is not reached on {worst}"
    )
    return goal(text, shares[worst] <= 0.2)


def scaling_verdict(results):
    """The goals of size, import and handling."""
    fit, first, imports = results["fit"], results["first_fit"], results["imports"]
    slopes = [row["slope"] for row in results["memory"] if row["method"] == "fit"]
    compiler = ", ".join(first["compiler"]) or "nothing"
    lines = [
        goal(
            f"Cost of a fit beyond {fit['overhead']:.2f} s grows with rows to the "
            f"power of {fit['exponent']:.2f} (1 ± 0.05)",
            abs(fit["exponent"] - 1) <= 0.05,
        ),
        goal(
            f"Peak memory of a fit grows by {max(slopes):.2f} bytes for each byte of "
            "X, X itself included (at most 1.3)",
            max(slopes) <= 1.3,
        ),
        goal(
            f"`fit` on breast cancer at the defaults, the first of its process: "
            f"{first['seconds']:.2f} s (at most 1); "
            f"{first['seconds_with_import']:.2f} s with the import of torch",
            first["seconds"] <= 1,
        ),
        goal(
            f"`import skvae` takes {imports['ratio']:.2f} times "
            f"`import sklearn.base` ({imports['sklearn.base']:.2f} s; at most 1.1)",
            imports["ratio"] <= 1.1,
        ),
        goal(
            f"Of the compiler stack the first fit loads {compiler}",
            not first["compiler"],
        ),
    ]
    for row in results["throughput"]:
        share = 100 * row["of_products"]
        text = (
            f"`{row['method']}` has {share:.0f} % of the throughput of its matrix "
            "products (at least 80 %)"
        )
        lines.append(goal(text, share >= 80))
    return "\n".join(lines)


def scaling_tables(results):
    """Fits by rows, memory, throughput and handling."""
    fit = table_of(
        ["rows", "seconds of a fit of two epochs", "microseconds a row"],
        [
            [f"{n:,}", f"{seconds:.2f}", f"{1e6 * seconds / n:.0f}"]
            for n, seconds in results["fit"]["curve"]
        ],
    )
    memory = table_of(
        ["method", "X in", "bytes for each byte of X", "beyond X and output, MB"],
        [
            [
                *[f"`{row['method']}`", row["dtype"], f"{row['slope']:.2f}"],
                ", ".join(f"{value / 1e6:.0f}" for value in row["beyond"]),
            ]
            for row in results["memory"]
        ],
    )
    sizes = ", ".join(f"{size / 1e6:.0f}" for size in results["memory"][0]["rows"])
    throughput = table_of(
        ["method", "rows", "rows a second", "of the products"],
        [
            [
                *[f"`{row['method']}`", f"{row['n_rows']:,}"],
                *[
                    f"{row['rows_per_second']:,.0f}",
                    f"{100 * row['of_products']:.0f} %",
                ],
            ]
            for row in results["throughput"]
        ],
    )
    handling = table_of(
        ["an estimator", "microseconds"],
        [[name, f"{value:.1f}"] for name, value in results["handling"].items()],
    )
    return "\n\n".join(
        [
            scaling_verdict(results),
            fit,
            "Peak memory of a process, X included; and what a method needs beyond X "
            f"and what it returns, for X of {sizes} MB in float32 and twice that in "
            "float64:",
            memory,
            "`score_samples` decodes each row at all nodes of its quadrature; these "
            "products are counted.",
            throughput,
            handling,
        ]
    )


def _of(results):
    """Under what the figures of a section were taken."""
    found = results["environment"]
    peers = [f"{name} {found[name]}" for name in records.PACKAGES if found[name]]
    return (
        f"*skvae {found['skvae']}, {', '.join(peers)}, Python {found['python']}, "
        f"{found['processor']}, {found['n_cores']} cores, {found['date']}.*"
    )


def write_page():
    """Write the page from the results there are; a section without any is left out."""
    parts = [INTRO]
    step, quality, scaling = map(records.load, ("step", "quality", "scaling"))
    if step:
        cases = step["cases"]
        parts += [STEP.format(**step["settings"], n_components=N_COMPONENTS), _of(step)]
        parts += [step_verdict(cases), step_tables(cases)]
    if quality:
        runs = quality["runs"]
        parts += [QUALITY.format(**quality["settings"]), _of(quality)]
        parts += [quality_verdict(runs), quality_tables(runs)]
    if scaling:
        parts += [SCALING.format(**scaling["settings"]), _of(scaling)]
        parts.append(scaling_tables(scaling["results"]))
    parts.append(THREADS)
    if step:
        parts.append(thread_gain(step["cases"]))
    text = "\n\n".join(part for part in parts if part) + "\n"
    PAGE.write_text(text, encoding="utf-8")
    print(text)
