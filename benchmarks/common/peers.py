"""The same autoencoder, trained by different packages.

Each function takes rows in float32, the widths of the hidden layers and the batch size,
and returns a function that trains for one pass over the rows with Adam. Building,
validation, progress bars and log lines are not in the pass. All have the same widths
and N_COMPONENTS latents. The peers have ReLU, which is cheaper than the SiLU of skvae,
and neither dropout nor batch normalisation. They come with the extra `bench`.
"""

import itertools
import math
import tempfile
from functools import partial

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.common.internals import training_pass
from skvae.networks import MLP

N_COMPONENTS = 8
LEARNING_RATE = 1e-3
N_CHUNK = 2000


def stack(widths):
    """Linear layers of these widths, with ReLU between them."""
    layers = []
    for n_in, n_out in itertools.pairwise(widths):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class VAE(nn.Module):
    """The VAE of a tutorial: MLPs, and a decoder variance that all columns share."""

    def __init__(self, n_features, n_components, hidden):
        super().__init__()
        self.encoder = stack([n_features, *hidden, 2 * n_components])
        self.decoder = stack([n_components, *reversed(hidden), n_features])
        self.log_noise = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        mean, log_variance = self.encoder(x).chunk(2, dim=-1)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        return self.decoder(z), mean, log_variance, self.log_noise


class NegativeElbo(nn.Module):
    """Distortion plus rate, means over rows, in nats."""

    def forward(self, output, x):
        decoded, mean, log_variance, log_noise = output
        nats = log_noise + (x - decoded) ** 2 / log_noise.exp()
        distortion = 0.5 * (math.log(2 * math.pi) + nats).sum(dim=1).mean()
        return distortion + kl(mean, log_variance).mean()


def kl(mean, log_variance):
    """Rate of each row, in nats."""
    return 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(dim=1)


def tutorial(x, n_components, hidden, batch_size):
    """The VAE of a tutorial and an epoch of its loop: DataLoader, autograd, Adam."""
    model, negative_elbo = VAE(x.shape[1], n_components, hidden), NegativeElbo()
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    loader = DataLoader(TensorDataset(x), batch_size, shuffle=True)

    def epoch():
        total = 0.0
        for (batch,) in loader:
            optimizer.zero_grad()
            loss = negative_elbo(model(batch), batch)
            loss.backward()
            optimizer.step()
            total += loss.item()
        return total / len(loader)

    return model, epoch


