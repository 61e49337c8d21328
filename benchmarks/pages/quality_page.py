"""The section of the speed page on the time to a quality."""

import statistics
from collections import defaultdict

from benchmarks.common.records import goal
from benchmarks.pages.regret_page import table_of

QUALITY = """## Time to quality

Seconds until new rows are explained as well as by the best of {epochs} epochs of a
tutorial's loop: hidden layers of {hidden}, Adam at 1e-3, batches of {batch}, a decoder
variance that is trained. `BalancedVAE` is at its defaults, with as many latents. Both
are judged on the same rows, which neither has seen, with decoder variances that are
calibrated alike. The clock of the loop stops at its best epoch and does not run while
it is judged; that of skvae includes its judging and what `fit` does after the last
epoch. *Whole fit* is all of `fit` against all epochs of the loop. One thread, medians
over {n_seeds} seeds."""


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


def quality_section(results):
    """Parts of the page."""
    runs = results["runs"]
    title = QUALITY.format(**results["settings"])
    return title, quality_verdict(runs), quality_tables(runs)
