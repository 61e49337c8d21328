"""One fit by several processes: milliseconds of a step, and a model of many.

    python -m benchmarks.processes                                      # one process
    torchrun --standalone --nproc_per_node 2 -m benchmarks.processes    # two

One process times a step on this machine, and in it the networks, which are divided.
What goes over the network is counted. From both follows the time of a step by more
processes, and their number with the fastest step: with this batch, with a larger one,
and with local SGD, in which each process trains on its own rows and weights are
averaged now and then.

Several processes time the same step three times: one of them alone while the others
wait, all of them at once without messages, and divided among them.
"""

import os
import time
import warnings
from copy import copy, deepcopy
from typing import NamedTuple

import numpy as np
import torch
from torch import distributed

from benchmarks.common.markdown import table
from skvae import BalancedVAE, training
from skvae.fit._fit import Fit
from skvae.fit._table import CheckedTable
from skvae.networks._base import Around
from skvae.training._divided import DividedStepper
from skvae.training._plan import steps_of
from skvae.training._stepper import Stepper

N_FEATURES, N_COMPONENTS, N_STEPS = 50, 10, 10
# Of one process, several at once and several together.
N_TURNS = 7
SIZES = [((128, 128), 1024), ((128, 128), 8192), ((512, 512), 8192)]
SIZE = "layers {hidden} | batch {batch}"
# Of the model: 10 Gbit/s, and 50 microseconds for a message.
BYTES_PER_SECOND, LATENCY = 1.25e9, 50e-6
N_RANKS = [2, 8, 64, 1000]
# How many times larger the larger batch is, and steps between two averages of weights.
LARGER, LOCAL_STEPS = 8, 16
# Of a process; with fewer rows, products cost more for each.
MIN_ROWS = 64
# One process works all the time, on one thread; several wait for each other.
IS_ALONE = int(os.environ.get("WORLD_SIZE", "1")) == 1
CLOCK = time.process_time if IS_ALONE else time.perf_counter


class Timed(Around):
    """A network that adds up the seconds it takes."""

    seconds = 0.0

    def vjp(self, weights, x, *, to_rows):
        start = CLOCK()
        output, from_inner = self.inner.vjp(weights, x, to_rows=to_rows)
        self.seconds += CLOCK() - start

        def pullback(to_output, gradients):
            start = CLOCK()
            to_x = from_inner(to_output, gradients)
            self.seconds += CLOCK() - start
            return to_x

        return output, pullback


class Step(NamedTuple):
    """What a step of one process takes, and what one of many processes receives."""

    batch_size: int
    seconds: float
    networks: float
    """Seconds of the networks, which are divided."""
    gathered: int
    """Bytes of latents and outputs."""
    summed: int
    """Bytes of gradients."""

    def larger(self):
        """The step with a larger batch."""
        batch_size, *each = (LARGER * value for value in self[:4])
        return Step(batch_size, *each, self.summed)

    def divided(self, n_ranks):
        """Seconds of a step by several processes.

        Three gathers and a sum in a ring: each passes its messages on n_ranks - 1
        times, the sum twice as often.
        """
        rest = self.seconds - self.networks
        n_bytes = self.gathered + self.summed
        return self.networks / n_ranks + rest + _sent(n_bytes, 5 * (n_ranks - 1))

    def local(self, n_ranks):
        """Seconds of a step by several processes with local SGD: all is divided."""
        averaged = _sent(self.summed, 2 * (n_ranks - 1))
        return self.seconds / n_ranks + averaged / LOCAL_STEPS

    def best(self, seconds):
        """The number of processes with the fastest step, and how much faster it is."""
        n_most = self.batch_size // MIN_ROWS
        n_ranks = min(range(1, n_most + 1), key=seconds)
        return f"{n_ranks}: {self.seconds / seconds(n_ranks):.1f}"


def fit_of(hidden, batch_size):
    """A fit of these layers that is about to start."""
    X = np.random.RandomState(0).normal(size=(2 * batch_size, N_FEATURES))
    vae = BalancedVAE(
        N_COMPONENTS,
        hidden_layer_sizes=hidden,
        batch_size=batch_size,
        balance="optimal_variance",
        random_state=0,
        device="cpu",
    )
    return Fit.fresh(vae, CheckedTable.of(vae, X, None), [1.0])


