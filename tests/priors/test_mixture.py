"""The mixture prior: the choice of its size, exact cases, and its effect on models."""

import math
import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.model_selection import GridSearchCV, train_test_split

from skvae import BalancedVAE, BalancedVAECV, beta_path
from skvae.divergences import FullPosterior, Posterior
from skvae.model._evaluate import quadrature
from skvae.networks import MLP
from skvae.priors import HeldOut, Mixture, Normal, Prior

CANCER, WINE = load_breast_cancer().data, load_wine().data
SMALL = {"hidden_layer_sizes": (8,), "max_iter": 10, "tol": 1e3, "random_state": 0}


def small(prior="mixture", n_components=3, **params):
    return BalancedVAE(n_components, prior=prior, **{**SMALL, **params})


@pytest.fixture(scope="module")
def fitted():
    return small(precision="float64").fit(CANCER)


# --- The choice ----------------------------------------------------------------------


@pytest.mark.parametrize("n_held_out", [400, 0], ids=["held-out rows", "BIC"])
def test_clusters_are_found(make_latents, clusters, n_held_out):
    latents = make_latents(clusters, n_held_out=n_held_out)
    prior = Mixture().learn(latents)
    # More of them follow the clusters as well, and nothing but BIC speaks against it.
    assert prior.n_components_ >= 3
    assert n_held_out or prior.n_components_ == 3
    assert prior.weights_[-1] == 0.05
    assert_array_equal(prior.means_[-1], [0.0, 0.0])
    # That of the density that the latents come from.
    z = latents.z
    centers = np.array([[-2.0, 0.0], [1.0, 1.5], [1.0, -1.5]])
    log_density = np.log(
        [multivariate_normal(mean, 0.09).pdf(z) / 3.0 for mean in centers]
    )
    gains = logsumexp(log_density, axis=0) - norm.logpdf(z).sum(axis=1)
    assert prior.gain_ == pytest.approx(gains.mean(), abs=0.25)


@pytest.mark.parametrize("n_held_out", [400, 0], ids=["held-out rows", "BIC"])
def test_standard_normal_is_kept_where_latents_are_normal(
    make_latents, standard, n_held_out
):
    prior = Mixture().learn(make_latents(standard, n_held_out=n_held_out))
    assert (prior.n_components_, prior.gain_) == (0, 0.0)
    z = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(prior.log_prob(z), Normal().log_prob(z))


def test_held_out_rows_decide(make_latents, clusters, standard):
    latents = make_latents(clusters)
    z = standard(np.random.RandomState(1), 400)[None]
    held_out = HeldOut(z, np.full(400, 1 / 400))
    assert Mixture().learn(replace(latents, validation=held_out)).n_components_ == 0
    # A row of all the weight, and in a cluster: no error is known of one row.
    weight = np.zeros(400)
    weight[0] = 1.0
    z[:, 0] = [-2.0, 0.0]
    held_out = HeldOut(z, weight)
    assert Mixture().learn(replace(latents, validation=held_out)).n_components_ > 0


@pytest.mark.parametrize(("n_rows", "most"), [(2000, 16), (24, 3), (7, 0)])
def test_few_rows_get_few_components(make_latents, clusters, n_rows, most):
    latents = replace(make_latents(clusters), n_rows=n_rows)
    prior = Mixture().learn(latents)
    assert prior.n_components_ <= most
    assert (prior.n_components_ > 0) == (most > 0)


def test_number_that_is_asked_for_is_used(make_latents, standard):
    latents = replace(make_latents(standard), n_rows=2)
    prior = Mixture(7, normal_weight=0.0).learn(latents)
    assert prior.n_components_ == 7
    assert prior.gain_ < 0.0
    # Without the standard normal.
    assert prior.weights_.shape == (7,)
    only = Mixture(7, normal_weight=1.0).learn(latents)
    assert_array_equal(only.weights_, [1.0])


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e200])
def test_latents_of_a_diverged_training_leave_the_standard_normal(value):
    class Diverged:
        n_latents, n_rows = 2, 100

        def draw(self, n_draws):
            return np.full((n_draws, 2), value)

        def held_out(self):
            return None

    prior = Mixture(2).learn(Diverged())
    assert prior.n_components_ == 0
    assert_array_equal(prior.covariances_, np.eye(2)[None])


# --- Exact cases ---------------------------------------------------------------------


def posteriors(kind):
    generator = torch.Generator().manual_seed(0)
    mean, log_variance = torch.randn(
        2, 1, 9, 2, generator=generator, dtype=torch.float64
    )
    if kind is Posterior:
        return Posterior(mean, log_variance)
    return FullPosterior(mean, log_variance, 0.5 * mean[..., :1])


