"""A fit that is killed at any moment and started again ends as if it never had been."""

import json
import os
import subprocess
import sys

import pytest

# One process imports torch; each fit is a fork of it, and has done nothing before.
PROGRAM = """
import json, os, random, signal, sys, time, warnings
import numpy as np
import skvae.fit._fit
from skvae import BalancedVAE
from skvae.callbacks import Checkpoint

folder, n_kills, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
random.seed(seed)
X = np.random.RandomState(0).normal(size=(90, 2)) @ np.ones((2, 5)) + np.arange(5.0)
X += 0.3 * np.random.RandomState(1).normal(size=X.shape)

def start(name):
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        warnings.simplefilter("ignore")
        vae = BalancedVAE(2, hidden_layer_sizes=(8,), max_iter=25, random_state=0)
        vae.set_callbacks(Checkpoint(f"{folder}/{name}")).fit(X)
        with open(f"{folder}/{name}.model", "w") as file:
            file.write(vae.__getstate__()["_file_format"]["checksum"])
        status = 0
    finally:
        os._exit(status)

def ended(child):
    return os.waitpid(child, 0)[1]

def model(name):
    with open(f"{folder}/{name}.model") as file:
        return file.read()

def wait_for(name):
    while not os.path.exists(f"{folder}/{name}"):
        time.sleep(1e-3)

child, begin = start("whole"), time.perf_counter()
wait_for("whole")
before = time.perf_counter() - begin
assert ended(child) == 0
within = time.perf_counter() - begin - before

def killed(name, longest):
    # Some while the rows are prepared, and most between epochs and in them.
    child = start(name)
    if random.random() < 0.3:
        time.sleep(random.uniform(0.0, before))
    else:
        wait_for(name)
        time.sleep(random.uniform(0.0, longest))
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(ended(child))

found = []
for i in range(n_kills):
    name, longest = f"fit{i}", within
    while not killed(name, longest):
        # It was over before.
        os.remove(f"{folder}/{name}")
        longest /= 2
    was_there = os.path.exists(f"{folder}/{name}")
    assert ended(start(name)) == 0
    found.append([was_there, model(name) == model("whole")])
print(json.dumps(found))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(
    ("n_kills", "seed"), [(3, 0), pytest.param(20, 1, marks=pytest.mark.slow)]
)
def test_killed_fit_ends_bit_for_bit_as_an_undisturbed_one(n_kills, seed, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path, str(n_kills), str(seed)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    were_there, are_same = zip(*json.loads(done.stdout), strict=True)
    assert len(are_same) == n_kills
    assert all(are_same)
    assert any(were_there), "none was killed after an epoch"
