"""The section of the speed page on a training step."""

import statistics
from collections import defaultdict

from benchmarks.common.contenders import (
    CONTENDERS,
    FLOOR,
    N_COMPONENTS,
    N_REPLICAS,
    REPLICAS,
)
from benchmarks.common.records import goal
from benchmarks.pages.regret_page import table_of

STEP = """## A training step

Microseconds a step, divided by those of the bare matrix products that the step needs:
forward, gradients of the weights and gradients of the inputs, as `torch.mm` into memory
that is there. All train an autoencoder of {n_components} latents with the same widths,
batches and Adam on the same rows. What is timed is one pass over {n_rows:,} rows (at
most {peer_steps} steps for the peers), without what comes before and after. skvae has
SiLU, a linear path beside the layers and a variance that is trained; the peers have
ReLU. `MLPRegressor` has no noise and a code of half the width. All take turns; medians
of {turns}."""


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
        (1.4, {"hidden": "128-128", "batch": 1024}),
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


def step_section(results):
    """Parts of the page."""
    cases = results["cases"]
    title = STEP.format(**results["settings"], n_components=N_COMPONENTS)
    return title, step_verdict(cases), step_tables(cases)
