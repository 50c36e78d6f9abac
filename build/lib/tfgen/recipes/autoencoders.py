"""Autoencoders: what differs between systems is the width, the depth, the corruption or the penalty."""

import math

import keras

from tfgen.distributions import Bernoulli, Gaussian
from tfgen.layers import EraseRegion, GaussianCorruption, MaskPixels, SaltAndPepper
from tfgen.losses.penalties import Contractive, KLSparsity, L1Sparsity
from tfgen.models import Autoencoder, StackedAutoencoder
from tfgen.networks import conv, mlp
from tfgen.optimizers import RestartedAdam
from tfgen.recipes import suited
from tfgen.recipes.hyperparameters import compiled, encoder_channels
from tfgen.recipes.registry import recipe

OBJECTIVE = ("val_mse", "min")


def conv_autoencoder(hp, spec, **parts):
    """A convolutional autoencoder of images with a flat code."""
    widths, latent = encoder_channels(hp), hp.Int("latent_dim", 1, 1024, default=64)
    return compiled(Autoencoder(conv.encoder(spec.image_shape, widths, latent),
                                conv.decoder(latent, widths[::-1], spec.image_shape), **parts), hp)


def one_layer_autoencoder(hp, spec, latent_dim, **parts):
    """One sigmoid layer for the encoder and one for the decoder."""
    latent = hp.Int("latent_dim", 1, 4096, default=latent_dim)
    return compiled(Autoencoder(
        mlp.encoder(spec.image_shape, [], latent, output_activation="sigmoid", scaling=suited.scaling(spec)),
        mlp.decoder(latent, [], spec.image_shape), suited.likelihood(spec, Bernoulli()), **parts), hp)


@recipe(family="autoencoder", paper="doi:10.1126/science.1127647", objective=OBJECTIVE, vectors=True)
def autoencoder(hp, spec):
    """Undercomplete autoencoder (Hinton & Salakhutdinov, 2006): a narrow code between fully connected layers."""
    units, latent = hp.Int("units", 4, 2048, default=256), hp.Int("latent_dim", 1, 1024, default=suited.narrow(spec, 32))
    return compiled(Autoencoder(mlp.encoder(spec.image_shape, [units], latent, scaling=suited.scaling(spec)),
                                mlp.decoder(latent, [units], spec.image_shape),
                                suited.likelihood(spec, Bernoulli())), hp)


@recipe(family="autoencoder", paper="doi:10.1561/2200000006", objective=OBJECTIVE, vectors=True)
def overcomplete(hp, spec):
    """Overcomplete autoencoder (Bengio, 2009): a code wider than the image, which learns to copy unless regularised."""
    return one_layer_autoencoder(hp, spec, latent_dim=min(4096, 2 * math.prod(spec.image_shape)))


@recipe(family="autoencoder", paper="doi:10.7551/mitpress/7503.003.0024", objective=OBJECTIVE)
def stacked(hp, spec):
    """Deep stacked autoencoder with greedy layer-wise pre-training as an option (Bengio et al., 2007)."""
    units, latent = hp.Int("units", 4, 2048, default=256), hp.Int("latent_dim", 1, 1024, default=32)
    widths = [units, units // 2, latent]
    encoders = [mlp.encoder(spec.image_shape, [], units, output_activation="relu")]
    decoders = [mlp.decoder(units, [], spec.image_shape)]
    for below, above in zip(widths, widths[1:]):
        top = None if above == latent else "relu"
        encoders.append(keras.Sequential([keras.Input((below,)), keras.layers.Dense(above, top)]))
        decoders.append(keras.Sequential([keras.Input((above,)), keras.layers.Dense(below, "relu")]))
    each = hp.Steps("pretrain_steps")
    return compiled(StackedAutoencoder(encoders, decoders, each), hp, optimizer=RestartedAdam,
                    starts=[each * index for index in range(1, len(encoders) + 1)] if each else [])


@recipe(family="autoencoder", paper="doi:10.1007/978-3-642-21735-7_7", objective=OBJECTIVE)
def convolutional(hp, spec):
    """Convolutional autoencoder (Masci et al., 2011): strided convolutions and their transposes."""
    return conv_autoencoder(hp, spec)


@recipe(family="autoencoder", paper="https://web.stanford.edu/class/cs294a/sparseAutoencoder.pdf",
        objective=OBJECTIVE, vectors=True)
def sparse(hp, spec):
    """Sparse autoencoder (Ng, 2011): a KL penalty that pulls mean activations towards rho, or an L1 penalty."""
    weight = hp.Float("penalty_weight", 1e-4, 100.0, default=0.1, sampling="log")
    if hp.Choice("penalty", ["kl", "l1"], default="kl") == "kl":
        penalty = KLSparsity(hp.Float("rho", 0.001, 0.5, default=0.05, sampling="log"), weight)
    else:
        penalty = L1Sparsity(weight)
    return one_layer_autoencoder(hp, spec, latent_dim=196, penalties=[penalty])


CORRUPTIONS = {"gaussian": lambda level: GaussianCorruption(level), "masking": lambda level: MaskPixels(level),
               "salt_and_pepper": lambda level: SaltAndPepper(level)}


@recipe(family="autoencoder", paper="doi:10.1145/1390156.1390294", view="corrupted", objective=OBJECTIVE)
def denoising(hp, spec):
    """Denoising autoencoder (Vincent et al., 2008): reconstructs the clean image from a noisy one."""
    kind = hp.Choice("corruption", list(CORRUPTIONS), default="gaussian")
    return conv_autoencoder(hp, spec, corruption=CORRUPTIONS[kind](hp.Float("level", 0.01, 1.0, default=0.3)))


@recipe(family="autoencoder", paper="arXiv:1604.07379", view="corrupted", objective=OBJECTIVE)
def inpainting(hp, spec):
    """Inpainting autoencoder (Pathak et al., 2016, without the critic): predicts an erased region from its surroundings."""
    largest = hp.Float("largest", 0.1, 0.9, default=0.5)
    return conv_autoencoder(hp, spec, corruption=EraseRegion(largest / 2, largest), likelihood=Gaussian(0.1))


@recipe(family="autoencoder", paper="https://icml.cc/2011/papers/455_icmlpaper.pdf", objective=OBJECTIVE)
def contractive(hp, spec):
    """Contractive autoencoder (Rifai et al., 2011): penalises the norm of the encoder's Jacobian."""
    weight = hp.Float("penalty_weight", 1e-4, 100.0, default=0.1, sampling="log")
    depth, latent = hp.Int("hidden_layers", 0, 4, default=0), hp.Int("latent_dim", 1, 4096, default=64)
    hidden = [hp.Int("units", 4, 2048, default=256)] * depth
    return compiled(Autoencoder(mlp.encoder(spec.image_shape, hidden, latent, "sigmoid", "sigmoid"),
                                mlp.decoder(latent, hidden, spec.image_shape, "sigmoid"),
                                penalties=[Contractive(weight)]), hp)
