"""From the results of `benchmarks/claims/anomaly.py` to a page of the docs."""

import numpy as np

from benchmarks.common.benchmark import means, ranks
from benchmarks.common.records import environment_line, goal
from benchmarks.pages.regret_page import table_of

INTRO = """# Anomaly scores, measured

How well `-score_samples` finds the rows that somebody has labelled as anomalies, with
everything at its defaults. A random 30 % of the rows, with the table's share of
anomalies, are scored, in two protocols:

- *unsupervised*: a detector is fitted to the other 70 %, anomalies among them and no
  labels; labels only judge. The goal is about this one.
- *clean*: it is fitted to those of them that are no anomalies.

Columns are standardized by the rows fitted on, and figures are means over {n_seeds}
seeds. *PCA error* is the squared error of a reconstruction from as many components as
`BalancedVAE` has latents; ECOD, VAE and AutoEncoder are PyOD's. The tables are those of
ADBench (cardiotocography, page blocks, pen digits); of the other tables used here, none
has labels of anomalies.

A detector's rank is among the {n_models} detectors, from 1 for the best, by each of the
two measures on each table. In the last line, `log_likelihood` stands in for
`score_samples`: the importance-weighted bound, which takes longer. Its rank is the one
it would have in place of `score_samples`. Written by

```sh
python -m benchmarks.claims.anomaly
```

from `benchmarks/results/anomaly.json`."""

OURS, LIKELIHOOD = "skvae", "skvae, log_likelihood"
LABELS = {OURS: "skvae, `-score_samples`", LIKELIHOOD: "skvae, `-log_likelihood`"}
MEASURES = ["AUROC", "average precision"]


def _scores(runs):
    """Scores as ``found[measure][table][model]``, means over seeds."""
    lines = [
        {**run, "model": model, "measure": measure, "score": score}
        for run in runs
        for model, scores in run["scores"].items()
        for measure, score in scores.items()
    ]
    return means(lines, lambda line: line["score"], "measure", "table", "model")


def _mean_ranks(scores):
    """Mean rank of each model, with the second score of skvae in place of the first."""

    def of(left_out):
        found = [
            ranks({k: v for k, v in row.items() if k != left_out})
            for tables in scores.values()
            for row in tables.values()
        ]
        return {name: np.mean([r[name] for r in found]) for name in found[0]}

    return {LIKELIHOOD: of(OURS)[LIKELIHOOD], **of(LIKELIHOOD)}


def _table(scores, mean_ranks):
    models = sorted(mean_ranks, key=lambda name: (name == LIKELIHOOD, mean_ranks[name]))
    tables = list(scores[MEASURES[0]])
    header = ["detector"]
    header += [f"{table}, {m}" for table in tables for m in ("AUROC", "AP")]
    header.append("mean rank")
    rows = [
        [
            LABELS.get(name, name),
            *[f"{scores[m][table][name]:.3f}" for table in tables for m in MEASURES],
            f"{mean_ranks[name]:.2f}",
        ]
        for name in models
    ]
    return table_of(header, rows)


def _verdict(mean_ranks, protocol):
    others = {k: v for k, v in mean_ranks.items() if k not in LABELS}
    best = min(others, key=others.get)
    text = (
        f"{protocol}: mean rank of `-score_samples` {mean_ranks[OURS]:.2f}, best of "
        f"the others {others[best]:.2f} ({best}); goal: the best"
    )
    return goal(text, mean_ranks[OURS] <= others[best])


def _seconds(runs):
    """Time of each detector relative to that of skvae, the median over runs."""
    where = ("protocol", "table", "seed")
    ours = {
        tuple(run[name] for name in where): run["seconds"]
        for run in runs
        if run["model"] == OURS
    }
    shares = {}
    for run in runs:
        unit = ours.get(tuple(run[name] for name in where))
        if unit and run["model"] != OURS:
            shares.setdefault(run["model"], []).append(run["seconds"] / unit)
    listed = ", ".join(f"{name} {np.median(s):.2f}" for name, s in shares.items())
    return (
        "Processor time of a fit and its scores, in units of that of skvae with both "
        f"of its scores: {listed}."
    )


def anomaly_page(results):
    """The page."""
    runs, goals, sections = results["runs"], [], []
    for protocol in dict.fromkeys(run["protocol"] for run in runs):
        scores = _scores([run for run in runs if run["protocol"] == protocol])
        mean_ranks = _mean_ranks(scores)
        goals.append(_verdict(mean_ranks, protocol.capitalize()))
        sections += [f"## {protocol.capitalize()}", _table(scores, mean_ranks)]
    n_models = len({run["model"] for run in runs})
    return "\n\n".join(
        [
            INTRO.format(n_models=n_models, **results["settings"]),
            environment_line(results),
            "## What comes out",
            "\n".join(goals),
            *sections,
            "## Time",
            _seconds(runs),
        ]
    )
