"""Models of discrete codes: an autoencoder, then a prior over its codes, within one training."""

import math
import random

import keras

from tfgen.data.classes import title_of
from tfgen.evaluation import extractor_training
from tfgen.layers import Captions, VectorQuantizer
from tfgen.models import DALLE, VQGAN, VQVAE, CodePrior
from tfgen.models.vector_quantised.coded import grids_of
from tfgen.networks import pixelcnn, transformer, translation
from tfgen.networks import vector_quantised as networks
from tfgen.optimizers import Adam
from tfgen.recipes.hyperparameters import adam_of_stages, classes, critic_layers, decays, first_stage, rising
from tfgen.recipes.registry import recipe

FRECHET = ("val_frechet_distance", "min")


def quantizer(hp, size=512, codebook="ema"):
    """A function of no arguments that makes a quantizer; its codebook is a running average, or trained."""
    size = hp.Int("codebook_size", 2, 65536, default=size)
    trained = hp.Choice("codebook", ["ema", "trained"], default=codebook) == "trained"
    decay = hp.Float("codebook_decay", 0.5, 0.9999, default=0.99)
    commitment = hp.Float("commitment", 0.0, 10.0, default=0.25)
    return lambda: VectorQuantizer(size, decay, trained, commitment)


def sizes(hp, spec):
    """Arguments of the networks of the autoencoder."""
    deepest = max(1, min(spec.image_shape[:2]).bit_length() - 2)
    return {"dim": hp.Int("code_dim", 1, 1024, default=64), "filters": hp.Int("filters", 2, 1024, default=128),
            "halvings": hp.Int("halvings", 1, 8, default=min(2, deepest)),
            "residual_filters": hp.Int("residual_filters", 1, 1024, default=32),
            "blocks": hp.Int("residual_blocks", 0, 16, default=2)}


def pixel_prior(hp, grid, size, above=None):
    """A gated PixelCNN over a grid of codes; above: (h, w) of the coarser grid on which it is conditioned."""
    filters, blocks = hp.Int("prior_filters", 2, 1024, default=64), hp.Int("prior_blocks", 1, 50, default=5)
    conditioning = networks.conditioning(above, size, grid, filters) if above else None
    return CodePrior(pixelcnn.gated_pixelcnn((*grid, 1), size, filters, blocks, kernel_size=3, head=2 * filters,
                                             dropout=hp.Float("prior_dropout", 0.0, 0.9, default=0.0), embedded=size,
                                             conditioning=conditioning))


def transformer_prior(hp, grid, tokens, segments=None):
    """A causal transformer over a grid of tokens."""
    heads = hp.Int("prior_heads", 1, 16, default=4)
    return CodePrior(transformer.token_transformer(
        grid, tokens, units=heads * hp.Int("prior_head_units", 2, 256, default=32),
        blocks=hp.Int("prior_blocks", 1, 48, default=6), heads=heads,
        dropout=hp.Float("prior_dropout", 0.0, 0.9, default=0.1), segments=segments))


def shared(hp):
    """Arguments of models: length of the first stage, scale of the squared error."""
    return {"autoencoder_steps": max(1, first_stage(hp, "autoencoder_share")),
            "data_variance": hp.Float("data_variance", 1e-4, 1.0, default=0.0632)}


def two_stages(hp, model):
    """Compiles with Adam for each stage."""
    model.compile(adam_of_stages(hp, 2e-4, 1e-3, model.autoencoder_steps))
    return model


@recipe(family="vector_quantised", paper="arXiv:1711.00937", objective=FRECHET)
def vqvae(hp, spec):
    """VQ-VAE (van den Oord et al., 2017): an autoencoder of discrete codes, then a gated PixelCNN over them.

    Sizes of the autoencoder are those of the authors' public example for CIFAR-10; `data_variance` is that of its pixels.
    """
    codes, about = quantizer(hp)(), sizes(hp, spec)
    encoder = networks.encoder(spec.image_shape, codes, **about)
    prior = pixel_prior(hp, grids_of(encoder)[0], codes.codes)
    return two_stages(hp, VQVAE(encoder, networks.decoder(spec.image_shape, **about), [prior], **shared(hp)))


