"""Models of discrete codes: an autoencoder, then a prior over its codes, within one training."""

import keras

from tfgen.layers import VectorQuantizer
from tfgen.models import VQVAE, CodePrior
from tfgen.networks import pixelcnn
from tfgen.networks import vector_quantised as networks
from tfgen.recipes.hyperparameters import first_stage, stage_rates
from tfgen.recipes.registry import recipe

FRECHET = ("val_frechet_distance", "min")


def quantizer(hp):
    """A function of no arguments that makes a quantizer; its codebook is a running average, or trained."""
    size, trained = hp.Int("codebook_size", 2, 65536, default=512), hp.Choice("codebook", ["ema", "trained"]) == "trained"
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


def two_stages(hp, spec, encoder, decoder, size):
    """A VQ-VAE with a gated PixelCNN per grid of codes, each conditioned on the one before."""
    grids = [codes.shape[1:] for codes in encoder.outputs[len(encoder.outputs) // 3:][:len(encoder.outputs) // 3]]
    priors = [pixel_prior(hp, grid, size, above) for grid, above in zip(grids, [None, *grids])]
    model = VQVAE(encoder, decoder, priors, max(1, first_stage(hp, "autoencoder_share")),
                  hp.Float("data_variance", 1e-4, 1.0, default=0.0632))
    model.compile(keras.optimizers.Adam(stage_rates(hp, 2e-4, 1e-3, model.autoencoder_steps)))
    return model


@recipe(family="vector_quantised", paper="arXiv:1711.00937", objective=FRECHET)
def vqvae(hp, spec):
    """VQ-VAE (van den Oord et al., 2017): an autoencoder of discrete codes, then a gated PixelCNN over them.

    Sizes of the autoencoder are those of the authors' public example for CIFAR-10; `data_variance` is that of its pixels.
    """
    make, about = quantizer(hp), sizes(hp, spec)
    first = make()
    return two_stages(hp, spec, networks.encoder(spec.image_shape, first, **about),
                      networks.decoder(spec.image_shape, **about), first.codes)


@recipe(family="vector_quantised", paper="arXiv:1906.00446", objective=FRECHET)
def vqvae2(hp, spec):
    """VQ-VAE-2 (Razavi et al., 2019): two grids of codes, the finer one conditioned on the coarser one."""
    make, about = quantizer(hp), sizes(hp, spec)
    both = make(), make()
    return two_stages(hp, spec, networks.two_level_encoder(spec.image_shape, both, **about),
                      networks.two_level_decoder(spec.image_shape, **about), both[0].codes)
