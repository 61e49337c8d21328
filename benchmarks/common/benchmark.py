"""The command line of every claim: measure, keep, resume and publish.

A page of the user guide is a template in `pages/` with slots ``{{ claim.name }}``. A
slot holds a setting of the claim, its `environment` line, or what its `slots` returns.
"""

import argparse
import importlib
import itertools
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from joblib import Parallel, delayed

from benchmarks.common import records
from benchmarks.common.clocks import timed
from benchmarks.common.markdown import environment_line

PAGES = Path(__file__).resolve().parents[1] / "pages"
GUIDE = PAGES.parents[1] / "docs" / "guide"
# The page that compares the figures of all claims with their targets.
TARGETS = "targets"
SLOT = re.compile(r"{{ (\w+)\.(\w+) }}")


@dataclass(frozen=True)
class Benchmark:
    """A claim: its runs, how one is measured, and how all of them are shown.

    - `keys(settings)` lists the key of each run, a dictionary such as of table, model
      and seed;
    - `measure(settings, **key)` returns what is kept of the run;
    - `slots(results)` returns the parts of the page, in Markdown.

    `quick` holds the settings that differ in a quick run; `n_jobs` processes measure.
    """

    name: str
    page: str
    settings: dict
    quick: dict
    keys: Callable
    measure: Callable
    slots: Callable
    n_jobs: int = 1

    def main(self, description):
        """Run the command line."""
        parser = argparse.ArgumentParser(description=description.splitlines()[0])
        flag = partial(parser.add_argument, action="store_true")
        flag("--quick", help="try everything once; keep nothing")
        flag("--page", help="write the page, and that of targets, from kept results")
        about = "forget all runs, or those of a table or model"
        parser.add_argument("--fresh", nargs="*", metavar="NAME", help=about)
        args = parser.parse_args()
        if args.quick:
            settings = self.settings | self.quick
            runs = self._measured(settings, self.keys(settings), is_quick=True)
            results = {"settings": settings, "runs": list(filter(None, runs))}
        else:
            if not args.page:
                self._collect(args.fresh)
            results = self.results()
            for page in (self.page, TARGETS):
                path = GUIDE / f"{page}.md"
                path.write_text(render(page), encoding="utf-8")
        for name, text in self.slots(results).items():
            print(f"\n{name}:\n{text}")

    def results(self):
        """Kept results of the seeds of which every run is there."""
        results = records.load(self.name) or {"settings": self.settings, "runs": []}
        pairs = _paired(self.keys(results["settings"]), results["runs"])
        incomplete = {key.get("seed") for key, run in pairs if run is None}
        runs = [run for key, run in pairs if key.get("seed") not in incomplete]
        if not runs:
            raise SystemExit(f"{self.name}: some runs of every seed are missing")
        n_seeds = len({run.get("seed") for run in runs})
        settings = results["settings"] | {"n_seeds": n_seeds}
        return {**results, "settings": settings, "runs": runs}

    def values(self):
        """Text of each slot."""
        results = self.results()
        settings = {key: _text(value) for key, value in results["settings"].items()}
        line = environment_line(results["environment"])
        return {**settings, "environment": line, **self.slots(results)}

    def _collect(self, forgotten):
        """Measure what is missing; save after each run."""
        before, keys = records.load(self.name), self.keys(self.settings)
        runs = []
        if before and before["settings"] == self.settings and forgotten != []:
            runs = before["runs"]
            for name in forgotten or ():
                runs = [run for run in runs if name not in run.values()]
        missing = [key for key, run in _paired(keys, runs) if run is None]
        for run in self._measured(self.settings, missing):
            runs.append(run)
            kept = [run for _, run in _paired(keys, runs) if run]
            records.save(self.name, self.settings, kept)

    def _measured(self, settings, keys, is_quick=False):
        """Runs, each with its key, in the order of the keys."""
        parallel = Parallel(n_jobs=self.n_jobs, return_as="generator")
        run = delayed(_run)
        return parallel(run(self.measure, settings, key, is_quick) for key in keys)


def _run(measure, settings, key, is_quick):
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    try:
        found, seconds = timed(lambda: measure(settings, **key))
    except ModuleNotFoundError as reason:
        if not is_quick:
            raise
        print(*key.values(), f"skipped: {reason}", flush=True)
        return None
    print(*key.values(), f"{seconds:.1f} s", flush=True)
    return {**key, "seconds": round(seconds, 3), **found}


def _paired(keys, runs):
    """Each key with its run, or with None where that is missing."""
    found = {tuple(run[name] for name in keys[0]): run for run in runs}
    return [(key, found.get(tuple(key.values()))) for key in keys]


def render(page):
    """A page of the user guide: its template with all slots filled."""
    template = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    claims = dict.fromkeys(slot[1] for slot in SLOT.finditer(template))
    values = {
        name: importlib.import_module(f"benchmarks.claims.{name}").BENCHMARK.values()
        for name in claims
    }
    return SLOT.sub(lambda slot: values[slot[1]][slot[2]], template)


def product(**values):
    """Every combination of values, as dictionaries, the last one varying fastest."""
    combinations = itertools.product(*values.values())
    return [dict(zip(values, each, strict=True)) for each in combinations]


def widths(text):
    """Widths of hidden layers, as written on the pages: "64-64"."""
    return tuple(map(int, text.split("-")))


def _text(value):
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else str(value)
