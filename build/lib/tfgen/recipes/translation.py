"""Image-to-image translation: with pairs, and between two domains without."""


from tfgen.layers import Jitter
from tfgen.models import CycleGAN, Pix2Pix
from tfgen.networks import translation
from tfgen.recipes.gans import OBJECTIVE
from tfgen.recipes.hyperparameters import adam, base_filters, critic_layers, objective, players
from tfgen.recipes.registry import recipe
from tfgen.schedules import HoldThenDecay


def jitter(hp, spec):
    """The papers' augmentation: enlarging, cropping, mirroring; under 64 pixels mirroring only."""
    small = min(spec.image_shape[:2]) < 64
    return Jitter(hp.Float("jitter", 1.0, 2.0, default=1.0 if small else 286 / 256), hp.Boolean("flip", default=True))


@recipe(family="translation", paper="arXiv:1611.07004", view="paired", objective=("val_l1", "min"), batch_size=1)
def pix2pix(hp, spec):
    """pix2pix (Isola et al., 2017): U-Net with dropout as noise, patch critic, L1 loss."""
    source, width, norm = spec.source_shape or spec.image_shape, base_filters(hp), hp.Choice(
        "norm", ["instance", "batch"], default="instance")
    model = Pix2Pix(translation.unet(source, spec.image_shape, width, norm, hp.Float("dropout", 0.0, 0.9, default=0.5)),
                    translation.patchgan(spec.image_shape, source, width, critic_layers(hp, spec), norm),
                    objective(hp, "non_saturating"), hp.Float("l1_weight", 0.0, 1000.0, default=100.0),
                    hp.Float("adversarial_weight", 0.0, 100.0, default=1.0), jitter(hp, spec))
    return players(model, hp, 2e-4)


@recipe(family="translation", paper="arXiv:1703.10593", view="unpaired", objective=OBJECTIVE, batch_size=1)
def cyclegan(hp, spec):
    """CycleGAN (Zhu et al., 2017): two residual generators with cycle consistency, patch critics, image pools."""
    source, image, width = spec.source_shape or spec.image_shape, spec.image_shape, base_filters(hp)
    blocks = hp.Int("blocks", 1, 16, default=translation.default_blocks(image))
    make = {"residual": lambda *shapes: translation.residual(*shapes, width, blocks),
            "unet": lambda *shapes: translation.unet(*shapes, width, dropout=0.0)}[
        hp.Choice("generator", ["residual", "unet"], default="residual")]
    depth = critic_layers(hp, spec)
    # Least squares have a factor 1/2 in Mao et al. (2017) that they lack here: a weight of 2 is the paper's.
    model = CycleGAN(make(source, image), make(image, source), *(
        translation.patchgan(shape, None, width, depth) for shape in (source, image)), objective(hp, "least_squares"),
        hp.Float("cycle_weight", 0.0, 100.0, default=10.0),
        hp.Float("identity_weight", 0.0, 10.0, default=0.5 if source == image else 0.0),
        hp.Int("pool_size", 0, 1000, default=50), hp.Float("adversarial_weight", 0.0, 100.0, default=2.0), jitter(hp, spec))
    # 200 epochs of single images, as in the paper, unless a run says how long it is.
    steps = hp.total_steps(default=200 * spec.sizes.get("train", 1000))
    return players(model, hp, 2e-4, optimizer=adam(schedule=(lambda rate, _: HoldThenDecay(rate, steps)) if steps else None))
