"""A benchmark of many runs: kept as they come, resumed, and turned into a page.

`--fresh` forgets all runs, `--fresh NAME` those of one table or model; `--page` writes
the page from what there is, and `--quick` tries everything once, on few rows, and keeps
nothing.
"""

import argparse
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.stats import rankdata

from benchmarks.common import records
from benchmarks.common.tables import DATA

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide"


@dataclass(frozen=True)
class Benchmark:
    """What is run for each key, under which settings, and the page of it.

    A key is a dictionary, such as of table, model and seed; `measure` takes it and the
    settings and returns what is kept beside it. `quick` changes the settings for a
    look at whether everything runs.
    """

    name: str
    settings: dict
    quick: dict
    keys: Callable
    measure: Callable
    page: Callable

    def main(self, description):
        """Do what the command line says."""
        parser = argparse.ArgumentParser(description=description.splitlines()[0])
        parser.add_argument("--fresh", nargs="*", metavar="NAME", help="forget runs")
        parser.add_argument("--page", action="store_true", help="write the page only")
        parser.add_argument("--quick", action="store_true", help="print only")
        args = parser.parse_args()
        if not args.page and not DATA.is_dir():
            parser.error(f"no data sets at {DATA}; set SKVAE_DATA to their folder")
        torch.set_num_threads(1)
        warnings.simplefilter("ignore")
        if args.quick:
            settings = self.settings | self.quick
            runs = [self._run(settings, key) for key in self.keys(settings)]
            here = {"settings": settings, "environment": records.environment()}
            print(self.page({**here, "runs": runs}))
            return
        if not args.page:
            self._collect(args.fresh)
        results = self._finished(records.load(self.name) or {"runs": []})
        if not results["runs"]:
            parser.error("there are no results of all runs of a seed yet")
        text = self.page(results)
        (GUIDE / f"{self.name}.md").write_text(text + "\n", encoding="utf-8")
        print(text)

    def _finished(self, results):
        """Results of the seeds of which all runs are there."""
        done = {_place(run) for run in results["runs"]}
        seeds = {key["seed"] for key in self.keys(self.settings)}
        missing = {
            key["seed"] for key in self.keys(self.settings) if _place(key) not in done
        }
        seeds -= missing
        runs = [run for run in results["runs"] if run["seed"] in seeds]
        settings = self.settings | {"n_seeds": len(seeds)}
        return results | {"settings": settings, "runs": runs}

    def _collect(self, forgotten):
        """Run what is missing, in the order of the keys; save after each run."""
        kept, before = {}, records.load(self.name)
        if before and before["settings"] == self.settings and forgotten != []:
            for run in before["runs"]:
                if not any(name in run.values() for name in forgotten or ()):
                    kept[_place(run)] = run
        keys = list(self.keys(self.settings))
        for key in keys:
            if _place(key) in kept:
                continue
            kept[_place(key)] = self._run(self.settings, key)
            runs = [kept[_place(k)] for k in keys if _place(k) in kept]
            records.save(self.name, self.settings, runs=runs)

    def _run(self, settings, key):
        # Of this process alone, whatever else the machine is doing.
        start = time.process_time()
        found = self.measure(settings, **key)
        seconds = time.process_time() - start
        print(*key.values(), f"{seconds:.1f} s", flush=True)
        return {**key, "seconds": round(seconds, 3), **found}


def _place(run):
    """What identifies a run: its table, seed and the like."""
    names = ("protocol", "table", "mechanism", "model", "seed")
    return tuple(run[name] for name in names if name in run)


def means(runs, value, *names):
    """Mean of a value over the seeds, as ``found[table][model]`` or by other names."""
    groups = defaultdict(list)
    for run in runs:
        groups[tuple(run[name] for name in names)].append(value(run))
    found = {}
    for key, values in groups.items():
        inner = found
        for part in key[:-1]:
            inner = inner.setdefault(part, {})
        inner[key[-1]] = float(np.mean(values))
    return found


def ranks(scores):
    """Rank of each model from 1, the largest score; equal scores share theirs."""
    order = rankdata([-score for score in scores.values()])
    return dict(zip(scores, order.tolist(), strict=True))
