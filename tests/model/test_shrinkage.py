import pytest
import torch

from skvae.model._shrinkage import shrink_to_mean

TOTAL = torch.tensor([1.0, 4.0, 0.25, 1.0, 1.0, 9.0], dtype=torch.float64)
KNOWN = TOTAL * torch.tensor([0.9, 0.5, 0.2, 0.01, 0.003, 0.0005], dtype=torch.float64)
SMALL = KNOWN / TOTAL < 0.1


def drawn(variance=KNOWN, known=KNOWN, held_out=KNOWN, total=TOTAL, n=50):
    return shrink_to_mean(variance[None], known[None], held_out[None], total, n)[0]


def test_variances_that_hold_on_new_rows_stay():
    torch.testing.assert_close(drawn(), KNOWN, rtol=1e-12, atol=0.0)


def test_small_ones_that_fail_on_new_rows_are_drawn_up():
    held_out = torch.where(SMALL, 2.5 * KNOWN, KNOWN)
    found = drawn(held_out=held_out)
    # No more than they can be said to fail, and in their order.
    assert (found > KNOWN)[SMALL].all()
    assert (found < held_out)[SMALL].any()
    assert ((found / TOTAL).diff() < 0).all()
    # Around their mean on a logarithmic scale, so that the level stays.
    assert found.log().mean() == pytest.approx(KNOWN.log().mean().item())


def test_explains_new_rows_no_worse():
    def nats(variance, held_out):
        return (variance.log() + held_out / variance).sum()

    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        ratio = torch.rand(6, generator=generator, dtype=torch.float64) * 2.0 + 0.5
        held_out = KNOWN * ratio
        before, after = nats(KNOWN, held_out), nats(drawn(held_out=held_out), held_out)
        assert after < before + 1e-9


def test_one_feature_that_fails_altogether_is_not_all_that_counts():
    held_out = KNOWN.clone()
    held_out[-1] *= 3.0
    three_times = drawn(held_out=held_out)
    held_out[-1] *= 1e6
    assert torch.equal(drawn(held_out=held_out), three_times)


def test_many_held_out_rows_need_no_drawing():
    held_out = torch.where(SMALL, 2.5 * KNOWN, KNOWN)
    found = drawn(variance=held_out, held_out=held_out, n=10**12)
    torch.testing.assert_close(found, held_out, rtol=1e-8, atol=0.0)


def test_units_of_a_feature_do_not_matter():
    held_out = torch.where(SMALL, 2.5 * KNOWN, KNOWN)
    unit = torch.tensor([1.0, 100.0, 0.01, 4.0, 1e6, 1e-6], dtype=torch.float64)
    scaled = drawn(KNOWN * unit, KNOWN * unit, held_out * unit, TOTAL * unit)
    torch.testing.assert_close(
        scaled, drawn(held_out=held_out) * unit, rtol=1e-10, atol=0
    )


def test_replicas_are_drawn_apart():
    held_out = torch.stack([KNOWN, torch.where(SMALL, 2.5 * KNOWN, KNOWN)])
    known = KNOWN.expand(2, -1)
    together = shrink_to_mean(known, known, held_out, TOTAL, 50)
    for r in range(2):
        alone = drawn(held_out=held_out[r])
        torch.testing.assert_close(together[r], alone, rtol=1e-12, atol=0.0)


def test_constant_feature_has_no_part():
    """Its variance is a floor, which has nothing to do with those of others."""
    total, known = TOTAL.clone(), KNOWN.clone()
    total[0], known[0] = 0.0, 1e-6
    held_out = torch.where(SMALL, 2.5 * known, known)
    found = drawn(known, known, held_out, total)
    others = slice(1, None)
    alone = drawn(known[others], known[others], held_out[others], total[others])
    torch.testing.assert_close(found[0], known[0], rtol=1e-12, atol=0.0)
    torch.testing.assert_close(found[others], alone, rtol=1e-12, atol=0.0)
    assert torch.isfinite(drawn(known, known, known, 0.0 * total)).all()
