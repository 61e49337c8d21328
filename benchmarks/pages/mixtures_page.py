"""The part of the regret page on mixtures of normals, and on wider layers."""

from collections import defaultdict

import numpy as np

from benchmarks.pages.regret_page import DEFAULT, table_of

TEXT = """Many columns are recorded in steps. On those the log-likelihood has no upper
limit: a density is as high as it is narrow, and a mixture puts narrow components
there. So here each column with a grid, one with fewer than half as many values as rows,
has uniform noise as wide as a step added to it ("without"). Values that repeat in other
columns stay; the share of cells that still repeat is in the second table. Means over
{seeds}, the same with grids and without. `GaussianMixture` has full covariances and up
to 20 components by BIC."""

FREE = """With as many latents as it likes: {sizes}, at most one fewer than there are
columns. *Chosen* are the latents, for each seed, with which the elbo is best on the
rows that `fit` holds out. *Mixture prior* is that model with another prior in place of
the standard normal: a mixture like `GaussianMixture` here, fitted after training to one
draw from the posterior of each row. Encoder, decoder and variance stay as they were
trained."""


def _groups(entries, *names):
    """Entries of each table, or of each table and size."""
    groups = defaultdict(list)
    for entry in entries:
        groups[tuple(entry[name] for name in names)].append(entry)
    return groups


def _chosen(entry):
    """The size of an entry that the held-out rows choose."""
    return next(size for size in entry["sizes"] if size["kind"] == entry["chosen"])


def _size(entry, k):
    """The size of an entry that stands for k latents: no more than were tried."""
    fitted = [size for size in entry["sizes"] if size["kind"] <= k]
    return max(fitted, key=lambda size: size["kind"])


def _mean(group, value):
    return float(np.mean([value(entry) for entry in group]))


def _gain(entry):
    """Nats per row that the mixture prior adds."""
    return entry["mixture prior"] - _chosen(entry)["log_likelihood"]


def _lead(entry):
    """Nats per row by which the default is above the mixture."""
    return _chosen(entry)["log_likelihood"] - entry["GaussianMixture"]


def _score(cell, name):
    """Log-likelihood of a linear model or the default in a cell with grids."""
    if name in cell["anchors"]:
        return cell["anchors"][name]
    return next(m["log_likelihood"] for m in cell["models"] if m["kind"] == DEFAULT)


def by_size(cells, entries):
    """PCA, factor analysis, mixture and default, with grids and without."""
    groups = _groups(entries, "table")
    header = ["table", "k", "PCA", "without", "FactorAnalysis", "without"]
    header += ["GaussianMixture", "without", "default", "without"]
    rows = []
    for (table, k), group in _groups(cells, "table", "n_components").items():
        pairs = [
            (cell, entry)
            for cell in group
            for entry in groups[(table,)]
            if cell["seed"] == entry["seed"]
        ]
        found = [
            (
                *(_score(cell, "PCA"), _size(entry, k)["anchors"]["PCA"]),
                _score(cell, "FactorAnalysis"),
                _size(entry, k)["anchors"]["FactorAnalysis"],
                *(entry["GaussianMixture on the grid"], entry["GaussianMixture"]),
                *(_score(cell, "default"), _size(entry, k)["log_likelihood"]),
            )
            for cell, entry in pairs
        ]
        rows.append([table, k, *(f"{x:.2f}" for x in np.mean(found, axis=0))])
    return table_of(header, rows)


def by_choice(entries, sizes):
    """The default with any number of latents, and with a mixture for a prior."""
    header = ["table", "columns on a grid", "repeated", "GaussianMixture"]
    header += [f"k = {k}" for k in sizes]
    header += ["chosen", "default", "- mixture", "mixture prior adds", "- mixture"]
    rows = []
    for (table,), group in _groups(entries, "table").items():
        lead, gain = _mean(group, _lead), _mean(group, _gain)
        scores = [
            _mean(group, lambda e, k=k: _size(e, k)["log_likelihood"]) for k in sizes
        ]
        rows.append(
            [
                table,
                group[0]["n_gridded"],
                f"{100 * _mean(group, lambda e: e['repeated']):.0f} %",
                f"{_mean(group, lambda e: e['GaussianMixture']):.2f}",
                *(f"{score:.2f}" for score in scores),
                ", ".join(str(entry["chosen"]) for entry in group),
                f"{_mean(group, lambda e: _chosen(e)['log_likelihood']):.2f}",
                f"{lead:+.2f}",
                f"{gain:+.2f}",
                f"{lead + gain:+.2f}",
            ]
        )
    return table_of(header, rows)


