"""Time a training step against the bare matrix products that it needs.

    make bench

The products are those of the same step: forward, gradients of the weights and gradients
of the inputs, as `torch.mm` into memory that is there. One thread; each ratio is the
median over repetitions that take turns, so that both see the same machine.
"""

import argparse
import itertools
import platform
import statistics
import time

import numpy as np
import torch

from skvae import __version__, training
from skvae._module import Module
from skvae.balance import LearnedVariance, Sizes
from skvae.divergences import KL
from skvae.likelihoods import Gaussian
from skvae.networks import MLP

N_ROWS, N_COMPONENTS = 16_384, 8


def make_step(n_features, hidden, batch_size, n_steps):
    """Return a function that trains for `n_steps` steps."""
    module = Module(MLP(hidden), Gaussian(), KL(), n_features, N_COMPONENTS)
    ones = torch.ones(n_features)
    policy = LearnedVariance()
    sizes = Sizes(1, n_features, N_COMPONENTS, ones[:1], ones)
    state = training.init(module, policy, sizes, torch.ones(1), 1e-6 * ones, seed=0)
    x = torch.randn(N_ROWS, n_features)
    rows = training.Rows(x, torch.full((N_ROWS,), 1.0 / N_ROWS))
    plan = training.Plan(
        n_epochs=1,
        n_planned_epochs=1,
        steps_per_epoch=n_steps,
        batch_size=batch_size,
        n_draws=1,
        schedule="constant",
        learning_rate=1e-3,
        weight_decay=0.0,
        patience=None,
        tolerance=0.0,
    )
    return lambda: training.train(module, policy, state, rows, None, None, plan, None)


def make_products(n_features, hidden, batch_size, n_steps):
    """Return a function that multiplies the matrices of `n_steps` steps."""
    encoder = [n_features, *hidden, 2 * N_COMPONENTS]
    decoder = [N_COMPONENTS, *reversed(hidden), n_features]
    products = []
    for widths in (encoder, decoder):
        for i, (n_in, n_out) in enumerate(itertools.pairwise(widths)):
            x, w = torch.randn(batch_size, n_in), torch.randn(n_in, n_out)
            y = torch.randn(batch_size, n_out)
            products.append((x, w, torch.empty_like(y)))
            products.append((x.T, y, torch.empty_like(w)))
            # Nobody asks for the gradient of the rows themselves.
            if widths is decoder or i > 0:
                products.append((y, w.T, torch.empty_like(x)))

    def run():
        for _ in range(n_steps):
            for left, right, out in products:
                torch.mm(left, right, out=out)

    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100)
    args = parser.parse_args()

    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(
        f"skvae {__version__}, torch {torch.__version__}, numpy {np.__version__}, "
        f"Python {platform.python_version()}, {platform.machine()}, one thread\n"
    )
    print("| columns | hidden | batch | step / products |")
    print("| ---: | ---: | ---: | ---: |")
    for n_features in (8, 30, 128):
        for hidden in ((64, 64), (128, 128), (256, 256)):
            for batch_size in (64, 256, 1024):
                case = (n_features, hidden, batch_size, args.steps)
                runs = make_step(*case), make_products(*case)
                ratios = []
                for _ in range(args.repetitions + 1):
                    spent = []
                    for run in runs:
                        start = time.perf_counter()
                        run()
                        spent.append(time.perf_counter() - start)
                    ratios.append(spent[0] / spent[1])
                # The first turn warms up.
                ratio = statistics.median(ratios[1:])
                widths = "-".join(map(str, hidden))
                print(f"| {n_features} | {widths} | {batch_size} | {ratio:.1f} |")


if __name__ == "__main__":
    main()
