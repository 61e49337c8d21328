"""Networks: encoders from rows to posteriors, decoders to likelihood parameters."""

from skvae.networks._activations import ACTIVATIONS
from skvae.networks._base import Function, Network
from skvae.networks._conv_net import ConvNet
from skvae.networks._inputs import Inputs
from skvae.networks._mlp import MLP
from skvae.networks._torch_network import TorchNetwork

NETWORKS: dict[str, type[Network]] = {"mlp": MLP}

__all__ = [
    "ACTIVATIONS",
    "MLP",
    "NETWORKS",
    "ConvNet",
    "Function",
    "Inputs",
    "Network",
    "TorchNetwork",
]
