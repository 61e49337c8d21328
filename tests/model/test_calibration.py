import pytest
import torch

from skvae.data._rows import Rows
from skvae.likelihoods import Gaussian
from skvae.model._calibration import Calibration

N_FEATURES = 5
ERROR = torch.tensor(
    [[0.5, 1.0, 2.0, 0.1, 0.4], [3.0, 0.2, 0.3, 0.4, 0.1]], dtype=torch.float64
)
HELD_OUT = ERROR * torch.tensor([1.1, 1.5, 0.9, 2.0, 1.0], dtype=torch.float64)
FLOOR = torch.full((N_FEATURES,), 1e-6, dtype=torch.float64)


@pytest.fixture(autouse=True)
def are_not_drawn_together(monkeypatch):
    """That has its own tests, in test_drawing.py."""
    monkeypatch.setattr("skvae.model._shrinkage._POWERS", (0.0,))


scopes = pytest.mark.parametrize("scope", ["shared", "feature"])


def pooled(error, scope):
    return error if scope == "feature" else error.mean(dim=1, keepdim=True)


def calibration(
    scope, n_held_out=0, *, floor=FLOOR, prior=None, evidence=1e9, total=1.0
):
    """Calibration with as much evidence for each feature."""
    prior = torch.ones_like(ERROR) if prior is None else prior
    evidence, total = (
        torch.as_tensor(values, dtype=torch.float64).expand(N_FEATURES)
        for values in (evidence, total)
    )
    return Calibration(scope, floor, prior, evidence, n_held_out, total)


@scopes
def test_without_held_out_rows_it_is_maximum_likelihood(scope):
    variance = calibration(scope)(ERROR, None)
    assert torch.equal(variance, pooled(ERROR, scope))
    log_variance = variance.log().requires_grad_()
    Gaussian().distortion_from_error(ERROR, log_variance.exp()).sum().backward()
    assert log_variance.grad.abs().max() < 1e-13


@pytest.mark.parametrize("is_judged", [False, True])
def test_auto_is_per_feature_where_rows_are_held_out(is_judged):
    held_out = HELD_OUT if is_judged else None
    expected = calibration("feature" if is_judged else "shared", 9)(ERROR, held_out)
    assert torch.equal(calibration("auto", 9)(ERROR, held_out), expected)


@scopes
def test_many_held_out_rows_alone_decide(scope):
    # Where they are not easier than the training rows, which is chance.
    held_out = HELD_OUT.maximum(ERROR)
    log_variance = calibration(scope, 10**12)(ERROR, held_out).log().requires_grad_()
    Gaussian().distortion_from_error(held_out, log_variance.exp()).sum().backward()
    assert log_variance.grad.abs().max() < 1e-10


@scopes
@pytest.mark.parametrize("n_held_out", [1, 9, 200])
def test_common_level_counts_as_twenty_rows(scope, n_held_out):
    variance = calibration(scope, n_held_out)(ERROR, HELD_OUT)
    error, held_out = pooled(ERROR, scope), pooled(HELD_OUT, scope)
    # The held-out error is 0.9 to 2 times the training error; the median is 1.1.
    level = 1.1 if scope == "feature" else held_out / error
    level = (n_held_out * level + 1.0) / (n_held_out + 1.0)
    expected = (20.0 * level * error + n_held_out * held_out) / (20.0 + n_held_out)
    expected = expected.maximum(error)
    torch.testing.assert_close(variance, expected, rtol=1e-12, atol=0.0)


@scopes
@pytest.mark.parametrize("n_held_out", [1, 10, 10**6])
def test_variance_is_not_below_the_training_error(scope, n_held_out):
    variance = calibration(scope, n_held_out)(ERROR, 0.3 * ERROR)
    torch.testing.assert_close(variance, pooled(ERROR, scope), rtol=1e-12, atol=0.0)


def test_a_feature_that_fails_on_new_rows_gets_a_larger_variance():
    held_out = ERROR.clone()
    held_out[:, 2] *= 50.0
    variance = calibration("feature", 20)(ERROR, held_out)
    assert (variance[:, 2] > 20.0 * ERROR[:, 2]).all()
    others = [0, 1, 3, 4]
    torch.testing.assert_close(variance[:, others], ERROR[:, others])


def test_column_known_from_a_held_out_row_alone_leaves_the_others():
    """It was constant in training: neither known exactly, nor a sign of overfitting."""
    error, held_out = ERROR.clone(), HELD_OUT.clone()
    error[:, 0], held_out[:, 0] = 0.0, 10.0
    found = calibration("feature", 4)(error, held_out)
    usual = calibration("feature", 4)(ERROR, HELD_OUT)
    torch.testing.assert_close(
        found[:, 0], torch.full((2,), 40.0 / 24.0).double(), rtol=1e-4, atol=0.0
    )
    assert (found[:, 1:] < 1.5 * usual[:, 1:]).all()


@scopes
@pytest.mark.parametrize("n_held_out", [1, 100])
def test_variance_that_holds_on_new_rows_is_kept(scope, n_held_out):
    variance = calibration(scope, n_held_out)(ERROR, ERROR)
    torch.testing.assert_close(variance, pooled(ERROR, scope), rtol=1e-9, atol=0.0)


