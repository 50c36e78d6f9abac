"""Variational autoencoders: what differs is the weight of the KL term, the bound, the condition or the layers of latents."""

from tfgen import schedules
from tfgen.distributions import Bernoulli, DiscretisedLogistic, Gaussian
from tfgen.errors import UserError
from tfgen.models import VAE, HierarchicalVAE
from tfgen.networks import grids, ladder, mlp
from tfgen.recipes import suited
from tfgen.recipes.hyperparameters import base_filters, compiled, compiled_with_schedule
from tfgen.recipes.registry import recipe

OBJECTIVE = ("val_elbo", "max")

LIKELIHOODS = {"bernoulli": lambda levels: Bernoulli(), "gaussian": lambda levels: Gaussian(0.1),
               "gaussian_learned": lambda levels: Gaussian(None),
               "discretised_logistic": lambda levels: DiscretisedLogistic(levels=levels)}


LIKELIHOODS_OF_VECTORS = {"gaussian": lambda: Gaussian(0.1, bounded=False),
                          "gaussian_learned": lambda: Gaussian(None, bounded=False)}


def chosen_likelihood(hp, spec, default):
    """The hyperparameter `likelihood`, on the grey levels of the data; for vectors a Gaussian of standardised values."""
    if spec.vectors:
        chosen = hp.Choice("likelihood", list(LIKELIHOODS_OF_VECTORS), default="gaussian_learned")
        return suited.standardised(spec, LIKELIHOODS_OF_VECTORS[chosen]())
    return LIKELIHOODS[hp.Choice("likelihood", list(LIKELIHOODS), default=default)](spec.levels)


def kl_weight(hp, steps=0):
    """1, reached linearly from 0 after the hyperparameter `kl_warmup_steps`, by default `steps`."""
    steps = hp.Steps("kl_warmup_steps", steps)
    return schedules.warmup(steps) if steps else 1.0


def conv_vae(hp, spec, latent_dim, model=VAE, **parts):
    """A VAE (or subclass of it) on the convolutional networks of the autoencoders, or those of vectors."""
    likelihood = chosen_likelihood(hp, spec, "bernoulli")
    encoder, decoder = suited.coders(
        hp, spec, lambda hp: hp.Int("latent_dim", 1, 512, default=suited.narrow(spec, latent_dim)), statistics=2,
        parameters=likelihood.parameters_per_value, num_classes=parts.get("num_classes"))
    return compiled_with_schedule(model(encoder, decoder, likelihood=likelihood, **parts), hp, 1e-3)


@recipe(family="vae", paper="arXiv:1312.6114", objective=OBJECTIVE, vectors=True)
def vae(hp, spec):
    """Variational autoencoder (Kingma & Welling, 2013), with convolutional networks."""
    return conv_vae(hp, spec, latent_dim=16, kl_weight=kl_weight(hp),
                    free_bits=hp.Float("free_bits", 0.0, 10.0, default=0.0))


@recipe(family="vae", paper="https://openreview.net/forum?id=Sy2fzU9gl", objective=OBJECTIVE, vectors=True)
def beta_vae(hp, spec):
    """beta-VAE (Higgins et al., 2017): KL term with weight beta; above 1 for disentangled codes."""
    return conv_vae(hp, spec, latent_dim=10, kl_weight=hp.Float("beta", 0.0, 250.0, default=4.0))


@recipe(family="vae", paper="https://papers.nips.cc/paper/5775", view="labelled", objective=OBJECTIVE, vectors=True)
def conditional_vae(hp, spec):
    """Conditional VAE (Sohn et al., 2015): the label is an input of encoder and decoder."""
    if not spec.num_classes:
        raise UserError(f"conditional_vae expects labelled data, '{spec.name}' has no labels; use vae")
    return conv_vae(hp, spec, latent_dim=16, num_classes=spec.num_classes)


@recipe(family="vae", paper="arXiv:1509.00519", view="binarised", objective=("val_loss", "min"))
def iwae(hp, spec):
    """Importance-weighted autoencoder (Burda et al., 2016): two tanh layers of 200, 50 latents, binarised images."""
    units, latent = hp.Int("units", 4, 2048, default=200), hp.Int("latent_dim", 1, 512, default=50)
    encoder = mlp.encoder(spec.image_shape, [units, units], 2 * latent, "tanh")
    decoder = mlp.decoder(latent, [units, units], spec.image_shape, "tanh")
    return compiled(VAE(encoder, decoder, importance_samples=hp.Int("importance_samples", 1, 500, default=5)), hp)


@recipe(family="vae", paper="arXiv:2011.10650", objective=OBJECTIVE)
def hierarchical_vae(hp, spec):
    """Hierarchical VAE (Sonderby et al., 2016; Child, 2021): layers of latents, drawn top-down on ever finer grids.

    With the defaults, images of 28x28 have a layer each on grids of 1x1, 4x4, 7x7 and 14x14. The paper's model of CIFAR-10
    has many more layers, most of them on the finest grids up to 32x32 (stem=0), with units=filters=widest=384,
    bottleneck=0.25, latent_dim=latent_channels=16, a mixture of logistics, batches of 32 and a rate of 2e-4; the defaults
    are for small grey images on a CPU. Without a warm-up of the KL term (Sonderby et al., 2016) the finest layers may stay
    at their priors.
    """
    likelihood, stem = chosen_likelihood(hp, spec, "discretised_logistic"), hp.Int("stem", 0, 3, default=1)
    # Below the top, at least three grids, the coarsest of at most four places a side.
    levels = hp.Int("levels", 1, 8, default=max(3, 1 + grids.halvings(spec.image_shape)))
    filters, widest = base_filters(hp, 32), hp.Int("widest", 2, 1024, default=64)
    widths = [hp.Int("units", 4, 2048, default=128),
              *(min(width, max(widest, filters)) for width in grids.widths(filters, levels)[::-1])]
    ratio = hp.Float("bottleneck", 0.1, 1.0, default=0.5)
    networks = ladder.hierarchy(
        spec.image_shape, likelihood.parameters(spec.image_shape[-1]), widths,
        hidden=[max(1, round(ratio * width)) for width in widths],
        counts=[1] + [hp.Int("layers_per_grid", 1, 32, default=1)] * levels,
        channels=[hp.Int("latent_dim", 1, 512, default=32)] + [hp.Int("latent_channels", 1, 64, default=8)] * levels,
        stem=stem)
    model = HierarchicalVAE(**networks, likelihood=likelihood, kl_weight=kl_weight(hp, 1000),
                            free_bits=hp.Float("free_bits", 0.0, 10.0, default=0.0))
    return compiled_with_schedule(model, hp, 1e-3,
                                  global_clipnorm=hp.Float("clip_norm", 1.0, 1e6, default=2e3, sampling="log"))
