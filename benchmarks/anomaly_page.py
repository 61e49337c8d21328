"""From the results of `benchmarks/anomaly.py` to a page of the docs."""

import numpy as np
from records import environment_line, goal
from regret_page import table_of
from runs import means, ranks

INTRO = """# Anomaly scores, measured

How well `-score_samples` finds the rows that somebody has labelled as anomalies, with
everything at its defaults. The protocol is unsupervised: a detector is fitted to a
random 70 % of the rows, anomalies among them and no labels, and scores the other 30 %;
labels only judge. Both parts have the table's share of anomalies, columns are
standardized by the rows fitted on, and figures are means over {n_seeds} seeds. *PCA
error* is the squared error of a reconstruction from as many components as `BalancedVAE`
has latents; ECOD, VAE and AutoEncoder are PyOD's. The tables are those of ADBench
(cardiotocography, page blocks, pen digits); of the other tables used here, none has
labels of anomalies.

A detector's rank is among the {n_models} detectors, from 1 for the best, by each of the
two measures on each table. In the last line, `log_likelihood` stands in for
`score_samples`: the importance-weighted bound, which takes longer. Its rank is the one
it would have in place of `score_samples`. Written by

```sh
python benchmarks/anomaly.py
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


def _verdict(mean_ranks):
    others = {k: v for k, v in mean_ranks.items() if k not in LABELS}
    best = min(others, key=others.get)
    text = (
        f"Mean rank of `-score_samples`: {mean_ranks[OURS]:.2f}, the best of the "
        f"others {others[best]:.2f} ({best}); goal: the best"
    )
    return goal(text, mean_ranks[OURS] <= others[best])


def _seconds(runs):
    """Time of each detector relative to that of skvae, the median over runs."""
    ours = {(r["table"], r["seed"]): r["seconds"] for r in runs if r["model"] == OURS}
    shares = {}
    for run in runs:
        unit = ours.get((run["table"], run["seed"]))
        if unit and run["model"] != OURS:
            shares.setdefault(run["model"], []).append(run["seconds"] / unit)
    listed = ", ".join(f"{name} {np.median(s):.2f}" for name, s in shares.items())
    return f"Time of a fit and its scores, in units of that of skvae: {listed}."


def anomaly_page(results):
    """The page."""
    scores = _scores(results["runs"])
    mean_ranks = _mean_ranks(scores)
    n_models = len(mean_ranks) - 1
    return "\n\n".join(
        [
            INTRO.format(n_models=n_models, **results["settings"]),
            environment_line(results),
            "## What comes out",
            _verdict(mean_ranks),
            _table(scores, mean_ranks),
            _seconds(results["runs"]),
        ]
    )