@recipe(family="vector_quantised", paper="arXiv:1906.00446", objective=FRECHET)
def vqvae2(hp, spec):
    """VQ-VAE-2 (Razavi et al., 2019): two grids of codes, the finer one conditioned on the coarser one.

    The paper's prior of the coarse grid also has self-attention.
    """
    make, about = quantizer(hp), sizes(hp, spec)
    codes = make(), make()
    encoder = networks.two_level_encoder(spec.image_shape, codes, **about)
    coarse, fine = grids_of(encoder)
    priors = [pixel_prior(hp, coarse, codes[0].codes), pixel_prior(hp, fine, codes[1].codes, above=coarse)]
    return two_stages(hp, VQVAE(encoder, networks.two_level_decoder(spec.image_shape, **about), priors, **shared(hp)))


def perceptual(spec):
    """The project's feature extractor with its feature maps as outputs, and the probabilities of four turns."""
    # As Keras' own initializers draw their seeds.
    network = extractor_training.network(spec.image_shape, 4, random.randint(0, 2**31 - 1))
    return keras.Model(network.input, [*extractor_training.feature_maps(network), network.outputs[1]], name="perceptual")


@recipe(family="vector_quantised", paper="arXiv:2012.09841", objective=FRECHET)
def vqgan(hp, spec):
    """VQGAN (Esser et al., 2021): codes of an autoencoder with a perceptual loss and a critic of patches, a transformer.

    The autoencoder's networks are those of `vqvae`; the paper's are deeper, with group normalisation and attention. The
    perceptual network is the project's feature extractor, trained in the first steps. Rates are the authors' 4.5e-6 per
    image of a batch, for 128 images. An Adam(0.5, 0.9) trains each stage; the authors' transformer has AdamW(0.9, 0.95).
    The weights of codebook and commitment are the paper's; the authors' code has them the other way round.
    """
    codes, about = quantizer(hp, size=1024, codebook="trained")(), sizes(hp, spec)
    encoder = networks.encoder(spec.image_shape, codes, **about)
    prior = transformer_prior(hp, grids_of(encoder)[0], codes.codes)
    critic = translation.patchgan(spec.image_shape, filters=hp.Int("critic_filters", 2, 512, default=64),
                                  depth=critic_layers(hp, spec, within=True), norm="batch")
    features = max(1, first_stage(hp, "perceptual_share", default=0.05))
    steps = max(1, first_stage(hp, "autoencoder_share"))
    model = VQGAN(encoder, networks.decoder(spec.image_shape, **about), [prior], critic, perceptual(spec), features, steps,
                  max(1, round(steps * hp.Float("critic_start", 0.0, 1.0, default=0.25))),
                  hp.Float("perceptual_weight", 0.0, 100.0, default=1.0), hp.Float("critic_weight", 0.0, 100.0, default=0.8))
    betas = {"beta_1": 0.5, "beta_2": 0.9}
    optimizer = adam_of_stages(hp, 4.5e-6 * 128, 4.5e-6 * 128, steps, features, **betas)
    # Steps that the critic's optimizer counts are those of the stage with a critic.
    critic_rate = rising(hp.Float("critic_learning_rate", 1e-6, 1e-1, default=4.5e-6 * 128, sampling="log"), 0,
                         steps - model.critic_start if decays(hp) else 0)
    model.compile(optimizer, Adam(critic_rate, **betas))
    return model


@recipe(family="vector_quantised", paper="arXiv:2102.12092", view="labelled", objective=FRECHET)
def dalle(hp, spec):
    """DALL-E (Ramesh et al., 2021): a transformer over the words of a caption and the codes of its image.

    Captions are made from class names and from shade and size, measured on the images, see `tfgen.layers.Captions`. The
    first stage is that of `vqvae`.
    """
    number = classes(spec, "dalle", "vqvae")
    captions = Captions([title_of(label, spec.class_names) for label in range(number)])
    codes, about = quantizer(hp)(), sizes(hp, spec)
    encoder = networks.encoder(spec.image_shape, codes, **about)
    positions = math.prod(grids_of(encoder)[0])
    prior = transformer_prior(hp, (captions.most + positions, 1), captions.size + codes.codes,
                              [(captions.most, captions.size), (positions, codes.codes)])
    model = DALLE(encoder, networks.decoder(spec.image_shape, **about), [prior], captions,
                  hp.Float("caption_weight", 0.0, 1.0, default=0.125), hp.Float("omission", 0.0, 0.9, default=0.1),
                  **shared(hp))
    return two_stages(hp, model)
