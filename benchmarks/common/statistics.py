"""Summaries of runs over seeds and models."""

from collections import defaultdict

import numpy as np
from scipy.stats import rankdata


def groups(runs, *names):
    """Runs by the values of some of their keys, in order of appearance."""
    found = defaultdict(list)
    for run in runs:
        key = tuple(run[name] for name in names)
        found[key if len(names) > 1 else key[0]].append(run)
    return dict(found)


def means(runs, value, *names, statistic=np.mean):
    """Mean of a value over seeds, as ``found[table][model]`` or by other names."""
    first, *others = names
    return {
        key: means(group, value, *others, statistic=statistic)
        if others
        else float(statistic([run[value] for run in group]))
        for key, group in groups(runs, first).items()
    }


def summaries(runs, name, values, statistic=np.mean):
    """First run of each group by a key, with `values` summarised over the group."""
    found = {key: dict(group[0]) for key, group in groups(runs, name).items()}
    for value in values:
        by_key = means(runs, value, name, statistic=statistic)
        for key, summary in found.items():
            summary[value] = by_key[key]
    return found


def ranks(scores, ties="average"):
    """Rank of each model from 1, the largest score; `ties` as in `rankdata`."""
    order = rankdata([-score for score in scores.values()], method=ties)
    return dict(zip(scores, order.tolist(), strict=True))
