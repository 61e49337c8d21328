"""One fit by several processes: milliseconds of a step, and a model of many.

    python -m benchmarks.processes                                      # one process
    torchrun --standalone --nproc_per_node 2 -m benchmarks.processes    # two

A step is timed on this machine, and in it the networks, which are divided. What goes
over the network is counted. From both follows the time of a step by more processes.
"""

import os
import time
import warnings
from copy import copy

import numpy as np
import torch
from torch import distributed

from benchmarks.common.markdown import table
from skvae import BalancedVAE
from skvae.fit._fit import Fit
from skvae.fit._table import CheckedTable
from skvae.networks._base import Function
from skvae.training._divided import DividedStepper
from skvae.training._plan import steps_of
from skvae.training._ranks import Ranks
from skvae.training._stepper import Stepper

N_FEATURES, N_COMPONENTS, N_STEPS = 50, 10, 5
SIZES = [((128, 128), 1024), ((128, 128), 8192), ((512, 512), 8192)]
# Of the model: 10 Gbit/s, and 50 microseconds for a message.
BYTES_PER_SECOND, LATENCY = 1.25e9, 50e-6
N_RANKS = [2, 8, 64, 1000]
# One process works all the time, on one thread; several wait for each other.
IS_ALONE = int(os.environ.get("WORLD_SIZE", "1")) == 1
CLOCK = time.process_time if IS_ALONE else time.perf_counter


class Timed(Function):
    """A network that adds up the seconds it takes."""

    def __init__(self, function):
        self.function, self.seconds = function, 0.0
        self.shapes, self.uses_autograd = function.shapes, function.uses_autograd

    def vjp(self, weights, x, *, to_rows):
        start = CLOCK()
        output, inner = self.function.vjp(weights, x, to_rows=to_rows)
        self.seconds += CLOCK() - start

        def pullback(to_output, gradients):
            start = CLOCK()
            to_x = inner(to_output, gradients)
            self.seconds += CLOCK() - start
            return to_x

        return output, pullback


def measured(hidden, batch_size):
    """Seconds of a step and of its networks, and bytes that a process receives."""
    X = np.random.RandomState(0).normal(size=(2 * batch_size, N_FEATURES))
    vae = BalancedVAE(
        N_COMPONENTS,
        hidden_layer_sizes=hidden,
        batch_size=batch_size,
        balance="optimal_variance",
        random_state=0,
        device="cpu",
    )
    fit = Fit.fresh(vae, CheckedTable.of(vae, X, None), [1.0])
    module, rows, plan = copy(fit.module), fit.prepared.rows, fit.plan
    module.encoder, module.decoder = Timed(module.encoder), Timed(module.decoder)
    steps = Stepper if Ranks.of_group() is None else DividedStepper
    stepper = steps(module, fit.spec.policy, fit.state, rows, plan)
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
    n_outputs = module.likelihood.n_parameters(N_FEATURES)
    n_rows = plan.batch_size * plan.n_draws
    gathered = plan.batch_size * 2 * N_COMPONENTS + n_rows * (n_outputs + N_COMPONENTS)
    n_weights = sum(int(np.prod(shape)) for shape in module.shapes.values())
    n_bytes = rows.x.element_size() * (gathered + 2 * n_weights)
    return (*np.median(seconds, axis=0), n_bytes)


def modelled(step, networks, n_bytes, n_ranks):
    """Seconds of a step by several processes.

    Three gathers and a sum in a ring: each passes its messages on n_ranks - 1 times,
    the sum twice as often.
    """
    messages = 5 * (n_ranks - 1) * LATENCY
    return networks / n_ranks + step - networks + n_bytes / BYTES_PER_SECOND + messages


def main():
    torch.set_num_threads(1)
    if not IS_ALONE:
        distributed.init_process_group("gloo")
    found = []
    for hidden, batch_size in SIZES:
        step, networks, n_bytes = measured(hidden, batch_size)
        row = {"hidden": "-".join(map(str, hidden)), "batch": batch_size}
        row |= {"step": 1e3 * step, "networks": networks / step, "mb": n_bytes / 1e6}
        for n in N_RANKS:
            row[f"n{n}"] = step / modelled(step, networks, n_bytes, n)
        found.append(row)
    if not IS_ALONE:
        is_first = distributed.get_rank() == 0
        distributed.destroy_process_group()
        if is_first:
            print(table("layers {hidden} | batch {batch} | ms {step:.1f}", found))
        return
    columns = "layers {hidden} | batch {batch} | ms a step {step:.1f} | networks "
    columns += "{networks:.0%} | MB a step {mb:.1f} | "
    columns += " | ".join(f"×{n} {{n{n}:.1f}}" for n in N_RANKS)
    print(table(columns, found))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