@pytest.mark.parametrize("kind", [Posterior, FullPosterior])
def test_rate_of_one_normal_is_the_closed_form(make_latents, clusters, kind):
    prior = Mixture(1, normal_weight=0.0).learn(make_latents(clusters))
    posterior = posteriors(kind)
    noise = torch.from_numpy(quadrature(2))[:, None]
    z = posterior.sample(noise[:, None]).transpose(0, 1)
    found = prior.rate(posterior, z, noise)[0].numpy()
    if kind is Posterior:
        covariance = posterior.log_variance.exp().diag_embed()[0].numpy()
    else:
        covariance = (posterior.factor @ posterior.factor.mT)[0].numpy()
    mean, other = posterior.mean[0].numpy() - prior.means_[0], prior.covariances_[0]
    inverse = np.linalg.inv(other)
    expected = 0.5 * (
        np.einsum("ij,nji->n", inverse, covariance)
        + np.einsum("ni,ij,nj->n", mean, inverse, mean)
        - 2.0
        + np.linalg.slogdet(other)[1]
        - np.linalg.slogdet(covariance)[1]
    )
    assert_allclose(found, expected, rtol=1e-10)


def test_weight_of_the_normal_bounds_the_rate(make_latents, clusters):
    prior = Mixture().learn(make_latents(clusters))
    posterior = posteriors(Posterior)
    far = Posterior(100.0 * posterior.mean, posterior.log_variance)
    noise = torch.from_numpy(quadrature(2))[:, None]
    z = far.sample(noise[:, None]).transpose(0, 1)
    most = far.kl().sum(dim=-1) + math.log(20.0)
    assert (prior.rate(far, z, noise) <= most + 1e-9).all()


# --- Fitted models -------------------------------------------------------------------


def test_training_is_the_same_and_only_p_of_z_differs(fitted):
    normal = clone(fitted).set_params(prior="normal").fit(CANCER)
    assert fitted.prior_.n_components_ > 0
    assert_array_equal(fitted._fitted.values, normal._fitted.values)
    assert fitted.history_.keys() == normal.history_.keys()
    for name, entries in fitted.history_.items():
        assert_array_equal(entries, normal.history_[name])
    assert_array_equal(fitted.transform(CANCER), normal.transform(CANCER))
    assert_array_equal(fitted.score_cells(CANCER), normal.score_cells(CANCER))
    assert fitted.distortion_ == normal.distortion_
    assert fitted.rate_ < normal.rate_
    assert fitted.elbo_ - normal.elbo_ == pytest.approx(fitted.prior_.gain_, abs=0.1)
    assert fitted.score(CANCER) > normal.score(CANCER)
    assert (fitted.log_likelihood(CANCER) - normal.log_likelihood(CANCER)).mean() > 0.0


def test_score_is_minus_rate_and_distortion(fitted):
    rate, distortion = fitted.rate_distortion(CANCER)
    assert_array_equal(fitted.score_samples(CANCER), -(rate + distortion))
    assert (rate >= 0.0).all()
    assert (fitted.log_likelihood(CANCER) - fitted.score_samples(CANCER)).mean() > 0.0


def test_row_does_not_depend_on_the_others(fitted):
    for method in (fitted.score_samples, fitted.log_likelihood):
        whole = method(CANCER)
        assert_allclose(method(CANCER[::-1])[::-1], whole, rtol=1e-10)
        assert_allclose(method(CANCER[7:8]), whole[7:8], rtol=1e-10)


