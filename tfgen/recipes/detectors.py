"""Anomaly detectors: trained on normal images only, they score how anomalous an image is."""

import random

import keras

from tfgen.distributions import Bernoulli
from tfgen.layers import Blemishes, EraseLattice, EraseRegion, GaussianCorruption, Rotation
from tfgen.layers.differences import SquaredError, StandardisedError
from tfgen.losses import Wasserstein
from tfgen.models import (
    DRAEM,
    AnomalyAutoencoder,
    AnomalyVAE,
    DeepSVDD,
    FAnoGAN,
    GANomaly,
    PaDiM,
    RegionInpainter,
    SkipGANomaly,
)
from tfgen.networks import dcgan, imagenet, lenet, mlp, translation
from tfgen.optimizers import Adam, RestartedAdam
from tfgen.recipes import suited
from tfgen.recipes.hyperparameters import (
    adam,
    base_filters,
    compile_with_cosine_decay,
    critic_layers,
    first_stage,
    gradient_penalty,
    latent_dim,
    learning_rate,
    objective,
    players,
)
from tfgen.recipes.registry import recipe
from tfgen.recipes.vaes import conv_vae
from tfgen.recipes.vector_quantised import perceptual
from tfgen.schedules import Consecutive


def difference(hp):
    """The error map and score of an image and its reconstruction."""
    return SquaredError(**pooling(hp))


def pooling(hp, top=1.0):
    """Hyperparameters of map smoothing and of pooling to a score."""
    return {"blur": hp.Float("blur", 0.0, 32.0, default=0.0), "top": hp.Float("top", 0.0, 1.0, default=top)}


def standardised(hp, spec, default):
    """As `difference`, or with errors divided by the mean error of each pixel over training; so those of vectors always."""
    if spec.vectors:
        return StandardisedError(spec.image_shape, top=hp.Float("top", 0.0, 1.0, default=1.0), scale=spec.scale)
    standardise = hp.Boolean("standardise", default=default)
    return StandardisedError(spec.image_shape, **pooling(hp)) if standardise else difference(hp)


def weights(hp, contextual):
    """Weights of the generator's terms of GANomaly and Skip-GANomaly."""
    return {"contextual_weight": hp.Float("contextual_weight", 0.0, 1000.0, default=contextual),
            "adversarial_weight": hp.Float("adversarial_weight", 0.0, 100.0, default=1.0)}


CORRUPTIONS = {"none": lambda level: None, "gaussian": lambda level: GaussianCorruption(level),
               "erase": lambda level: EraseRegion(level / 2, level)}


def corruption(hp):
    """Corruption of the training input against copying: Gaussian noise, or an erased region."""
    kind = hp.Choice("corruption", list(CORRUPTIONS), default="none")
    return CORRUPTIONS[kind](hp.Float("level", 0.01, 1.0, default=0.5))


@recipe(family="anomaly", paper="arXiv:1812.02765", objective=("val_mse", "min"), vectors=True)
def ae_anomaly(hp, spec):
    """Autoencoder with reconstruction error and Mahalanobis distance of the code as score (Denouden et al., 2018)."""
    encoder, decoder = suited.coders(hp, spec, lambda hp: hp.Int("latent_dim", 1, 1024, default=suited.narrow(spec, 16)))
    model = AnomalyAutoencoder(encoder, decoder, standardised(hp, spec, default=True),
                               hp.Float("code_weight", 0.0, 100.0, default=1.0),
                               likelihood=suited.likelihood(spec, Bernoulli()),
                               corruption=None if spec.vectors else corruption(hp))
    # The learning rate decays to zero so that the running error statistics describe the final weights.
    return compile_with_cosine_decay(model, hp)


@recipe(family="anomaly", paper="http://dm.snu.ac.kr/static/docs/TR/SNUDM-TR-2015-03.pdf", objective=("val_elbo", "max"),
        vectors=True)
def vae_anomaly(hp, spec):
    """VAE with reconstruction error (An & Cho, 2015) or negative bound as score."""
    return conv_vae(hp, spec, latent_dim=16, model=AnomalyVAE, difference=standardised(hp, spec, default=False),
                    bound_samples=hp.Int("bound_samples", 0, 1000, default=0))


