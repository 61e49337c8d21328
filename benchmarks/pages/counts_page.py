"""From the results of `benchmarks/claims/counts.py` to a page of the docs."""

from benchmarks.common.benchmark import means
from benchmarks.common.records import environment_line, goal
from benchmarks.pages.regret_page import table_of

INTRO = """# Counts, measured

Which likelihood explains new counts best: those for counts, or a Gaussian on
$\\log(1 + x)$, as many preprocess them? Log-likelihoods of rows that were not fitted
on, by `log_likelihood` with {n_samples} importance samples, in nats per row; the model
is `BalancedVAE` at its defaults but for `likelihood`. A random 70 % of the rows are
fitted on, at most {max_rows:,}; means over {n_seeds} seeds.

A probability of a count and a density of its logarithm do not compare as they are. With
its Jacobian, a factor $1 / (1 + x)$ for each cell, a density of $\\log(1 + x)$ becomes
one of $x$:

- *density* takes that for a probability. It is one only where the density hardly
  changes over a width of one. A Gaussian that is narrow around zero has a density above
  1 there, which no probability is, so that this line may be too good by any amount.
- *dequantised* adds noise, uniform in [0, 1), to the counts before the logarithm, in
  training and in scoring. Its mean log-density is at most the log-probability of the
  cell from $x$ to $x + 1$, and so compares with the log-probability of a count. The
  goal is about this line.

The tables: the {n_genes} genes with the most counts in the neurons of a worm; bikes
hired in each of the 24 hours of a day, a few of them missing; bikes hired in an hour by
casual and by registered users, beside columns of calendar and weather, which have the
same likelihoods in all lines and count in all. Written by

```sh
python -m benchmarks.claims.counts
```

from `benchmarks/results/counts.json`."""

LABELS = {
    "gaussian, dequantised": "`gaussian` on log(1 + x), dequantised",
    "gaussian, density": "`gaussian` on log(1 + x), density",
}
OURS, RIVALS = "negative_binomial", ["poisson", "gaussian, dequantised"]


def _verdict(scores):
    lines = []
    for table, row in scores.items():
        lead = {name: row[OURS] - row[name] for name in RIVALS}
        listed = " and ".join(
            f"{value:+.2f} to {LABELS.get(name, f'`{name}`')}"
            for name, value in lead.items()
        )
        text = f"{table}: `{OURS}` relative to others, {listed} (goal: above 0)"
        lines.append(goal(text, min(lead.values()) > 0))
    return "\n".join(lines)


def counts_page(results):
    """The page."""
    runs = results["runs"]
    scores, elbo, active, epochs = (
        means(runs, lambda run, name=name: run[name], "table", "model")
        for name in ("log_likelihood", "elbo", "active", "n_epochs")
    )
    sections = []
    for table, row in scores.items():
        run = next(run for run in runs if run["table"] == table)
        first = f"{run['n_rows']:,} rows fitted on, {run['n_columns']} columns"
        sections.append(f"**{table}**: {first}, {run['n_counts']} of them counts")
        header = ["likelihood of the counts", "log-likelihood", "elbo"]
        header += ["active latents", "epochs"]
        sections.append(
            table_of(
                header,
                [
                    [
                        LABELS.get(name, f"`{name}`"),
                        f"{row[name]:.2f}",
                        f"{elbo[table][name]:.2f}",
                        f"{100 * active[table][name]:.0f} %",
                        f"{epochs[table][name]:.0f}",
                    ]
                    for name in sorted(row, key=row.get, reverse=True)
                ],
            )
        )
    return "\n\n".join(
        [
            INTRO.format(**results["settings"]),
            environment_line(results),
            "## What comes out",
            _verdict(scores),
            *sections,
        ]
    )
