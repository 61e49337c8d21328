"""A step is timed on the devices that are here, in the precisions that these have."""

import math

import pytest

from benchmarks.devices import cases_of, main, rows_of

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_devices_compare_each_precision_that_a_device_has(capsys):
    cases = cases_of(["cpu"])
    assert cases == [("cpu", name) for name in ("float32", "bfloat16")]
    # That of the GPU is left out, with its reason.
    assert "precision='tf32' needs an NVIDIA GPU" in capsys.readouterr().out
    rows = list(rows_of("8", 16, cases))
    assert [(row["device"], row["precision"]) for row in rows] == cases
    assert rows[0]["to_cpu"] == rows[0]["to_float32"] == 1.0
    assert all(math.isfinite(row["to_cpu"]) for row in rows)
    # On a CPU a time is one of its load.
    assert all(row["time"] is None for row in rows)


def test_devices_print_the_machine_beside_the_table(capsys, monkeypatch):
    line = "devices cpu --layers 8 --batch 16"
    monkeypatch.setattr("sys.argv", line.split())
    main()
    found = capsys.readouterr().out
    assert "torch" in found
    assert "cpu: " in found
    assert "| 8      |    16 |    cpu |   float32 |" in found