@recipe(family="anomaly", paper="arXiv:1805.06725", objective=("val_mse", "min"), batch_size=64)
def ganomaly(hp, spec):
    """GANomaly (Akcay et al., 2018): encoder-decoder-encoder; the score is the distance of the two codes."""
    shape, code, depth = spec.image_shape, latent_dim(hp), base_filters(hp)
    model = GANomaly(dcgan.encoder(shape, code, depth), dcgan.generator(shape, code, depth),
                     dcgan.encoder(shape, code, depth), dcgan.critic(shape, depth, "batch", features=True),
                     hp.Float("encoder_weight", 0.0, 100.0, default=1.0),
                     **weights(hp, 50.0), difference=difference(hp))
    return players(model, hp, 2e-4)


@recipe(family="anomaly", paper="arXiv:1901.08954", objective=("val_mse", "min"), batch_size=64)
def skip_ganomaly(hp, spec):
    """Skip-GANomaly (Akcay et al., 2019): U-Net; the score combines errors of pixels and of critic features."""
    shape, depth, most = spec.image_shape, base_filters(hp), translation.halvings_to_one(spec.image_shape) - 1
    model = SkipGANomaly(translation.unet(shape, shape, depth, "batch", dropout=0.0,
                                          skips=hp.Int("skips", 0, most, default=most)),
                         dcgan.critic(shape, depth, "batch", features=True),
                         hp.Float("latent_weight", 0.0, 100.0, default=1.0), hp.Float("share", 0.0, 1.0, default=0.9),
                         corruption(hp), **weights(hp, 40.0), difference=standardised(hp, spec, default=False))
    return players(model, hp, 2e-4)


def described(hp, spec):
    """(encoder without biases, decoder) of Deep SVDD: of images convolutional ones like the paper's but wider, with a hidden
    layer before the code; of vectors fully connected ones."""
    depth = None if spec.vectors else hp.Int("filters", 2, 256, default=16)
    code = hp.Int("latent_dim", 1, 1024, default=suited.narrow(spec, 64))
    decay = hp.Float("weight_decay", 0.0, 1e-2, default=1e-6)
    if spec.vectors:
        plain = {"use_bias": False, "kernel_regularizer": keras.regularizers.L2(0.5 * decay) if decay else None}
        units = suited.hidden(hp, 128)
        return (mlp.encoder(spec.image_shape, units, code, "leaky_relu", scaling=suited.scaling(spec), **plain),
                mlp.decoder(code, units[::-1], spec.image_shape, "leaky_relu", use_bias=False))
    levels = 1 if min(spec.image_shape[:2]) < 16 else 2
    return (lenet.encoder(spec.image_shape, code, depth, hp.Int("units", 4, 2048, default=128), levels, decay),
            lenet.decoder(code, spec.image_shape, depth, levels))


@recipe(family="anomaly", paper="https://proceedings.mlr.press/v80/ruff18a.html", objective=("val_distance", "min"),
        batch_size=200, vectors=True)
def deep_svdd(hp, spec):
    """Deep SVDD (Ruff et al., 2018): a pre-trained encoder without biases maps normal images near one point.

    The rate falls to a tenth after pre-training, or the features of it are lost; the authors lower both stages' by as much.
    """
    networks, pretrain = described(hp, spec), first_stage(hp, "pretrain_share")
    model = DeepSVDD(*networks, pretrain, suited.likelihood(spec, Bernoulli()))
    rates = [hp.Float(name, 1e-6, 1e-1, default=default, sampling="log")
             for name, default in (("pretrain_rate", 1e-3), ("learning_rate", 1e-4))]
    model.compile(RestartedAdam(Consecutive(rates, [pretrain]), starts=[pretrain] if pretrain else []))
    return model


@recipe(family="anomaly", paper="doi:10.1016/j.media.2019.01.010", objective=("val_izi_f", "min"), batch_size=64)
def fanogan(hp, spec):
    """f-AnoGAN (Schlegl et al., 2019): an encoder that inverts the generator of a WGAN-GP trained first."""
    shape, code, depth = spec.image_shape, latent_dim(hp, 128), base_filters(hp)
    critic_steps = hp.Int("critic_steps", 1, 10, default=5)
    first = max(1, first_stage(hp, "gan_share", critic_steps))
    model = FAnoGAN(dcgan.generator(shape, code, depth), dcgan.critic(shape, depth, "layer", features=True),
                    dcgan.encoder(shape, code, depth, "layer"), first,
                    hp.Float("feature_weight", 0.0, 100.0, default=1.0), Wasserstein(), difference(hp),
                    penalties=[gradient_penalty(hp)], critic_steps=critic_steps)
    return players(model, hp, 1e-4, optimizer=adam(0.0, 0.9, starts=[first]))