def mixtures_verdict(entries):
    """How the default stands to the mixture, and what a mixture prior adds."""
    groups = _groups(entries, "table")
    lead = {table: _mean(group, _lead) for (table,), group in groups.items()}
    gain = {table: _mean(group, _gain) for (table,), group in groups.items()}
    both = {table: lead[table] + gain[table] for table in lead}
    values, most = list(lead.values()), max(gain, key=gain.get)
    total = list(both.values())
    first = max(lead, key=lead.get)
    others = [value for table, value in lead.items() if table != first]
    return "\n".join(
        [
            "- Without grids and with as many latents as it likes, the default minus "
            f"the mixture is {np.mean(values):+.2f} nats per row in the mean over "
            f"tables (goal: at least 0), median {np.median(values):+.2f}, above 0 on "
            f"{sum(value > 0 for value in values)} of {len(values)} tables; "
            f"{np.mean(others):+.2f} in the mean without {first}, where it is "
            f"{lead[first]:+.2f}. Of single runs, a table and seed each, it is above 0 "
            f"in {sum(_lead(entry) > 0 for entry in entries)} of {len(entries)}.",
            f"- A mixture for a prior, fitted after training, adds "
            f"{np.mean(list(gain.values())):+.2f} nats per row in the mean, median "
            f"{np.median(list(gain.values())):+.2f}, {gain[most]:+.2f} at most "
            f"({most}). The default minus the mixture is then {np.mean(total):+.2f} in "
            f"the mean, median {np.median(total):+.2f}, above 0 on "
            f"{sum(value > 0 for value in total)} of {len(total)} tables.",
        ]
    )


def mixtures_section(cells, entries, sizes):
    """Tables of the default and of mixtures, with grids and without."""
    n_seeds = len({entry["seed"] for entry in entries})
    seeds = f"{n_seeds} seed{'s' if n_seeds > 1 else ''}"
    listed = ", ".join(map(str, sizes[:-1])) + f" or {sizes[-1]}"
    return [
        "## Without grids, and against a mixture",
        TEXT.format(seeds=seeds),
        by_size(cells, entries),
        FREE.format(sizes=listed),
        by_choice(entries, sizes),
    ]


def wider_verdict(found, results):
    """What the default's own hidden layers change."""
    entries, hidden = results["default_network"], results["settings"]["hidden"]
    narrow = {
        (cell["table"], cell["n_components"], cell["seed"]): model["log_likelihood"]
        for cell in results["cells"]
        for model in cell["models"]
        if model["kind"] == DEFAULT
    }
    gain, short = {}, []
    for key, group in _groups(entries, "table", "n_components").items():
        group = [entry for entry in group if (*key, entry["seed"]) in narrow]
        gain[key] = np.mean(
            [e["log_likelihood"] - narrow[(*key, e["seed"])] for e in group]
        )
        short.append(found[key]["regret"][DEFAULT] - gain[key])
    least, most = min(gain, key=gain.get), max(gain, key=gain.get)
    n_seeds = len({entry["seed"] for entry in entries})
    values = list(gain.values())
    return (
        f"- Its own hidden layers of 128-128 in place of {hidden} change the default "
        f"by {np.mean(values):+.2f} nats per row in the mean, median "
        f"{np.median(values):+.2f}, over {len(gain)} of {len(found)} tables and sizes "
        f"({n_seeds} seed{'s' if n_seeds > 1 else ''}): from {gain[least]:+.2f} "
        f"({least[0]}, k = {least[1]}) to {gain[most]:+.2f} ({most[0]}, "
        f"k = {most[1]}). Against the best beta of the {hidden} networks its mean "
        f"regret is then {np.mean(short):+.2f}; no grid was run with 128-128."
    )
