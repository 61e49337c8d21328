"""The regret page, from its results."""

from collections import defaultdict

import numpy as np

DEFAULT = "running_average"

INTRO = """# The regret table

How much is lost by not tuning? For each table, the *regret* of a policy at its defaults
is the held-out log-likelihood of the best of twelve constant betas minus its own, in
nats per row: below zero, it is better than any of them. The best beta is picked with
hindsight, on the rows that are scored; nobody who searches can do better than that.

Each table is split 60/20/20 with {n_seeds} seeds. Models are fitted on the first part,
of which at most {max_rows:,} rows are taken, the second part is there to search beta as
a user would, the third is scored with {n_samples} importance samples. Every model is
`BalancedVAE` at its defaults (the linear start and the calibrated variance included)
but for the policy and for hidden layers of {hidden}; the grid has `balance="constant"`
and betas from {low:g} to {high:g}. Tables are standardized by the rows fitted on;
columns that are linear functions of others are left out, and so are scored rows further
outside the rows fitted on than those are wide.

This page is written by

```
python -m benchmarks.claims.regret
```

from `benchmarks/results/regret.json` (skvae {skvae}, Python {python}, {date}).
"""


POLICIES = """{runs}; ranks are among the lines of this table. The
three losses that people copy are points on the beta axis. *Time* is relative to
`constant`, the median, for what was fitted right after it; those of the copied losses
are shares of a run of all betas side by side."""


def merged(results):
    """Cells with all policies that were fitted to them."""
    others = {
        # At another time the machine was not as busy: the seconds do not compare.
        (entry["table"], entry["n_components"], entry["seed"]): [
            {**model, "seconds": np.nan} for model in entry["models"]
        ]
        for entry in results["policies"]
    }
    for cell in results["cells"]:
        key = cell["table"], cell["n_components"], cell["seed"]
        yield {**cell, "models": cell["models"] + others.get(key, [])}


def means(cells):
    """Per table and size, means over seeds: anchors, policies and grid."""
    groups = defaultdict(list)
    for cell in cells:
        groups[cell["table"], cell["n_components"]].append(cell)
    found = {}
    for key, group in groups.items():
        scores, lost, active, seconds = (defaultdict(list) for _ in range(4))
        for cell in group:
            grid = [m for m in cell["models"] if m["kind"] == "grid"]
            best = max(m["log_likelihood"] for m in grid)
            scores["best beta"].append(best)
            chosen = max(grid, key=lambda m: m["validation"])
            scores["searched beta"].append(chosen["log_likelihood"])
            for name, score in cell["anchors"].items():
                scores[name].append(score)
            unit = next(m for m in cell["models"] if m["kind"] == "constant")["seconds"]
            for model in cell["models"]:
                if model["kind"] != "grid":
                    scores[model["kind"]].append(model["log_likelihood"])
                    lost[model["kind"]].append(best - model["log_likelihood"])
                    active[model["kind"]].append(model["active"])
                    seconds[model["kind"]].append(model["seconds"] / unit)
        found[key] = {
            "n_rows": group[0]["n_rows"],
            "n_features": group[0]["n_features"],
            "scores": {name: float(np.mean(s)) for name, s in scores.items()},
            "regret": {name: float(np.mean(s)) for name, s in lost.items()},
            "active": {name: float(np.mean(s)) for name, s in active.items()},
            "seconds": {name: float(np.median(s)) for name, s in seconds.items()},
        }
    return found


def of_all_policies(cells):
    """The cells that most policies were fitted to, and which these are."""
    most = max(len(cell["models"]) for cell in cells)
    full = [cell for cell in cells if len(cell["models"]) == most]
    if len(full) == len(cells):
        return full, "Over all tables and sizes"
    n_tables, n_seeds = (len({c[k] for c in full}) for k in ("table", "seed"))
    return full, (
        f"Over {len(full)} of the {len(cells)} runs (a table, size and seed each), on "
        f"{n_tables} tables and {n_seeds} seed{'s' if n_seeds > 1 else ''}, as the "
        "other policies take most of the time"
    )


def spread(row):
    """Nats per row between the null model and the best of all VAEs."""
    best = row["scores"]["best beta"] - min(0, *row["regret"].values())
    return best - row["scores"]["null"]