def products(x, hidden, batch_size):
    """The matrix products of the same steps, into allocated memory: a lower bound.

    Forward, gradients of the weights and gradients of the inputs.
    """
    encoder = [x.shape[1], *hidden, 2 * N_COMPONENTS]
    decoder = [N_COMPONENTS, *reversed(hidden), x.shape[1]]
    triples = []
    for n_in, n_out in [*itertools.pairwise(encoder), *itertools.pairwise(decoder)]:
        rows, w = torch.randn(batch_size, n_in), torch.randn(n_in, n_out)
        y = torch.randn(batch_size, n_out)
        triples.append((rows, w, torch.empty_like(y)))
        triples.append((rows.T, y, torch.empty_like(w)))
        triples.append((y, w.T, torch.empty_like(rows)))
    # The rows of the table need no gradient.
    del triples[2]
    return repeated(triples, len(x) // batch_size)


def forward_products(n_rows, passes):
    """The products of forward passes over all rows, in chunks that fit the caches."""
    triples = []
    for n_in, n_out in itertools.chain(*map(itertools.pairwise, passes)):
        rows, w = torch.randn(N_CHUNK, n_in), torch.randn(n_in, n_out)
        triples.append((rows, w, torch.empty(N_CHUNK, n_out)))
    return repeated(triples, n_rows // N_CHUNK)


def repeated(triples, n_times):
    """A function that computes products, each of a left, a right and a result."""

    def run():
        for _ in range(n_times):
            for left, right, out in triples:
                torch.mm(left, right, out=out)

    return run


def skvae(x, hidden, batch_size, n_replicas=1):
    """A pass of skvae."""
    return training_pass(
        x, MLP(hidden), batch_size, N_COMPONENTS, LEARNING_RATE, n_replicas
    )


def tutorial_loop(x, hidden, batch_size):
    return tutorial(torch.from_numpy(x), N_COMPONENTS, hidden, batch_size)[1]


def pythae(x, hidden, batch_size):
    """An epoch of the trainer of pythae, without its progress bar."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig
    from pythae.trainers.training_callbacks import ProgressBarCallback

    class Encoder(BaseEncoder):
        def forward(self, x):
            mean, log_variance = self.layers(x).chunk(2, dim=-1)
            return ModelOutput(embedding=mean, log_covariance=log_variance)

    class Decoder(BaseDecoder):
        def forward(self, z):
            return ModelOutput(reconstruction=self.layers(z))

    n_features, encoder, decoder = x.shape[1], Encoder(), Decoder()
    encoder.layers = stack([n_features, *hidden, 2 * N_COMPONENTS])
    decoder.layers = stack([N_COMPONENTS, *reversed(hidden), n_features])
    config = VAEConfig(input_dim=(n_features,), latent_dim=N_COMPONENTS)
    rows = torch.from_numpy(x)
    with tempfile.TemporaryDirectory() as folder:
        trainer = BaseTrainer(
            VAE(config, encoder, decoder),
            BaseDataset(rows, torch.zeros(len(rows))),
            training_config=BaseTrainerConfig(
                output_dir=folder,
                per_device_train_batch_size=batch_size,
                learning_rate=LEARNING_RATE,
                no_cuda=True,
            ),
        )
        trainer.prepare_training()
    handler = trainer.callback_handler
    handler.callbacks = [
        each for each in handler.callbacks if not isinstance(each, ProgressBarCallback)
    ]
    return lambda: trainer.train_step(1)


def pyod(x, hidden, batch_size):
    """An epoch of the VAE of PyOD."""
    from pyod.models.vae import VAE
    from pyod.utils.torch_utility import TorchDataset

    detector = VAE(
        preprocessing=False,
        lr=LEARNING_RATE,
        epoch_num=1,
        batch_size=batch_size,
        optimizer_params={},
        encoder_neuron_list=list(hidden),
        decoder_neuron_list=list(reversed(hidden)),
        latent_dim=N_COMPONENTS,
        dropout_rate=0.0,
        device="cpu",
        verbose=0,
    )
    detector.data_num, detector.feature_size = x.shape
    detector.build_model()
    detector.training_prepare()
    # As its `fit` builds it.
    loader = DataLoader(TorchDataset(x), batch_size, shuffle=True, drop_last=True)
    return lambda: detector.train(loader)


def skorch(x, hidden, batch_size):
    """The module and loss of the tutorial in a net of skorch."""
    from skorch import NeuralNet

    net = NeuralNet(
        VAE,
        NegativeElbo,
        module__n_features=x.shape[1],
        module__n_components=N_COMPONENTS,
        module__hidden=hidden,
        optimizer=torch.optim.Adam,
        lr=LEARNING_RATE,
        batch_size=batch_size,
        max_epochs=1,
        iterator_train__shuffle=True,
        train_split=None,
        callbacks__print_log=None,
        verbose=0,
    ).initialize()
    return lambda: net.partial_fit(x, x)


def mlp_regressor(x, hidden, batch_size):
    """MLPRegressor of scikit-learn from x to x: no noise, half the code's width."""
    from sklearn.neural_network import MLPRegressor

    mlp = MLPRegressor(
        hidden_layer_sizes=(*hidden, N_COMPONENTS, *reversed(hidden)),
        batch_size=batch_size,
        learning_rate_init=LEARNING_RATE,
        alpha=0.0,
        random_state=0,
    )
    return lambda: mlp.partial_fit(x, x)


PRODUCTS = "matrix products"
N_REPLICAS = 16
REPLICAS = f"skvae, {N_REPLICAS} replicas"
# Timed over fewer rows where an epoch takes long.
PEERS = {
    "DataLoader loop": tutorial_loop,
    "pythae": pythae,
    "PyOD": pyod,
    "skorch": skorch,
    "MLPRegressor": mlp_regressor,
}
# Several models in one run of skvae; its time is divided by their number.
replicas = partial(skvae, n_replicas=N_REPLICAS)
CONTENDERS = {PRODUCTS: products, "skvae": skvae, REPLICAS: replicas, **PEERS}
