"""Fields: signals as functions of coordinates, scenes as functions of rays, images as fields with a latent."""

from tfgen.losses.differential import Gradient, Value
from tfgen.models import GON, Field, NeRF
from tfgen.networks import siren as networks
from tfgen.recipes.hyperparameters import compiled_with_schedule
from tfgen.recipes.hyperparameters import latent_dim as latents
from tfgen.recipes.registry import recipe


def hidden(hp):
    """Units per hidden layer, [units] * hidden_layers."""
    return [hp.Int("units", 4, 2048, default=256)] * hp.Int("hidden_layers", 1, 16, default=4)


def frequencies(hp, first=30.0):
    """w0 of the first and of the other layers of sines."""
    return {"first_w0": hp.Float("first_w0", 1.0, 1e5, default=first, sampling="log"),
            "w0": hp.Float("w0", 1.0, 1e3, default=30.0, sampling="log")}


def sine_field(hp, spec, observe, **parts):
    """A SIREN of the signal of a spec, as the authors' one after which three layers of sines follow. The first w0 is the
    paper's: 3,000 for sound, whose time has one axis, else 30."""
    *sides, channels = spec.image_shape
    first = 3000.0 if len(sides) == 1 else 30.0
    network = networks.siren(len(sides), hidden(hp), channels, **frequencies(hp, first), **parts)
    return compiled_with_schedule(Field(network, spec.image_shape, observe), hp, 1e-4)


@recipe(family="field", paper="arXiv:2006.09661", view="signal", batch_size=4096)
def siren(hp, spec):
    """SIREN (Sitzmann et al., 2020): a network of sines from coordinates to the values of one signal.

    With learning_rate=1e-3 and cosine_decay=true an image is fitted in a minute on a CPU.
    """
    return sine_field(hp, spec, Value())


@recipe(family="field", paper="arXiv:2006.09661", view="gradients", batch_size=4096)
def siren_poisson(hp, spec):
    """SIREN from gradients alone (Sitzmann et al., 2020): solves Poisson's equation, up to a constant."""
    return sine_field(hp, spec, Gradient(), constant=False)


@recipe(family="field", paper="arXiv:2006.10739", view="signal", batch_size=4096)
def fourier_features(hp, spec):
    """ReLU network of Fourier features (Tancik et al., 2020); encoding=none is a plain ReLU network.

    `scale` is the Gaussian's standard deviation (the paper's for images, 10) or the highest positional frequency.
    """
    *sides, channels = spec.image_shape
    network = networks.relu(len(sides), hidden(hp), channels,
                            hp.Choice("encoding", list(networks.ENCODINGS), default="gaussian"),
                            hp.Int("features", 4, 4096, default=256),
                            hp.Float("scale", 0.1, 1000.0, default=10.0, sampling="log"))
    return compiled_with_schedule(Field(network, spec.image_shape), hp, 1e-3)


@recipe(family="field", paper="arXiv:2003.08934", view="posed", batch_size=4096)
def nerf(hp, spec):
    """NeRF (Mildenhall et al., 2020): density and colour of points, rendered along rays; coarse and fine networks.

    The defaults are the paper's for views rendered over white, at distances of 2 to 6, but for its rate, which also falls to
    a tenth during training.
    """
    shared = {"units": hp.Int("units", 4, 2048, default=256), "layers": hp.Int("hidden_layers", 1, 16, default=8),
              "channels": spec.image_shape[-1],
              "position_frequencies": hp.Int("position_frequencies", 1, 16, default=10),
              "direction_frequencies": hp.Int("direction_frequencies", 1, 16, default=4)}
    model = NeRF(networks.radiance(**shared, name="coarse"), networks.radiance(**shared, name="fine"), spec.image_shape,
                 spec.focal, hp.Float("near", 0.0, 1e3, default=2.0), hp.Float("far", 1e-3, 1e4, default=6.0),
                 hp.Int("coarse_samples", 3, 1024, default=64), hp.Int("fine_samples", 1, 1024, default=128),
                 hp.Float("background", 0.0, 1.0, default=1.0))
    return compiled_with_schedule(model, hp, 5e-4)


@recipe(family="field", paper="arXiv:2007.02798", batch_size=64)
def gon(hp, spec):
    """Gradient origin network (Bond-Taylor & Willcocks, 2021): SIRENs whose latent is a gradient at the origin."""
    latent = latents(hp, 32)
    network = networks.siren(2 + latent, hidden(hp), spec.image_shape[-1], **frequencies(hp))
    model = GON(network, spec.image_shape, hp.Float("origin_step", 1e-4, 10.0, default=1.0 / 64.0, sampling="log"))
    return compiled_with_schedule(model, hp, 1e-4)
