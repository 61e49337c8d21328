"""The variational autoencoder that a tutorial has one write, in plain PyTorch."""

import itertools
import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset


class Output(NamedTuple):
    """What a forward pass gives for a batch of rows."""

    decoded: Tensor
    mean: Tensor
    log_variance: Tensor
    log_noise: Tensor


def stack(widths):
    """Linear layers of these widths, with ReLU between them."""
    layers = []
    for n_in, n_out in itertools.pairwise(widths):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class VAE(nn.Module):
    """MLP encoder and decoder, and a decoder variance that all columns share."""

    def __init__(self, n_features, n_components, hidden):
        super().__init__()
        self.encoder = stack([n_features, *hidden, 2 * n_components])
        self.decoder = stack([n_components, *reversed(hidden), n_features])
        self.log_noise = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        mean, log_variance = self.encoder(x).chunk(2, dim=-1)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        return Output(self.decoder(z), mean, log_variance, self.log_noise)


class NegativeElbo(nn.Module):
    """Distortion plus rate, means over rows, in nats."""

    def forward(self, output, x):
        nats = output.log_noise + (x - output.decoded) ** 2 / output.log_noise.exp()
        distortion = 0.5 * (math.log(2 * math.pi) + nats).sum(dim=1).mean()
        return distortion + kl(output.mean, output.log_variance).mean()


def kl(mean, log_variance):
    """Rate of each row, in nats."""
    return 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(dim=1)


class Loop:
    """The training loop: a shuffling DataLoader, autograd, Adam."""

    def __init__(self, x, n_components, hidden, batch_size, learning_rate=1e-3):
        self.model = VAE(x.shape[1], n_components, hidden)
        self.loss = NegativeElbo()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=learning_rate)
        self.loader = DataLoader(TensorDataset(x), batch_size, shuffle=True)

    def epoch(self):
        """Visit each row once; return the mean loss."""
        total = 0.0
        for (x,) in self.loader:
            self.optimizer.zero_grad()
            loss = self.loss(self.model(x), x)
            loss.backward()
            self.optimizer.step()
            total += loss.item()
        return total / len(self.loader)
