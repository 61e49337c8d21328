"""Who is timed by `step.py`: the same autoencoder, trained by different packages.

Each function takes rows in float32, the widths of the hidden layers and the batch size,
and returns a function that trains for one pass over the rows with Adam. Only the pass
is timed: building, checking and judging on held-out rows are not in it, and neither are
progress bars and log lines. All have the same widths and N_COMPONENTS latents. The
peers have ReLU, which is cheaper than the SiLU of skvae, and neither dropout nor batch
normalisation.
"""

import itertools
import tempfile

import torch

N_COMPONENTS = 8
LEARNING_RATE = 1e-3


def floor_epoch(x, hidden, batch_size):
    """The floor: the matrix products of the same steps, into memory that is there.

    Forward, gradients of the weights and gradients of the inputs.
    """
    n_features = x.shape[1]
    encoder = [n_features, *hidden, 2 * N_COMPONENTS]
    decoder = [N_COMPONENTS, *reversed(hidden), n_features]
    triples = []
    for widths in (encoder, decoder):
        for i, (n_in, n_out) in enumerate(itertools.pairwise(widths)):
            rows, w = torch.randn(batch_size, n_in), torch.randn(n_in, n_out)
            y = torch.randn(batch_size, n_out)
            triples.append((rows, w, torch.empty_like(y)))
            triples.append((rows.T, y, torch.empty_like(w)))
            # Nobody asks for the gradient of the rows themselves.
            if widths is decoder or i > 0:
                triples.append((y, w.T, torch.empty_like(rows)))

    def run():
        for _ in range(len(x) // batch_size):
            for left, right, out in triples:
                torch.mm(left, right, out=out)

    return run


def skvae_epoch(x, hidden, batch_size, n_replicas=1):
    """The training loop of the package, with a variance that is trained."""
    from skvae import training
    from skvae._module import Module
    from skvae.balance import RunningAverage, Sizes
    from skvae.divergences import KL
    from skvae.likelihoods import Gaussian
    from skvae.networks import MLP

    n_rows, n_features = x.shape
    module = Module(MLP(hidden), Gaussian(), KL(), n_features, N_COMPONENTS)
    policy, ones = RunningAverage(scope="feature"), torch.ones(n_features)
    sizes = Sizes(n_replicas, n_features, N_COMPONENTS, ones[:1], ones)
    state = training.init(
        module, policy, sizes, torch.ones(n_replicas), 1e-6 * ones, seed=0
    )
    rows = training.Rows(torch.from_numpy(x), torch.full((n_rows,), 1.0 / n_rows))
    plan = training.Plan(
        n_epochs=1,
        n_planned_epochs=1,
        steps_per_epoch=n_rows // batch_size,
        batch_size=batch_size,
        n_draws=1,
        schedule="constant",
        learning_rate=LEARNING_RATE,
        weight_decay=0.0,
        patience=None,
        tolerance=0.0,
    )
    task = training.Task(state, rows)
    return lambda: training.train(module, policy, [task], plan, None)


def replicas_epoch(x, hidden, batch_size):
    """R models side by side; what is timed is divided by R."""
    return skvae_epoch(x, hidden, batch_size, N_REPLICAS)


def loop_epoch(x, hidden, batch_size):
    """The loop of a PyTorch tutorial."""
    from benchmarks.common.textbook import Loop

    loop = Loop(torch.from_numpy(x), N_COMPONENTS, hidden, batch_size, LEARNING_RATE)
    return loop.epoch


def pythae_epoch(x, hidden, batch_size):
    """An epoch of pythae's trainer, with its progress bar taken off."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig
    from pythae.trainers.training_callbacks import ProgressBarCallback

    from benchmarks.common.textbook import stack

    n_features = x.shape[1]

    class Encoder(BaseEncoder):
        def __init__(self):
            super().__init__()
            self.layers = stack([n_features, *hidden, 2 * N_COMPONENTS])

        def forward(self, x):
            mean, log_variance = self.layers(x).chunk(2, dim=-1)
            return ModelOutput(embedding=mean, log_covariance=log_variance)

    class Decoder(BaseDecoder):
        def __init__(self):
            super().__init__()
            self.layers = stack([N_COMPONENTS, *reversed(hidden), n_features])

        def forward(self, z):
            return ModelOutput(reconstruction=self.layers(z))

    config = VAEConfig(input_dim=(n_features,), latent_dim=N_COMPONENTS)
    rows = torch.from_numpy(x)
    with tempfile.TemporaryDirectory() as folder:
        trainer = BaseTrainer(
            VAE(config, Encoder(), Decoder()),
            BaseDataset(rows, torch.zeros(len(rows))),
            training_config=BaseTrainerConfig(
                output_dir=folder,
                per_device_train_batch_size=batch_size,
                learning_rate=LEARNING_RATE,
                no_cuda=True,
            ),
        )
        trainer.prepare_training()
    callbacks = trainer.callback_handler
    callbacks.callbacks = [
        callback
        for callback in callbacks.callbacks
        if not isinstance(callback, ProgressBarCallback)
    ]
    return lambda: trainer.train_step(1)


def pyod_epoch(x, hidden, batch_size):
    """An epoch of PyOD's VAE."""
    from pyod.models.vae import VAE
    from pyod.utils.torch_utility import TorchDataset
    from torch.utils.data import DataLoader

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


def skorch_epoch(x, hidden, batch_size):
    """The module and loss of the textbook loop in a skorch net."""
    from skorch import NeuralNet

    from benchmarks.common.textbook import VAE, NegativeElbo

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


def mlp_epoch(x, hidden, batch_size):
    """scikit-learn's MLPRegressor from x to x; it has no noise and one code, no two."""
    from sklearn.neural_network import MLPRegressor

    mlp = MLPRegressor(
        hidden_layer_sizes=(*hidden, N_COMPONENTS, *reversed(hidden)),
        batch_size=batch_size,
        learning_rate_init=LEARNING_RATE,
        alpha=0.0,
        random_state=0,
    )
    return lambda: mlp.partial_fit(x, x)


FLOOR = "matrix products"
N_REPLICAS = 16
REPLICAS = f"skvae, {N_REPLICAS} replicas"

CONTENDERS = {
    FLOOR: floor_epoch,
    "skvae": skvae_epoch,
    REPLICAS: replicas_epoch,
    "DataLoader loop": loop_epoch,
    "pythae": pythae_epoch,
    "PyOD": pyod_epoch,
    "skorch": skorch_epoch,
    "MLPRegressor": mlp_epoch,
}

# These are timed over fewer rows where an epoch takes long.
PEERS = ("DataLoader loop", "pythae", "PyOD", "skorch", "MLPRegressor")


def build(name, x, hidden, batch_size):
    """Build a contender and let it warm up; its run, or why it does not run."""
    try:
        run = CONTENDERS[name](x, hidden, batch_size)
        run()
    except ImportError as reason:
        return None, f"not installed: {reason}"
    except Exception as reason:
        # The others still run, and the page says what became of this one.
        return None, f"{type(reason).__name__}: {reason}"
    return run, None
