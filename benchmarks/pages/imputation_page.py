"""From the results of `benchmarks/claims/imputation.py` to a page of the docs."""

from benchmarks.common.benchmark import means
from benchmarks.common.records import environment_line, goal
from benchmarks.pages.regret_page import table_of

INTRO = """# Imputation, measured

How close what `impute` fills in comes to what was there, with everything at its
defaults. A random 70 % of the rows are fitted on, at most {max_rows:,}, and others are
filled. Cells are taken out of both, so that nobody sees the table complete:

- *at random*: {percent:.0f} % of the cells, each alike;
- *dependent*: a third of the columns stay complete. Each other column depends on one of
  them: its cells are missing with a probability that rises with the rank of the row in
  that column from 0 to {twice:.0f} %, or falls.

*NRMSE* is the root of the mean squared error over the missing cells of numeric columns,
in standard deviations of the column; *accuracy* is the share of the missing categories
that were filled with the right one. A column of two numbers counts as one of
categories, filled with the nearer number. Means over {n_seeds} seeds. The imputers of
scikit-learn get centred and scaled columns, and an indicator for each category, of
which the largest wins. `IterativeImputer` finds each indicator from the others of its
column, which are missing with it, and hardly leaves the means that it starts at; so it
is run with codes in their place, too (*codes*), which are rounded. `BalancedVAE` gets
the table as it is. Cells that were missing from the start are filled too, but cannot be
judged. Written by

```sh
python -m benchmarks.claims.imputation
```

from `benchmarks/results/imputation.json`."""

OURS = "skvae"
# How far from the best is as good as the best.
MARGIN = 0.02


def _short(scores, is_error):
    """How far skvae is from the best of the others, as a share of that; above 0: worse.

    Errors are divided, and so are shares of hits.
    """
    others = [score for name, score in scores.items() if name != OURS]
    if is_error:
        return scores[OURS] / min(others) - 1
    return 1 - scores[OURS] / max(others)


def _scores(runs, measure):
    """Means over seeds as ``found[table, mechanism][model]``."""
    lines = [
        {**run, "where": (run["table"], run["mechanism"])}
        for run in runs
        if run[measure] is not None
    ]
    return means(lines, lambda run: run[measure], "where", "model")


def _table(scores, is_error):
    models = list(dict.fromkeys(name for row in scores.values() for name in row))
    header = ["table", "cells missing", *models, f"{OURS} worse than the best by"]
    rows = [
        [
            table,
            mechanism,
            *[f"{row[name]:.3f}" if name in row else "" for name in models],
            f"{100 * _short(row, is_error):+.1f} %",
        ]
        for (table, mechanism), row in scores.items()
    ]
    return table_of(header, rows)


def _verdict(scores, measure, is_error):
    short = {where: _short(row, is_error) for where, row in scores.items()}
    worst = max(short, key=short.get)
    good = sum(value <= MARGIN for value in short.values())
    text = (
        f"{measure}: at most {100 * MARGIN:.0f} % worse than the best of the others in "
        f"{good} of {len(short)} cases; worst {100 * short[worst]:+.1f} % "
        f"({worst[0]}, {worst[1]}); goal: all"
    )
    return goal(text, good == len(short))


def _sizes(runs):
    sizes = {
        run["table"]: f"{run['table']} {run['n_rows']:,} x {run['n_columns']}"
        + (f" ({run['n_categories']} of categories)" if run["n_categories"] else "")
        for run in runs
    }
    return "Rows fitted on and columns: " + ", ".join(sizes.values()) + "."


def imputation_page(results):
    """The page."""
    runs, settings = results["runs"], results["settings"]
    errors, hits = _scores(runs, "NRMSE"), _scores(runs, "accuracy")
    percent = 100 * settings["share"]
    return "\n\n".join(
        [
            INTRO.format(percent=percent, twice=2 * percent, **settings),
            environment_line(results),
            "## What comes out",
            "\n".join(
                [_verdict(errors, "NRMSE", True), _verdict(hits, "Accuracy", False)]
            ),
            _sizes(runs),
            "## Numeric columns: NRMSE",
            _table(errors, True),
            "## Categories and columns of two values: accuracy",
            _table(hits, False),
        ]
    )
