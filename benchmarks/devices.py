"""A training step on every device, and in every precision, that this machine has.

    python -m benchmarks.devices             # all devices that torch sees
    python -m benchmarks.devices cuda:0      # one of them, beside the CPU
    python -m benchmarks.devices --layers 4096-4096 --batch 8192    # of another size

A step is the time by which more epochs lengthen a training. All of one size take turns,
because a machine is not equally fast all the time. The last columns compare it with the
CPU, and with the same device, in float32: 2 is twice as fast.
"""

import argparse
import warnings

import numpy as np
import torch
from sklearn.base import clone

from benchmarks.common.benchmark import widths
from benchmarks.common.clocks import take_turns
from benchmarks.common.markdown import environment_line, table
from benchmarks.common.records import environment
from skvae import BalancedVAE
from skvae.fit._fit import Fit
from skvae.fit._table import CheckedTable
from skvae.model._device import devices_here

N_FEATURES, N_EPOCHS, N_TURNS = 50, 1, 3
SIZES = [("128-128", 256), ("128-128", 8192), ("512-512", 8192)]
PRECISIONS = ["float32", "bfloat16", "tf32"]
REFERENCE = ("cpu", "float32")


def vae_of(hidden, batch_size, device, precision):
    """An estimator that is trained for one epoch."""
    return BalancedVAE(
        hidden_layer_sizes=widths(hidden),
        batch_size=batch_size,
        max_iter=1,
        early_stopping=False,
        device=device,
        precision=precision,
        random_state=0,
    )


def training_of(vae):
    """A function that trains and evaluates nothing, and its number of steps."""
    X = np.random.default_rng(0).standard_normal((vae.batch_size, N_FEATURES))
    table = CheckedTable.of(vae, X.astype(np.float32), None)
    plan = Fit.fresh(vae, table, [1.0]).plan

    def train():
        Fit.fresh(vae, table, [1.0]).outcome(None)
        torch.get_device_module(vae.device).synchronize()

    return train, plan.n_epochs * plan.steps_per_epoch


def cases_of(devices):
    """Devices with their precisions, and the reference first."""
    found = []
    for device in dict.fromkeys([REFERENCE[0], *devices]):
        for precision in PRECISIONS:
            try:
                training_of(vae_of("8", 8, device, precision))
            except ValueError as reason:
                print(f"{device}, {precision}: {reason}\n")
            else:
                found.append((device, precision))
    return found


def steps(hidden, batch_size, cases):
    """Seconds of a step of each device and precision, an array over turns."""
    jobs, n_steps = {}, {}
    for case in cases:
        vae = vae_of(hidden, batch_size, *case)
        for n_epochs in (1, 1 + N_EPOCHS):
            each = training_of(clone(vae).set_params(max_iter=n_epochs))
            jobs[case, n_epochs], n_steps[case, n_epochs] = each
        # The first one warms up.
        jobs[case, 1]()
    spent = take_turns(jobs, N_TURNS)
    found = {}
    for case in cases:
        short, long = (case, 1), (case, 1 + N_EPOCHS)
        n_more = n_steps[long] - n_steps[short]
        found[case] = (spent[long] - spent[short]) / n_more
    return found


def rows_of(hidden, batch_size, cases):
    """Lines of the table: a step, and how many times as fast as a reference it is."""
    spent = steps(hidden, batch_size, cases)
    for (device, precision), seconds in spent.items():
        yield {
            "hidden": hidden,
            "batch": batch_size,
            "device": device,
            "precision": precision,
            # A time on a CPU is one of its load.
            "time": None if device == "cpu" else 1e6 * float(np.median(seconds)),
            "to_cpu": float(np.median(spent[REFERENCE] / seconds)),
            "to_float32": float(np.median(spent[device, "float32"] / seconds)),
        }


def described(device):
    """An accelerator as its maker calls it, where torch tells it; threads of a CPU."""
    module = torch.get_device_module(device)
    if hasattr(module, "get_device_name"):
        return f"{device}: {module.get_device_name(device)}"
    return f"{device}: torch.get_num_threads() = {torch.get_num_threads()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("device", nargs="*", help="by default all that torch sees")
    parser.add_argument("--layers", help="hidden layers, in place of three sizes")
    parser.add_argument("--batch", type=int, default=8192, help="their batch size")
    args = parser.parse_args()
    devices = args.device or devices_here()
    sizes = [(args.layers, args.batch)] if args.layers else SIZES
    cases = cases_of(devices)
    found = [row for size in sizes for row in rows_of(*size, cases)]
    print(environment_line(environment()))
    for device in devices:
        print(described(device))
    columns = "layers {hidden} | batch {batch} | device {device} | "
    columns += "precision {precision} | µs a step {time:,.0f} | "
    columns += "× CPU float32 {to_cpu:.2f} | × float32 {to_float32:.2f}"
    print("", table(columns, found), sep="\n")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
