import pytest
import torch

from skvae.balance import Linear, RunningAverage
from skvae.balance._base import BalanceState, tensors_of
from skvae.training._replicas import Reached, Replicas
from skvae.training._stepper import Stepper

BETAS = [0.1, 1.0, 4.0, 30.0]


def reached(*numbers):
    """What replicas have come to, each tensor telling whose it is."""
    number = torch.tensor(numbers, dtype=torch.float64)
    balance = BalanceState(10.0 * number, number[:, None])
    return Reached(
        values=number[:, None] + torch.tensor([0.0, 0.5]),
        balance=balance,
        beta=20.0 * number,
        variance=number[:, None],
        elbo=-number,
        n_epochs=torch.tensor(numbers),
        is_finite=number < 3.0,
    )


def test_replicas_are_put_together_in_their_order():
    replicas = Replicas(torch.arange(5))
    everything = reached(0, 1, 2, 3, 4)
    assert replicas.all(everything) is everything
    replicas.stop(torch.tensor([False, True, False, False, True]), everything)
    assert replicas.running.tolist() == [0, 2, 3]
    replicas.stop(torch.tensor([True, False, False]), reached(0, 2, 3))
    assert replicas.running.tolist() == [2, 3]
    found = replicas.all(reached(2, 3))
    assert type(found.balance) is BalanceState
    for one, other in zip(tensors_of(found), tensors_of(everything), strict=True):
        assert torch.equal(one, other)


def test_stopped_replicas_keep_their_last_entries():
    replicas = Replicas(torch.arange(3))
    last = {"rate": torch.tensor([1.0, 2.0, 3.0])}
    assert replicas.record(last, last) is last
    replicas.stop(torch.tensor([False, True, False]), reached(0, 1, 2))
    record = replicas.record({"rate": torch.tensor([4.0, 6.0])}, last)
    assert record["rate"].tolist() == [4.0, 2.0, 6.0]
    assert last["rate"].tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "policy", [RunningAverage(), Linear(warmup=0.2, policy=RunningAverage("feature"))]
)
def test_stopped_replicas_leave_the_run(policy, make_problem, make_plan, monkeypatch):
    take, heights = Stepper.__call__, []

    def counted(self, *args):
        heights.append(len(self.parameters.values))
        return take(self, *args)

    monkeypatch.setattr(Stepper, "__call__", counted)
    problem = make_problem()
    plan = make_plan(
        n_epochs=40,
        n_planned_epochs=40,
        steps_per_epoch=5,
        learning_rate=0.1,
        patience=2,
        tolerance=1e-2,
    )
    together = problem.train(policy, BETAS, plan, validate=True)
    n_epochs = together.n_epochs.tolist()
    assert len(set(n_epochs)) > 2, "the test says nothing"
    assert heights == [
        sum(n > epoch for n in n_epochs)
        for epoch in range(max(n_epochs))
        for _ in "5" * 5
    ]
    for r, beta in enumerate(BETAS):
        alone = problem.train(policy, [beta], plan, validate=True)
        one = together.take(r)
        assert one.state.n_epochs == alone.state.n_epochs == n_epochs[r]
        # What it goes on from is that of the epoch that it stopped in.
        for left, right in zip(
            [one.values, one.elbo, one.state.prior, *tensors_of(one.state.balance)],
            [
                alone.values,
                alone.elbo,
                alone.state.prior,
                *tensors_of(alone.state.balance),
            ],
            strict=True,
        ):
            torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-9)


def test_callback_hears_of_all_replicas(make_problem, make_plan):
    problem, seen = make_problem(), []

    def on_epoch(epoch, record, run):
        entries = {name: entry.clone() for name, entry in record.items()}
        seen.append((entries, run.best()))
        return False

    plan = make_plan(
        n_epochs=30,
        n_planned_epochs=30,
        learning_rate=0.1,
        patience=3,
        tolerance=1e-2,
    )
    outcome = problem.train(
        RunningAverage(), BETAS, plan, validate=True, on_epoch=on_epoch
    )
    assert len(set(outcome.n_epochs.tolist())) > 1, "the test says nothing"
    record, (best, so_far) = seen[-1]
    assert all(len(entry) == 4 for entry in record.values())
    for r, n_epochs in enumerate(outcome.n_epochs):
        at_its_end, _ = seen[n_epochs - 1]
        assert all(record[name][r] == entry[r] for name, entry in at_its_end.items())
    assert best == int(outcome.elbo.argmax())
    assert torch.equal(so_far.values, outcome.values[best : best + 1])