def timed(fit, stepper_class):
    """Median seconds of a step, and in it of the networks."""
    module, rows, plan = copy(fit.module), fit.prepared.rows, fit.plan
    module.encoder, module.decoder = Timed(module.encoder), Timed(module.decoder)
    stepper = stepper_class(module, fit.spec.policy, deepcopy(fit.state), rows, plan)
    generator = torch.Generator().manual_seed(0)
    seconds = []
    while len(seconds) < N_STEPS:
        for index, noise in steps_of(
            len(rows.x), plan, N_COMPONENTS, generator, rows.x
        ):
            before = module.encoder.seconds + module.decoder.seconds
            start = CLOCK()
            stepper(index, noise, 1e-3, 0.5)
            whole = CLOCK() - start
            networks = module.encoder.seconds + module.decoder.seconds - before
            seconds.append((whole, networks))
    return np.median(seconds, axis=0)


def step_of(fit):
    """A step of one process, with what it would send if it were one of many."""
    module, plan = fit.module, fit.plan
    n_outputs = module.likelihood.n_parameters(N_FEATURES)
    n_rows = plan.batch_size * plan.n_draws
    gathered = plan.batch_size * 2 * N_COMPONENTS + n_rows * (n_outputs + N_COMPONENTS)
    n_weights = sum(int(np.prod(shape)) for shape in module.shapes.values())
    size = fit.prepared.rows.x.element_size()
    seconds = timed(fit, Stepper)
    return Step(plan.batch_size, *seconds, size * gathered, size * 2 * n_weights)


def compared(fit):
    """Milliseconds of a step: alone, at once and divided; and two ratios of them.

    The three take turns, because a machine is not equally fast all the time.
    """
    is_first = distributed.get_rank() == 0
    found = []
    for _ in range(N_TURNS):
        alone = timed(fit, Stepper)[0] if is_first else 0.0
        distributed.barrier()
        at_once = timed(fit, Stepper)[0]
        distributed.barrier()
        found.append((alone, at_once, timed(fit, DividedStepper)[0]))
    alone, at_once, divided = 1e3 * np.median(found, axis=0)
    return {
        "alone": alone,
        "at_once": at_once,
        "divided": divided,
        "speed_up": alone / divided,
        "possible": distributed.get_world_size() * alone / at_once,
    }


def _sent(n_bytes, n_messages):
    return n_bytes / BYTES_PER_SECOND + n_messages * LATENCY


def modelled():
    """Print a step of one process, and what the model makes of it."""
    found = []
    for hidden, batch_size in SIZES:
        step = step_of(fit_of(hidden, batch_size))
        larger = step.larger()
        row = {
            **_size(hidden, batch_size),
            "step": 1e3 * step.seconds,
            "networks": step.networks / step.seconds,
            "mb": (step.gathered + step.summed) / 1e6,
            "same": step.best(step.divided),
            "larger": larger.best(larger.divided),
            "local": step.best(step.local),
        }
        row |= {f"n{n}": step.seconds / step.divided(n) for n in N_RANKS}
        found.append(row)
    columns = f"{SIZE} | ms a step {{step:.1f}} | networks {{networks:.0%}} | "
    columns += "MB a step {mb:.1f} | " + " | ".join(
        f"×{n} {{n{n}:.1f}}" for n in N_RANKS
    )
    print(table(columns, found), end="\n\n")
    columns = f"{SIZE} | same batch {{same}} | {LARGER} times the batch {{larger}}"
    print(table(f"{columns} | local SGD {{local}}", found))


def measured():
    """Print a step of one process beside that of several."""
    distributed.init_process_group("gloo")
    with training.together():
        found = [_size(*size) | compared(fit_of(*size)) for size in SIZES]
    if distributed.get_rank() == 0:
        columns = f"{SIZE} | ms alone {{alone:.1f}} | all at once {{at_once:.1f}} | "
        columns += "divided {divided:.1f} | speed-up {speed_up:.2f} | "
        columns += "without messages {possible:.2f}"
        print(table(columns, found))
    distributed.destroy_process_group()


def _size(hidden, batch_size):
    return {"hidden": "-".join(map(str, hidden)), "batch": batch_size}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    if IS_ALONE:
        modelled()
    else:
        measured()
