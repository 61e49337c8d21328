"""What must hold on an accelerator; run with `pytest -m gpu` where there is one."""

import pickle

import numpy as np
import pytest
from sklearn.datasets import load_wine

from skvae import BalancedVAE
from skvae.balance import POLICIES
from skvae.callbacks import Checkpoint
from skvae.divergences import DIVERGENCES
from skvae.networks import MLP

X = load_wine().data


def fit(device, **params):
    settings = {
        "hidden_layer_sizes": (16,),
        "max_iter": 5,
        "tol": 1e3,
        "precision": "float64",
        "random_state": 0,
        **params,
    }
    return BalancedVAE(2, device=device, **settings).fit(X)


@pytest.fixture(autouse=True)
def _needs_a_gpu():
    import torch

    if not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device")


@pytest.mark.gpu
@pytest.mark.parametrize("balance", POLICIES)
@pytest.mark.parametrize("early_stopping", [True, False])
def test_gpu_trains_what_the_cpu_trains(balance, early_stopping):
    params = {"balance": balance, "early_stopping": early_stopping}
    gpu, cpu = (fit(device, **params) for device in ("cuda", "cpu"))
    # Noise and batches are drawn on the CPU; only the order of sums differs.
    np.testing.assert_allclose(gpu.transform(X), cpu.transform(X), atol=1e-6)
    assert gpu.elbo_ == pytest.approx(cpu.elbo_, abs=1e-6)
    assert gpu.score(X) == pytest.approx(cpu.score(X), abs=1e-6)


@pytest.mark.gpu
@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("posterior", ["diagonal", "full"])
def test_gpu_trains_every_divergence(divergence, posterior):
    network = MLP((16,), posterior=posterior)
    gpu, cpu = (
        fit(device, divergence=divergence, network=network)
        for device in ("cuda", "cpu")
    )
    np.testing.assert_allclose(gpu.transform(X), cpu.transform(X), atol=1e-6)
    assert gpu.elbo_ == pytest.approx(cpu.elbo_, abs=1e-6)
    assert gpu.score(X) == pytest.approx(cpu.score(X), abs=1e-6)


@pytest.mark.gpu
@pytest.mark.parametrize("balance", POLICIES)
@pytest.mark.parametrize("precision", ["float32", "float64", "bfloat16"])
def test_gpu_replays_its_steps(balance, precision, monkeypatch):
    from skvae.training._captured import CapturedStepper

    replayed, n_replayed = CapturedStepper._replayed, [0]

    def counted(self, *args):
        n_replayed[0] += 1
        return replayed(self, *args)

    monkeypatch.setattr(CapturedStepper, "_replayed", counted)
    # A recording that differs from eager steps is a warning, and so an error here.
    fit("cuda", balance=balance, precision=precision)
    assert n_replayed[0] > 2


@pytest.mark.gpu
@pytest.mark.parametrize("network", [MLP((64, 64)), MLP((64,), dropout=0.1)])
def test_gpu_trains_in_bfloat16(network):
    # Sums of products are rounded in another order, and then to eight bits.
    params = {"network": network, "max_iter": 30}
    gpu, cpu = (
        fit(device, precision="bfloat16", **params) for device in ("cuda", "cpu")
    )
    assert gpu.score(X) == pytest.approx(cpu.score(X), abs=0.1)
    exact = fit("cuda", precision="float32", **params)
    assert gpu.score(X) == pytest.approx(exact.score(X), abs=0.1)
    assert not np.array_equal(gpu.transform(X), exact.transform(X))
    again = fit("cuda", precision="bfloat16", **params)
    np.testing.assert_array_equal(again.transform(X), gpu.transform(X))


@pytest.mark.gpu
def test_gpu_trains_in_tf32():
    import torch

    from skvae.model._device import has_tf32

    if not has_tf32(torch.device("cuda")):
        pytest.skip("this GPU has no TF32")
    before = torch.get_float32_matmul_precision()
    params = {"network": MLP((64, 64)), "max_iter": 30}
    exact = fit("cuda", precision="float32", **params)
    found = fit("cuda", precision="tf32", **params)
    assert found.score(X) == pytest.approx(exact.score(X), abs=0.1)
    # Products of ten bits were used, in training alone.
    assert not np.array_equal(found.transform(X), exact.transform(X))
    assert torch.get_float32_matmul_precision() == before


@pytest.mark.gpu
def test_gpu_is_accepted_as_a_device_of_torch():
    import torch

    found, expected = fit(torch.device("cuda")), fit("cuda")
    np.testing.assert_allclose(found.transform(X), expected.transform(X), atol=1e-9)


@pytest.mark.gpu
def test_state_of_a_gpu_goes_on_on_the_cpu():
    gpu = pickle.loads(pickle.dumps(fit("cuda", early_stopping=False)))
    expected = gpu.transform(X)
    gpu.set_params(device="cpu")
    np.testing.assert_allclose(gpu.transform(X), expected, atol=1e-9)
    assert np.isfinite(gpu.partial_fit(X).score(X))


@pytest.mark.gpu
def test_training_that_was_cut_off_on_a_gpu_goes_on(tmp_path):
    params = {"max_iter": 4, "tol": 1e3, "device": "cuda", "random_state": 0}
    expected = BalancedVAE(2, **params).fit(X)

    class Stop:
        def ignore(self, *args, **kwargs):
            pass

        setup = teardown = ignore

        def on_fit_task_begin(self, estimator, context):
            pass

        def on_fit_task_end(self, estimator, context):
            if context.task_id == 1:
                raise ZeroDivisionError

    callback = Checkpoint(tmp_path / "fit")
    with pytest.raises(ZeroDivisionError):
        BalancedVAE(2, **params).set_callbacks(callback, Stop()).fit(X)
    found = BalancedVAE(2, **params).set_callbacks(callback).fit(X)
    # The first steps are recorded anew, and may be rounded in another way.
    assert found.n_iter_ == 4
    assert found.elbo_ == pytest.approx(expected.elbo_, abs=0.05)