def test_rate_of_the_attributes_is_that_of_the_rows():
    vae = small(Mixture(3), early_stopping=False, precision="float64").fit(WINE)
    rate, _ = vae.rate_distortion(WINE)
    assert vae.rate_ == pytest.approx(rate.mean(), rel=1e-9)
    assert vae.elbo_ == pytest.approx(vae.score(WINE), rel=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precision_of_rows_is_kept(fitted, dtype):
    rows = CANCER.astype(dtype)
    rate, _ = fitted.rate_distortion(rows)
    assert rate.dtype == fitted.log_likelihood(rows, 3).dtype == dtype
    assert_allclose(rate, fitted.rate_distortion(CANCER)[0], rtol=1e-2, atol=1e-2)


def test_new_rows_of_clusters_are_explained_better():
    X = load_iris().data
    gains = []
    for seed in range(3):
        train, test = train_test_split(X, random_state=seed)
        params = {"hidden_layer_sizes": (16,), "max_iter": 40, "tol": 1e3}
        vae = BalancedVAE(2, prior="mixture", random_state=seed, **params).fit(train)
        normal = clone(vae).set_params(prior="normal").fit(train)
        gains.append((vae.log_likelihood(test) - normal.log_likelihood(test)).mean())
    assert np.mean(gains) > 0.1
    assert min(gains) > -0.1


def test_samples_of_clusters_are_of_the_clusters():
    random = np.random.RandomState(0)
    centers = np.array([[-4.0, 0.0, 0.0], [4.0, 3.0, 0.0], [4.0, -3.0, 2.0]])
    X = centers[random.randint(3, size=600)] + 0.3 * random.standard_normal((600, 3))

    def outside(prior):
        """Fraction of samples that are in no cluster."""
        drawn = small(prior, 2, max_iter=40).fit(X).sample(500, random_state=0)
        distance = np.linalg.norm(drawn[:, None] - centers, axis=2).min(axis=1)
        return np.mean(distance > 1.5)

    assert outside("mixture") < 0.5 * outside("normal")


def test_two_fits_are_equal(fitted):
    other = clone(fitted).fit(CANCER)
    for name in ("weights_", "means_", "covariances_", "gain_"):
        assert_array_equal(getattr(other.prior_, name), getattr(fitted.prior_, name))
    assert_array_equal(
        other.sample(5, random_state=0), fitted.sample(5, random_state=0)
    )
    assert other.rate_ == fitted.rate_


@pytest.mark.parametrize("early_stopping", [True, False])
def test_weights_are_repetition(early_stopping):
    weight = 1 + np.arange(len(WINE)) % 3
    vae = small(Mixture(2), early_stopping=early_stopping)
    weighted = clone(vae).fit(WINE, sample_weight=weight)
    repeated = clone(vae).fit(WINE.repeat(weight, axis=0)[::-1])
    assert_array_equal(weighted.prior_.means_, repeated.prior_.means_)
    assert_array_equal(weighted.score_samples(WINE), repeated.score_samples(WINE))
    assert weighted.elbo_ == repeated.elbo_
    other = clone(vae).fit(WINE)
    assert not np.array_equal(other.prior_.means_, weighted.prior_.means_)


def test_copies_and_files(fitted):
    again = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(again.score_samples(CANCER), fitted.score_samples(CANCER))
    assert_array_equal(again.prior_.covariances_, fitted.prior_.covariances_)
    with pytest.raises(AttributeError):
        clone(fitted).prior_  # noqa: B018


def test_change_of_the_prior_in_a_file_is_noticed(fitted):
    data = pickle.dumps(fitted)
    number = fitted.prior_.means_[0, 0].tobytes()
    assert data.count(number) == 1
    changed = (2.0 * fitted.prior_.means_[0, 0]).tobytes()
    with pytest.raises(ValueError, match="is damaged: its settings and arrays"):
        pickle.loads(data.replace(number, changed))


def test_missing_cells_are_imputed():
    gaps = CANCER.copy()
    gaps[np.random.RandomState(0).uniform(size=gaps.shape) < 0.2] = np.nan
    gaps[3] = np.nan
    vae = small().fit(gaps)
    assert vae.prior_.n_components_ > 0
    filled = vae.impute(gaps, 20)
    assert np.isfinite(filled).all()
    observed = ~np.isnan(gaps)
    assert_array_equal(filled[observed], gaps[observed])
    assert np.isfinite(vae.score(gaps))
    normal = clone(vae).set_params(prior="normal").fit(gaps)
    assert not np.array_equal(filled, normal.impute(gaps, 20))
    (drawn,) = vae.impute(gaps, 20, n_draws=1, random_state=0)
    assert np.isfinite(drawn).all()


def test_frame_of_types():
    frame = pd.DataFrame(CANCER[:, :3], columns=["a", "b", "c"])
    frame["kind"] = pd.Categorical(np.where(CANCER[:, 5] > 0.1, "u", "v"))
    vae = small(Mixture(2), 2).fit(frame)
    drawn = vae.sample(5, random_state=0)
    assert list(drawn.columns) == list(frame.columns)
    assert drawn.dtypes.equals(frame.dtypes)
    assert np.isfinite(vae.score(frame))


def test_full_posterior_and_other_parts():
    for params in (
        {"network": MLP((4,), posterior="full")},
        {"divergence": "mmd", "balance": "constant"},
        {"balance": "geco"},
        {"likelihood": "student_t"},
        {"beta": 0.0, "balance": "constant"},
    ):
        vae = small(Mixture(2), **params).fit(WINE)
        assert vae.prior_.n_components_ == 2
        assert np.isfinite(vae.score(WINE)), params
        assert np.isfinite(vae.sample(5, random_state=0)).all()


@pytest.mark.parametrize("prior", ["mixture", Mixture(5)])
@pytest.mark.parametrize(
    "X",
    [
        np.ones((1, 2)),
        np.ones((30, 3)),
        WINE[:2],
        WINE[:3].repeat(30, axis=0),
        np.random.RandomState(0).standard_normal((60, 40)),
    ],
    ids=["one row", "constant", "two rows", "three rows", "wide"],
)
@pytest.mark.filterwarnings("ignore::skvae.exceptions.PosteriorCollapseWarning")
def test_hard_tables(X, prior):
    vae = small(prior, n_components="auto").fit(X)
    assert np.isfinite(vae.score(X))
    assert np.isfinite(vae.elbo_)
    assert np.isfinite(vae.sample(3, random_state=0)).all()
    assert np.isfinite(vae.log_likelihood(X, 3)).all()


def test_partial_fit_learns_from_the_rows_of_the_last_call():
    vae = small(Mixture(2))
    means = [vae.partial_fit(part).prior_.means_ for part in (WINE[:90], WINE[90:])]
    assert not np.array_equal(*means)
    assert np.isfinite(vae.score(WINE))
    # Settings are those of the first call.
    assert vae.set_params(prior="normal").partial_fit(WINE).prior_.n_components_ == 2


def test_warm_start_may_have_another_prior():
    vae = small("normal", warm_start=True).fit(WINE)
    vae.set_params(prior=Mixture(2)).fit(WINE)
    assert vae.prior_.n_components_ == 2


def test_path_and_cross_validation():
    settings = {**SMALL, "n_components": 2, "prior": Mixture(2)}
    path = beta_path(WINE, betas=[1.0, 0.1], **settings)
    alone = [BalancedVAE(beta=beta, **settings).fit(WINE) for beta in (1.0, 0.1)]
    for model, other in zip(path.models, alone, strict=True):
        assert_allclose(model.prior_.means_, other.prior_.means_, rtol=1e-3, atol=1e-3)
        assert model.rate_ == pytest.approx(other.rate_, rel=1e-3)
    vae = BalancedVAECV([1.0, 0.1], cv=2, **settings).fit(WINE)
    assert vae.prior_.n_components_ == 2


def test_search_over_priors():
    grid = [
        {"prior": ["normal"]},
        {"prior": ["mixture"], "prior__n_components": [1, 2]},
    ]
    search = GridSearchCV(small(n_components=2, max_iter=3), grid, cv=2).fit(WINE)
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    assert len(set(scores)) == 3
    vae = small("mixture").set_params(prior__normal_weight=0.5)
    assert vae.get_params()["prior__normal_weight"] == 0.5
    with pytest.raises(ValueError, match=r"prior__floor is set, but prior='none'"):
        small("none").set_params(prior__floor=0.5)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_components": 0}, "'n_components' parameter of Mixture must be"),
        ({"normal_weight": 1.5}, "'normal_weight' parameter of Mixture must be"),
        ({"floor": 0.0}, "'floor' parameter of Mixture must be"),
    ],
)
def test_settings_are_validated(params, message):
    with pytest.raises(ValueError, match=message):
        small(Mixture(**params)).fit(WINE)


def test_prior_of_ones_own():
    class Scaled(Prior):
        def learn(self, latents):
            self.n_latents_ = latents.n_latents
            self.scale_ = float(latents.draw(1000).std())
            return self

        def log_prob(self, z):
            nats = (z / self.scale_).square() + math.log(2.0 * math.pi)
            return -(0.5 * nats + math.log(self.scale_)).sum(dim=-1)

        def sample(self, n_samples, random_state):
            shape = n_samples, self.n_latents_
            return self.scale_ * random_state.standard_normal(shape)

    vae = small(Scaled(), precision="float64").fit(WINE)
    normal = small("normal", precision="float64").fit(WINE)
    rate, distortion = vae.rate_distortion(WINE)
    model = vae._fitted.on("cpu")
    mean, log_variance = (part[0].numpy() for part in model.posterior(WINE))
    scale = vae.prior_.scale_
    ratio = np.exp(log_variance) / scale**2
    expected = 0.5 * (mean**2 / scale**2 + ratio - 1.0 - np.log(ratio)).sum(axis=1)
    assert_allclose(rate, expected, rtol=1e-9)
    assert_array_equal(distortion, normal.rate_distortion(WINE)[1])
    assert vae.sample(4, random_state=0).shape == (4, 13)
