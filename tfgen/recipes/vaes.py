"""Variational autoencoders: what differs is the weight of the KL term, the bound or the condition."""

from tfgen import schedules
from tfgen.distributions import Bernoulli, DiscretisedLogistic, Gaussian
from tfgen.errors import UserError
from tfgen.models import VAE
from tfgen.networks import conv, mlp
from tfgen.recipes.hyperparameters import compiled, encoder_channels
from tfgen.recipes.registry import recipe

OBJECTIVE = ("val_elbo", "max")

LIKELIHOODS = {"bernoulli": lambda: Bernoulli(), "gaussian": lambda: Gaussian(0.1),
               "gaussian_learned": lambda: Gaussian(None), "discretised_logistic": lambda: DiscretisedLogistic()}


def conv_vae(hp, spec, latent_dim, model=VAE, **parts):
    """A VAE (or subclass of it) on the convolutional networks of the autoencoders, with any likelihood."""
    likelihood = LIKELIHOODS[hp.Choice("likelihood", list(LIKELIHOODS), default="bernoulli")]()
    *size, channels = spec.image_shape
    widths, latent = encoder_channels(hp), hp.Int("latent_dim", 1, 512, default=latent_dim)
    labels = {"num_classes": parts.get("num_classes")}
    encoder = conv.encoder(spec.image_shape, widths, 2 * latent, **labels)
    decoder = conv.decoder(latent, widths[::-1], (*size, channels * likelihood.parameters_per_value), **labels)
    return compiled(model(encoder, decoder, likelihood=likelihood, **parts), hp)


@recipe(family="vae", paper="arXiv:1312.6114", objective=OBJECTIVE)
def vae(hp, spec):
    """Variational autoencoder (Kingma & Welling, 2013), with convolutional networks."""
    steps = hp.Steps("kl_warmup_steps")
    return conv_vae(hp, spec, latent_dim=16, kl_weight=schedules.warmup(steps) if steps else 1.0,
                    free_bits=hp.Float("free_bits", 0.0, 10.0, default=0.0))


@recipe(family="vae", paper="https://openreview.net/forum?id=Sy2fzU9gl", objective=OBJECTIVE)
def beta_vae(hp, spec):
    """beta-VAE (Higgins et al., 2017): KL term with weight beta; above 1 for disentangled codes."""
    return conv_vae(hp, spec, latent_dim=10, kl_weight=hp.Float("beta", 0.0, 250.0, default=4.0))


@recipe(family="vae", paper="https://papers.nips.cc/paper/5775", view="labelled", objective=OBJECTIVE)
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