@recipe(family="anomaly", paper="arXiv:2010.01942", objective=("val_l1", "min"), batch_size=16)
def region_anomaly(hp, spec):
    """Region-based detection (Nguyen et al., 2020): the score is the error of an adversarial inpainting."""
    height, width, channels = spec.image_shape
    # A quarter of the image's side at most, so that there is something to predict it from.
    side = hp.Int("region", 1, 64, default=max(1, min(8, min(height, width) // 4)))
    erasure = EraseLattice(side, hp.Int("gap", 1, 256, default=side))
    stride = min(hp.Int("stride", 1, 64, default=max(1, side // 2)), side)
    units = base_filters(hp)
    model = RegionInpainter(
        translation.unet((height, width, channels + 1), spec.image_shape, units, dropout=0.0),
        translation.patchgan(spec.image_shape, None, units, critic_layers(hp, spec)), erasure, stride,
        standardised(hp, spec, default=False),
        objective(hp, "non_saturating"), hp.Float("l1_weight", 0.0, 1000.0, default=100.0),
        hp.Float("adversarial_weight", 0.0, 100.0, default=1.0))
    return players(model, hp, 2e-4)


@recipe(family="anomaly", paper="arXiv:2108.07610", objective=("val_segmentation", "min"), batch_size=16)
def draem(hp, spec):
    """DRAEM (Zavrtanik et al., 2021): repairs simulated defects and segments them from image and repair.

    Maps are not smoothed by default. The authors' score is the maximum of means over 21x21 of 256x256 pixels, for which a
    `blur` of 0.024 of the side stands: 1.5 pixels at 64.
    """
    height, width, channels = spec.image_shape
    units, levels = base_filters(hp, 32), hp.Int("levels", 1, 8, default=4)
    norm = {"none": None, "instance": "instance", "batch": "batch"}[
        hp.Choice("norm", ["none", "instance", "batch"], default="batch")]

    def unet(taken, given):
        return translation.unet((height, width, taken), (height, width, given), units, norm, 0.0, levels)

    model = DRAEM(unet(channels, channels), unet(2 * channels, 1), Blemishes(hp.Float("opacity", 0.1, 1.0, default=0.5)),
                  hp.Float("l1_weight", 0.0, 1000.0, default=10.0),
                  augmentation=Rotation(hp.Float("rotation", 0.0, 180.0, default=0.0), hp.Boolean("flip", default=False)),
                  **pooling(hp, top=0.0))
    return compile_with_cosine_decay(model, hp)


@recipe(family="anomaly", paper="arXiv:2011.08785", objective=("val_turns", "min"), batch_size=32)
def padim(hp, spec):
    """PaDiM (Defard et al., 2021): a Gaussian per position of a network's features.

    The network learns how images are turned, or it is ResNet-50 with ImageNet's weights, which must be on the machine; the
    paper has ResNet-18, a wide ResNet-50 and an EfficientNet. Maps are not smoothed by default; the paper's `blur` is 4
    pixels at 224, 0.018 of the side.
    """
    learned = hp.Setting("network", ["learned", "resnet50"], "learned") == "learned"
    network, steps = (perceptual(spec), max(1, first_stage(hp, "network_share"))) if learned else (
        imagenet.resnet50(spec.image_shape), 0)
    depth = sum(output.shape[-1] for output in network.outputs if len(output.shape) == 4)
    # As Keras' own initializers draw their seeds.
    chosen = sorted(random.sample(range(depth), min(depth, hp.Int("features", 1, 1024, default=100))))
    model = PaDiM(network, chosen, hp.Int("patch", 1, 31, default=1), steps, hp.Boolean("shared", default=False),
                  hp.Float("shrinkage", 1e-6, 1.0, default=0.01, sampling="log"), **pooling(hp, top=0.0))
    # Without a stage that learns, the optimizer only counts the steps.
    model.compile(Adam(keras.optimizers.schedules.CosineDecay(learning_rate(hp), steps)) if learned else
                  keras.optimizers.SGD())
    return model
