"""Files of models that released versions wrote: they load, and compute the same."""

import pickle

import joblib
import numpy as np
import pytest
from numpy.testing import assert_allclose
from skops import io as io_of_skops

from .files import FOLDER, MODELS, outputs


def load_skops(path):
    return io_of_skops.load(path, io_of_skops.get_untrusted_types(file=path))


LOADERS = {
    ".pickle": lambda path: pickle.loads(path.read_bytes()),
    ".joblib": joblib.load,
    ".skops": load_skops,
}
FILES = [path for path in sorted(FOLDER.glob("*/*")) if path.suffix in LOADERS]


@pytest.mark.parametrize(
    "path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_file_loads_and_computes_the_same(path):
    pytest.importorskip("numpy._core", reason="the files hold arrays of numpy 2")
    vae = LOADERS[path.suffix](path)
    with np.load(path.with_suffix(".npz")) as expected:
        found = outputs(vae, MODELS[path.stem][1])
        assert found.keys() == set(expected.files)
        for name, values in found.items():
            # Other processors round differently, and so draw a little differently.
            assert_allclose(values, expected[name], rtol=1e-5, atol=1e-6)


def test_files_are_small():
    assert {path.stem for path in FILES} == {*MODELS}
    assert len(FILES) % len(LOADERS) == 0
    for path in FILES:
        assert path.stat().st_size < 60_000


def test_skops_asks_for_types_of_skvae_alone():
    for path in FILES:
        if path.suffix == ".skops":
            types = io_of_skops.get_untrusted_types(file=path)
            assert types
            assert all(name.startswith("skvae.") for name in types)
