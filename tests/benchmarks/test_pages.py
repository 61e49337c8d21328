"""Pages of the user guide are what their templates and committed results give."""

import json
import re

import pytest

from benchmarks.common import benchmark, markdown, records

PAGES = sorted(path.stem for path in benchmark.PAGES.glob("*.md"))


def test_every_page_has_a_template():
    assert PAGES == [
        "anomaly",
        "codes",
        "counts",
        "imputation",
        "large",
        "pitfalls",
        "regret",
        "speed",
        "streams",
        "synthetic",
        "targets",
    ]


@pytest.mark.parametrize("page", PAGES)
def test_page_is_rendered_from_its_results(page):
    committed = (benchmark.GUIDE / f"{page}.md").read_text(encoding="utf-8")
    assert benchmark.render(page) == committed


def test_a_table_aligns_numbers_and_leaves_missing_cells_empty():
    rows = [{"name": "a", "x.y": 0.5}, {"name": "long", "x.y": None}]
    text = markdown.table("name {name} | value {x.y:.0%}", rows)
    assert text.splitlines() == [
        "| name | value |",
        "| ---  |  ---: |",
        "| a    |  50 % |",
        "| long |       |",
    ]


@pytest.fixture
def claim(tmp_path, monkeypatch):
    """A claim of two models and seeds, and the keys that it has measured."""
    monkeypatch.setattr(records, "FOLDER", tmp_path)
    monkeypatch.setattr(benchmark, "GUIDE", tmp_path)
    monkeypatch.setattr(benchmark, "render", "The page {}.".format)
    measured = []

    def measure(settings, seed, model):
        measured.append((seed, model))
        return {"score": seed}

    def keys(settings):
        seeds = range(settings["n_seeds"])
        return benchmark.product(seed=seeds, model=["first", "second"])

    def slots(results):
        return {"n_runs": str(len(results["runs"]))}

    settings = {"n_seeds": 2}
    made = benchmark.Benchmark(
        "claim", "guide", settings, {"n_seeds": 1}, keys, measure, slots
    )
    return made, measured


def run(claim, monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["claim", *arguments])
    claim.main("A claim.")


def test_a_claim_is_measured_once(claim, monkeypatch, capsys):
    claim, measured = claim
    run(claim, monkeypatch)
    run(claim, monkeypatch)
    assert len(measured) == 4
    assert capsys.readouterr().out.splitlines()[-1] == "4"
    assert (benchmark.GUIDE / "guide.md").read_text() == "The page guide."
    assert (benchmark.GUIDE / "targets.md").read_text() == "The page targets."


def test_fresh_forgets_the_runs_of_a_name(claim, monkeypatch):
    claim, measured = claim
    run(claim, monkeypatch)
    run(claim, monkeypatch, "--fresh", "second")
    assert measured[4:] == [(0, "second"), (1, "second")]
    run(claim, monkeypatch, "--fresh")
    assert len(measured) == 10


def test_other_settings_forget_all_runs(claim, monkeypatch):
    claim, measured = claim
    run(claim, monkeypatch)
    claim.settings["n_rows"] = 10
    run(claim, monkeypatch)
    assert len(measured) == 8


def test_quick_keeps_nothing(claim, monkeypatch, capsys):
    claim, measured = claim
    run(claim, monkeypatch, "--quick")
    assert len(measured) == 2
    assert records.load("claim") is None
    assert capsys.readouterr().out.splitlines()[-1] == "2"


def test_only_complete_seeds_are_shown(claim, monkeypatch):
    claim, _ = claim
    run(claim, monkeypatch)
    path = records.FOLDER / "claim.json"
    kept = json.loads(path.read_text())
    records.save("claim", kept["settings"], kept["runs"][:3])
    results = claim.results()
    assert [run["seed"] for run in results["runs"]] == [0, 0]
    assert results["settings"]["n_seeds"] == 1
    records.save("claim", kept["settings"], kept["runs"][:1])
    with pytest.raises(SystemExit, match="some runs of every seed are missing"):
        claim.results()


@pytest.mark.parametrize("page", sorted({*PAGES} - {"pitfalls", "targets"}))
def test_measured_page_opens_with_its_answer_and_has_a_date(page):
    committed = (benchmark.GUIDE / f"{page}.md").read_text(encoding="utf-8")
    first = committed.split("\n\n")[1]
    assert re.search(r"\d", first)
    assert first.endswith(".")
    assert not re.search(r"\bmet\b|goal", first)
    assert re.search(r"^\*.*, \d{4}-\d\d-\d\d\.\*$", committed, re.MULTILINE)
