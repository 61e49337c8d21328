"""From the results of `benchmarks/claims/synthetic.py` to a page of the docs."""

import numpy as np

from benchmarks.common.records import environment_line, goal
from benchmarks.pages.regret_page import table_of

INTRO = """# Synthetic rows, measured

How close the rows of `sample` come to real ones, with everything at its defaults,
against the TVAE of the package `ctgan` at {n_epochs} epochs. A random 70 % of the rows
are learned from, at most {max_rows:,} for the time that TVAE takes, and as many are
drawn. They are compared with at most {max_scored:,} real rows that nobody has seen;
means over {n_seeds} seeds.

- *classifier*: AUROC of gradient boosting, in five folds, that tells drawn rows from
  real ones; 0.5 is best.
- *useful*: the score on real rows of gradient boosting that was trained on drawn ones,
  relative to one trained on the rows learned from. The score is the AUROC of `income`
  for adult, and R² of `cnt`, from columns other than `casual` and `registered`, for
  bike sharing; 1 is best.
- *association*: the mean error, over all pairs of columns, of Pearson's correlation,
  the correlation ratio or Cramér's V; 0 is best.
- *copies*: the share of drawn rows that equal a row learned from in all cells. In the
  line *training rows*, that of the real rows that nobody has seen.
- *time*: of learning and drawing, relative to TVAE in the same process.

The line *training rows* puts the rows learned from in place of drawn ones: as close as
a sample of this size comes. Calendar codes of bike sharing are declared as categories,
to both. TVAE takes no missing numbers, and its users fill what is missing. Those cells
of adult are all in categories, and are made a level of their own for it; in drawn rows,
that level is a missing cell again. skvae takes them as they are and draws rows without
any, by which a classifier can tell; *missing as a level* is skvae with the same
preparation as TVAE. Written by

```sh
python -m benchmarks.claims.synthetic
```

from `benchmarks/results/synthetic.json`."""

OURS, LEVEL, THEIRS = "skvae", "skvae, missing as a level", "TVAE"
# Which is better: more or less.
SIGNS = {"classifier": -1, "usefulness": 1, "association": -1}


def _means(runs):
    """Means over seeds as ``found[table][generator][measure]``, and relative times."""
    found = {}
    for run in runs:
        unit = run["generators"][THEIRS]["fit_seconds"]
        for name, values in run["generators"].items():
            kept = dict(values)
            if name == "training rows":
                kept["usefulness"] = 1.0
            if "fit_seconds" in kept:
                kept["time"] = kept.pop("fit_seconds") / unit
            for measure, value in kept.items():
                inner = found.setdefault(run["table"], {}).setdefault(name, {})
                inner.setdefault(measure, []).append(value)
    return {
        table: {
            name: {m: float(np.mean(v)) for m, v in inner.items()}
            for name, inner in row.items()
        }
        for table, row in found.items()
    }


def _table(row):
    header = ["rows", "classifier", "useful", "association", "copies", "time"]
    lines = [
        [
            name,
            f"{values['classifier']:.3f}",
            f"{values['usefulness']:.3f}",
            f"{values['association']:.4f}",
            f"{100 * values['copies']:.2f} %",
            f"{values['time']:.2f}" if "time" in values else "",
        ]
        for name, values in row.items()
    ]
    return table_of(header, lines)


def _verdict(found):
    lines = []
    for table, row in found.items():
        for name in (OURS, LEVEL):
            if name not in row:
                continue
            better = [
                measure
                for measure, sign in SIGNS.items()
                if sign * (row[name][measure] - row[THEIRS][measure]) > 0
            ]
            text = (
                f"{table}, {name}: better than TVAE in {len(better)} of {len(SIGNS)} "
                f"measures ({', '.join(better) or 'none'}), in {row[name]['time']:.2f} "
                "of its time; goal: all, in at most a third"
            )
            is_met = len(better) == len(SIGNS) and row[name]["time"] <= 1 / 3
            lines.append(goal(text, is_met))
    return "\n".join(lines)


def synthetic_page(results):
    """The page."""
    runs = results["runs"]
    found = _means(runs)
    sections = []
    for table, row in found.items():
        run = next(run for run in runs if run["table"] == table)
        sections += [
            f"**{table}**: {run['n_rows']:,} rows learned from, {run['n_columns']} "
            f"columns, {run['n_categories']} of them categories",
            _table(row),
        ]
    return "\n\n".join(
        [
            INTRO.format(**results["settings"]),
            environment_line(results),
            "## What comes out",
            _verdict(found),
            *sections,
        ]
    )
