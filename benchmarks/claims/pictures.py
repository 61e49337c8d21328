"""A training step of `ConvNet` against a plain loop over its layers: `pages/speed.md`.

All take turns on one thread, so that the ratios of a turn belong to the same state of
the machine.
"""

import math

import numpy as np
import pandas as pd
import torch

from benchmarks.common.benchmark import Benchmark, product
from benchmarks.common.clocks import take_turns
from benchmarks.common.internals import modules_of, training_pass
from benchmarks.common.markdown import goal, table
from benchmarks.common.peers import LEARNING_RATE, N_COMPONENTS, NegativeElbo
from skvae.networks import ConvNet, TorchNetwork

SETTINGS = {
    "turns": 5,
    "n_steps": 16,
    "sides": [8, 28, 64],
    "channels": ["16-32"],
    "batch": [128],
}
QUICK = {"turns": 1, "n_steps": 2, "sides": [8]}
PLAIN, OURS, OWN, TOGETHER = "plain loop", "ConvNet", "TorchNetwork", "4 models"
N_REPLICAS = 4
# Of the plain loop's time, at the side that the goal names.
MAX_RATIO, GOAL_SIDE = 1.1, 28


def plain_pass(x, network, batch_size):
    """A pass over rows of a loop that is written by hand for two modules."""
    rows = torch.from_numpy(x)
    encoder, decoder = modules_of(network, x.shape[1], N_COMPONENTS)
    offset, log_noise = torch.zeros(x.shape[1]), torch.zeros(())
    own = [offset.requires_grad_(), log_noise.requires_grad_()]
    weights = [*encoder.parameters(), *decoder.parameters(), *own]
    optimizer = torch.optim.Adam(weights, lr=LEARNING_RATE)
    negative_elbo = NegativeElbo()

    def one_pass():
        for batch in torch.randperm(len(rows)).split(batch_size):
            pixels = rows[batch]
            optimizer.zero_grad()
            mean, log_variance = encoder(pixels).chunk(2, dim=-1)
            z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
            decoded = decoder(z) + offset
            negative_elbo((decoded, mean, log_variance, log_noise), pixels).backward()
            optimizer.step()

    return one_pass


def own_network(network, n_features):
    """The layers of a network as a user's own modules."""
    encoder, decoder = modules_of(network, n_features, N_COMPONENTS)
    return TorchNetwork(lambda *_: encoder, lambda *_: decoder)


def keys(settings):
    names = {"side": "sides", "channels": "channels", "batch": "batch"}
    return product(**{name: settings[setting] for name, setting in names.items()})


def measure(settings, side, channels, batch):
    """Milliseconds a step and model of each contender, and ratios to the plain loop."""
    torch.manual_seed(0)
    shape = settings["n_steps"] * batch, side * side
    x = np.random.default_rng(0).random(shape, dtype=np.float32)
    network = ConvNet((1, side, side), tuple(map(int, channels.split("-"))))

    def ours(network, n_replicas=1):
        args = batch, N_COMPONENTS, LEARNING_RATE, n_replicas
        return training_pass(x, network, *args)

    passes = {
        PLAIN: plain_pass(x, network, batch),
        OURS: ours(network),
        OWN: ours(own_network(network, x.shape[1])),
        TOGETHER: ours(network, N_REPLICAS),
    }
    for one_pass in passes.values():
        # The first pass warms up.
        one_pass()
    spent = take_turns(passes, settings["turns"])
    spent[TOGETHER] = spent[TOGETHER] / N_REPLICAS
    ratios = {name: np.median(spent[name] / spent[PLAIN]) for name in (OURS, OWN)}
    ratios[TOGETHER] = np.median(spent[TOGETHER] / spent[OURS])
    milliseconds = 1e3 * np.median(spent[PLAIN]) / settings["n_steps"]
    return {
        "milliseconds": round(float(milliseconds), 2),
        "ratios": {name: round(float(ratio), 3) for name, ratio in ratios.items()},
    }


def slots(results):
    rows = pd.DataFrame({**run, **run["ratios"]} for run in results["runs"])
    columns = (
        "pictures {side} x {side} | channels {channels} | batch {batch} | "
        f"plain loop, ms {{milliseconds:.1f}} | ConvNet {{{OURS}:.2f}} | "
        f"TorchNetwork {{{OWN}:.2f}} | {N_REPLICAS} models, each {{{TOGETHER}:.2f}}"
    )
    parts = {
        "table": table(columns, rows),
        "n_components": str(N_COMPONENTS),
        "replicas": str(N_REPLICAS),
    }
    worst = rows.loc[rows["side"] == GOAL_SIDE, OURS].max()
    if not math.isnan(worst):
        text = f"A step of ConvNet takes {worst:.2f} of the same layers in a plain loop"
        parts["goals"] = goal(f"{text} (at most {MAX_RATIO})", worst <= MAX_RATIO)
    return parts


BENCHMARK = Benchmark("pictures", "speed", SETTINGS, QUICK, keys, measure, slots)

if __name__ == "__main__":
    BENCHMARK.main(__doc__)
