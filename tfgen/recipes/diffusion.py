"""Diffusion models: what the network predicts, the levels of noise, and the label are arguments."""

from tfgen.models.diffusion import (
    AutoguidedDiffusion,
    Clean,
    Diffusion,
    DiscreteDiffusion,
    Epsilon,
    GuidedDiffusion,
    Preconditioned,
    Straight,
    Velocity,
)
from tfgen.networks import diffusion_unet
from tfgen.optimizers import Adam, Muon
from tfgen.recipes.hyperparameters import classes, first_stage, scheduled_rate
from tfgen.recipes.registry import recipe
from tfgen.samplers.noise_levels import CosineBetas, KarrasLevels, LinearBetas, StraightLevels

FRECHET = ("val_frechet_distance", "min")
OPTIMIZERS = {"adam": Adam, "muon": Muon}
PREDICTIONS = {"epsilon": Epsilon, "clean": Clean, "velocity": Velocity}


def network(hp, spec, dropout, num_classes=None, outputs=None):
    """The U-Net: the grids of the smallest images are few, and those of at most 16 places a side have attention."""
    filters, patch = hp.Int("filters", 2, 512, default=64), hp.Int("patch", 1, 16, default=1)
    sides = [-(-side // patch) for side in spec.image_shape[:2]]
    grids = hp.Int("grids", 1, 6, default=max(1, min(3, min(sides).bit_length() - 2)))
    attention = [number for number in range(grids) if max(sides) / 2**number <= 16]
    return diffusion_unet.unet(
        spec.image_shape, filters, [1] + [2] * (grids - 1), hp.Int("residual_blocks", 1, 8, default=2), attention,
        hp.Int("heads", 1, 16, default=1), hp.Float("dropout", 0.0, 0.9, default=dropout), num_classes, outputs,
        patch)


def sampling(hp, steps=20, sampler="dpm"):
    """Arguments of a model that its samplers need."""
    return {"ema": hp.Float("ema", 0.0, 0.99999, default=0.999), "steps": hp.Int("sampling_steps", 1, 1000, default=steps),
            "sampler": hp.Choice("sampler", ["dpm", "ddim", "heun", "ancestral"], default=sampler)}


def compiled(model, hp, rate):
    """Compiles with Adam or Muon and, if asked, a warm-up and a decay."""
    optimizer = OPTIMIZERS[hp.Choice("optimizer", list(OPTIMIZERS), default="adam")]
    model.compile(optimizer(scheduled_rate(hp, rate)))
    return model


def karras(hp):
    """Levels and parametrisation of Karras et al. (2022)."""
    levels = KarrasLevels(largest=hp.Float("largest_sigma", 1.0, 1000.0, default=80.0),
                          mean=hp.Float("level_mean", -5.0, 5.0, default=-1.2),
                          deviation=hp.Float("level_deviation", 0.1, 3.0, default=1.2))
    return levels, Preconditioned(hp.Float("data_deviation", 0.05, 2.0, default=0.5))


@recipe(family="diffusion", paper="arXiv:2006.11239", objective=FRECHET)
def ddpm(hp, spec):
    """DDPM (Ho et al., 2020): a U-Net predicts the noise of 1,000 levels; `log_prob` is the variational bound.

    Hyperparameters select the levels, the prediction and the variances of Nichol & Dhariwal (2021) and Salimans & Ho (2022).
    The authors sample by 1,000 `ancestral` steps, which are options of `sample`; the default is 20 of DPM-Solver++.
    """
    levels = {"linear": LinearBetas, "cosine": CosineBetas}[hp.Choice("schedule", ["linear", "cosine"], default="linear")]
    prediction = PREDICTIONS[hp.Choice("prediction", list(PREDICTIONS), default="epsilon")]
    variances = {"large": 1.0, "small": 0.0, "learned": None}
    mix = variances[hp.Choice("variance", list(variances), default="large")]
    channels = spec.image_shape[-1]
    unet = network(hp, spec, 0.1, outputs=channels if mix is not None else 2 * channels)
    model = DiscreteDiffusion(unet, levels(hp.Int("noise_levels", 21, 4000, default=1000)), prediction(), mix, clip=True,
                              grey_levels=spec.levels, **sampling(hp))
    return compiled(model, hp, 2e-4)


@recipe(family="diffusion", paper="arXiv:2206.00364", objective=FRECHET)
def edm(hp, spec):
    """EDM (Karras et al., 2022): inputs and targets of variance 1 at each level, levels from a log-normal, Heun's rule.

    With `early_share`, the weights after that share of the training are kept and guide the model (Karras et al., 2024).
    """
    parts = network(hp, spec, 0.13), *karras(hp)
    if early := first_stage(hp, "early_share", default=0.0):
        model = AutoguidedDiffusion(*parts, early, hp.Float("guidance", 0.0, 20.0, default=1.5), **sampling(hp, 18, "heun"))
    else:
        model = Diffusion(*parts, **sampling(hp, 18, "heun"))
    return compiled(model, hp, 1e-3)


@recipe(family="diffusion", paper="arXiv:2207.12598", view="labelled", objective=FRECHET)
def conditional_diffusion(hp, spec):
    """Classifier-free guidance (Ho & Salimans, 2022): one EDM with and without label, extrapolated towards the label."""
    number = classes(spec, "conditional_diffusion", "edm")
    model = Diffusion(network(hp, spec, 0.13, number), *karras(hp), number, hp.Float("omission", 0.0, 0.9, default=0.1),
                      guidance=hp.Float("guidance", 0.0, 20.0, default=1.5), **sampling(hp))
    return compiled(model, hp, 1e-3)


@recipe(family="diffusion", paper="arXiv:2105.05233", view="labelled", objective=FRECHET)
def guided_diffusion(hp, spec):
    """Classifier guidance (Dhariwal & Nichol, 2021): a classifier of noisy images steers an unconditional EDM.

    At a weight of 1, Bayes' rule, the authors' samples did not match their classes (section 4.3); they take 10 for
    unconditional models. The classifier here shares the denoiser's rate and has no weight decay.
    """
    number = classes(spec, "guided_diffusion", "edm")
    unet = network(hp, spec, 0.13)
    filters, grids = hp.Int("classifier_filters", 2, 512, default=32), max(1, min(3, min(spec.image_shape[:2]) // 7))
    classifier = diffusion_unet.classifier(spec.image_shape, number, filters, [1] + [2] * (grids - 1))
    model = GuidedDiffusion(unet, *karras(hp), classifier, guidance=hp.Float("guidance", 0.0, 20.0, default=4.0),
                            **sampling(hp))
    return compiled(model, hp, 1e-3)


@recipe(family="diffusion", paper="arXiv:2210.02747", objective=FRECHET)
def flow_matching(hp, spec):
    """Flow matching on straight paths (Lipman et al., 2023; Liu et al., 2023): the network predicts noise - image."""
    model = Diffusion(network(hp, spec, 0.0), StraightLevels(), Straight(), **sampling(hp, 20, "ddim"))
    return compiled(model, hp, 1e-3)