@scopes
@pytest.mark.parametrize("with_held_out", [False, True])
def test_variance_stays_above_the_floor(scope, with_held_out):
    floor = torch.linspace(0.2, 0.6, N_FEATURES, dtype=torch.float64)
    held_out = 0.0 * ERROR if with_held_out else None
    variance = calibration(scope, 4, floor=floor)(0.0 * ERROR, held_out)
    expected = floor.mean()[None] if scope == "shared" else floor
    torch.testing.assert_close(variance, expected.expand(2, -1))


@scopes
def test_calibration_is_equivariant_to_units(scope):
    unit = torch.tensor([4.0, 0.25, 1.0, 16.0, 1.0], dtype=torch.float64)
    if scope == "shared":
        unit = torch.full_like(unit, 4.0)
    prior = torch.full_like(ERROR, 2.0)
    settings = {"n_held_out": 4, "evidence": 0.1}
    variance = calibration(scope, prior=prior, **settings)(ERROR, HELD_OUT)
    scaled = calibration(scope, floor=FLOOR * unit, prior=prior * unit, **settings)(
        ERROR * unit, HELD_OUT * unit
    )
    torch.testing.assert_close(scaled, variance * pooled(unit[None], scope))


@scopes
def test_replicas_are_calibrated_apart(scope):
    prior = 1.0 + ERROR
    whole = calibration(scope, 4, prior=prior, evidence=0.1)
    together = whole(ERROR, HELD_OUT)
    for r in range(2):
        one = slice(r, r + 1)
        alone = whole._replace(prior=prior[one])(ERROR[one], HELD_OUT[one])
        torch.testing.assert_close(alone, together[one], rtol=1e-12, atol=0.0)


# How much held-out rows say of a column.


def rows_of(*columns):
    x = torch.tensor(columns, dtype=torch.float64).T
    return Rows(x, torch.full((len(x),), 1.0 / len(x), dtype=torch.float64))


def evidence(rows, held_out):
    n_features = rows.x.shape[1]
    ones = torch.ones(n_features, dtype=torch.float64)
    found = Calibration.of("feature", ones, ones[None], rows, held_out)
    assert found.n_held_out == (0 if held_out is None else len(held_out.x))
    return found.evidence


def test_evidence_is_the_held_out_rows_by_the_kurtosis():
    signs, rare = [1.0, -1.0] * 50, [0.0] * 99 + [1.0]
    rows = rows_of(signs, rare)
    # Signs have kurtosis 1; one of a hundred rows, about a hundred.
    found = evidence(rows, rows_of(signs[:20], [0.0] * 19 + [1.0]))
    assert found[0] == pytest.approx(20.0)
    p = 0.01
    kurtosis = (1 - 3 * p + 3 * p**2) / (p * (1 - p))
    seen = (19 * p**2 + (1 - p) ** 2) / 20 / (p * (1 - p))
    assert found[1] == pytest.approx(20.0 * seen / kurtosis)
    # Where the rare value is not among the held-out rows, they say next to nothing.
    found = evidence(rows, rows_of(signs[:20], [0.0] * 20))
    assert found[0] == pytest.approx(20.0)
    assert found[1] < 0.003
    assert torch.equal(evidence(rows, None), torch.zeros(2, dtype=torch.float64))


def test_evidence_of_a_constant_column_is_finite():
    rows = rows_of([2.0] * 10, [1.0, -1.0] * 5)
    assert torch.isfinite(evidence(rows, rows_of([2.0] * 3, [1.0] * 3))).all()
    assert torch.isfinite(evidence(rows, rows_of([2.0, 3.0], [1.0, -1.0]))).all()


def test_what_held_out_rows_do_not_attest_stays_near_the_linear_model():
    """A column that is constant but for one row in a thousand, not among them."""
    error, prior = ERROR.clone(), torch.full_like(ERROR, 0.9)
    error[:, 3] = 1e-5
    seen = torch.full((N_FEATURES,), 100.0, dtype=torch.float64)
    rare = seen.clone()
    rare[3] = 0.01
    known, unknown = (
        calibration("feature", 100, prior=prior, evidence=evidence)(error, error)
        for evidence in (seen, rare)
    )
    assert (known[:, 3] < 0.003).all()
    assert (unknown[:, 3] > 0.8).all()
    others = [0, 1, 2, 4]
    assert torch.equal(unknown[:, others], known[:, others])
    # A variance that all features share is known from the others.
    shared = [
        calibration("shared", 100, prior=prior, evidence=evidence)(error, error)
        for evidence in (seen, rare)
    ]
    assert torch.equal(*shared)


def test_a_column_that_is_constant_where_trained_on_has_no_total():
    rows, held_out = rows_of([2.0] * 10, [1.0, -1.0] * 5), rows_of([3.0], [1.0])
    floor = torch.full((2,), 1e-6, dtype=torch.float64)
    found = Calibration.of("feature", floor, floor[None], rows, held_out)
    assert found.total.tolist() == [0.0, 1.0]