def table_of(header, rows):
    """Markdown table, numbers to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    lines = [[str(cell) for cell in line] for line in lines]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        "| "
        + " | ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        + " |"
        for line in lines
    )


def by_table(found):
    """One line for each table and size: densities, grid and default."""
    header = ["table", "rows", "columns", "k", "null", "PCA", "FactorAnalysis"]
    header += ["searched beta", "best beta", "default", "regret", "% of range"]
    rows = []
    for (name, k), row in found.items():
        scores = row["scores"]
        shown = ["null", "PCA", "FactorAnalysis", "searched beta", "best beta", DEFAULT]
        lost = row["regret"][DEFAULT]
        rows.append(
            [name, row["n_rows"], row["n_features"], k]
            + [f"{scores[s]:.2f}" for s in shown]
            + [f"{lost:+.2f}", f"{100 * lost / spread(row):+.1f}"]
        )
    return table_of(header, rows)


def by_policy(found):
    """One line for each policy: regret over the tables, rank, activity and time."""
    names = list(next(iter(found.values()))["regret"])
    ranks = defaultdict(list)
    for row in found.values():
        order = sorted(names, key=lambda name, row=row: row["regret"][name])
        for name in names:
            ranks[name].append(1 + order.index(name))
    header = ["policy", "mean regret", "median", "worst", "worst, % of range"]
    header += ["mean rank", "active latents", "time"]
    rows = []
    for name in sorted(names, key=lambda name: np.mean(ranks[name])):
        lost = [row["regret"][name] for row in found.values()]
        share = [100 * row["regret"][name] / spread(row) for row in found.values()]
        active = np.mean([row["active"][name] for row in found.values()])
        seconds = np.median([row["seconds"][name] for row in found.values()])
        rows.append(
            [
                f"`{name}`" if " " not in name else name,
                f"{np.mean(lost):+.2f}",
                f"{np.median(lost):+.2f}",
                f"{max(lost):+.2f}",
                f"{max(share):+.1f}",
                f"{np.mean(ranks[name]):.1f}",
                f"{100 * active:.0f} %",
                "" if np.isnan(seconds) else f"{seconds:.1f}",
            ]
        )
    return table_of(header, rows)


def regrets(found):
    """Regret of each policy on each table, the mean over sizes."""
    tables = list(dict.fromkeys(name for name, _ in found))
    names = list(next(iter(found.values()))["regret"])
    rows = []
    for table in tables:
        group = [row for (name, _), row in found.items() if name == table]
        lost = [np.mean([row["regret"][name] for row in group]) for name in names]
        rows.append([table, *[f"{value:+.2f}" for value in lost]])
    return table_of(["table", *[name.replace("_", " ") for name in names]], rows)


def verdict(found):
    """The goals, and whether they are met."""
    lost = {key: row["regret"][DEFAULT] for key, row in found.items()}
    share = {key: 100 * lost[key] / spread(row) for key, row in found.items()}
    worst = max(share, key=share.get)
    searched = [
        row["scores"]["searched beta"] - row["scores"][DEFAULT]
        for row in found.values()
    ]
    below = [
        f"{table} (k = {k}, {name}, {row['scores'][name] - row['scores'][DEFAULT]:.2f})"
        for (table, k), row in found.items()
        for name in ("PCA", "FactorAnalysis")
        if row["scores"][name] > row["scores"][DEFAULT]
    ]
    return "\n".join(
        [
            f"- Mean regret of the default, `{DEFAULT}`: "
            f"{np.mean(list(lost.values())):+.2f} nats per row (goal: at most 0).",
            f"- Against the beta that a search picks: {np.mean(searched):+.2f} nats "
            f"per row in the mean, {max(searched):+.2f} at worst.",
            f"- Worst table: {worst[0]}, k = {worst[1]}: {lost[worst]:+.2f} nats, "
            f"{share[worst]:+.1f} % of the range from the null model to the best "
            "(goal: at most +1 %).",
            "- Below PCA or FactorAnalysis of the same size: "
            + (", ".join(below) if below else "on no table")
            + ".",
        ]
    )


def write_page(results, found, path, verdicts, sections):
    """Print the tables and write the page, with what others have to say."""
    n_seeds = len({cell["seed"] for cell in results["cells"]})
    full, runs = of_all_policies(list(merged(results)))
    compared = means(full)
    parts = [
        INTRO.format(n_seeds=n_seeds, **results["settings"], **results["environment"]),
        "## What comes out",
        "\n".join([verdict(found), *verdicts]),
        "## The default on each table",
        "Log-likelihoods in nats per row, means over seeds. *Searched beta* is the "
        "point of the grid that is best on the second part. *Range* is the distance "
        "from the null model, independent Gaussian columns, to the best of all VAEs.",
        by_table(found),
        *sections,
        "## All policies",
        POLICIES.format(runs=runs),
        by_policy(compared),
        "## Regret by table",
        "Means over sizes, of the runs in the table before.",
        regrets(compared),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    print("\n\n".join(parts[1:]))
