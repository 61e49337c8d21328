"""From the results of step, quality and scaling to a page of the docs."""

from pathlib import Path

from benchmarks.common import records
from benchmarks.pages.quality_page import quality_section
from benchmarks.pages.scaling_page import scaling_section
from benchmarks.pages.step_page import step_section, thread_gain

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "speed.md"

INTRO = """# Speed

What a training step, a fit and a score cost, as ratios that hold on other machines too.
Everything here is written by

```sh
make bench
```

from `benchmarks/results/`. `make bench-smoke` checks the main ratios in two minutes,
and `asv run --config benchmarks/asv.conf.json` follows time, peak memory and elbo over
commits."""

THREADS = """## Threads

skvae changes no setting of the process, neither threads nor the precision of matrix
products: it takes what torch has. A step of a small network is too short to be shared,
so that a search makes more of its cores with `n_jobs` workers of one thread each than
with one fit at a time on all of them. Say so before Python starts, or to torch:

```sh
OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 python search.py
```

```python
import torch

torch.set_num_threads(1)
```"""


def write_page():
    """Write the page from the results there are; a section without any is left out."""
    parts = [INTRO]
    sections = {
        "step": step_section,
        "quality": quality_section,
        "scaling": scaling_section,
    }
    found = {name: records.load(name) for name in sections}
    for name, section in sections.items():
        if found[name]:
            title, *tables = section(found[name])
            parts += [title, records.environment_line(found[name]), *tables]
    parts.append(THREADS.rstrip())
    if found["step"]:
        parts.append(thread_gain(found["step"]["cases"]))
    text = "\n\n".join(part for part in parts if part) + "\n"
    PAGE.write_text(text, encoding="utf-8")
    print(text)
