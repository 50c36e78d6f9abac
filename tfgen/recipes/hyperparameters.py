"""Hyperparameters that several recipes ask for, and how they compile."""

import keras

from tfgen import schedules
from tfgen.errors import UserError
from tfgen.layers import AdaptiveAugmentation, DiffAugment
from tfgen.losses import Hinge, LeastSquares, NonSaturating, Wasserstein
from tfgen.losses.penalties import GradientPenalty
from tfgen.models.base.generative import SPAN
from tfgen.networks import translation
from tfgen.optimizers import Adam, RestartedAdam


def first_stage(hp, name, batches_per_step=1, default=0.5):
    """Length of the first training stage in steps: a fraction of `total_steps`, or of 2,000 if that is unknown.

    At least 1, but for a fraction of 0.
    """
    steps, share = hp.total_steps(batches_per_step) or 2000, hp.Float(name, 0.0, 1.0, default=default)
    return max(1, int(steps * share)) if share else 0


def learning_rate(hp, default=1e-3):
    return hp.Float("learning_rate", 1e-5, 1e-1, default=default, sampling="log")


def compile_with_cosine_decay(model, hp):
    """Compiles with Adam and cosine decay to zero (Loshchilov & Hutter, 2017); constant if `total_steps` is unknown."""
    rate, steps = learning_rate(hp), hp.total_steps()
    model.compile(Adam(keras.optimizers.schedules.CosineDecay(rate, steps) if steps else rate))
    return model


def phase_steps(hp, name, phases, usual, batches_per_step=1):
    """Length of a phase in steps: the value given, else `total_steps / phases`, or `usual` if the length is unknown."""
    total = hp.total_steps(batches_per_step)
    return hp.Steps(name) or (max(1, total // phases) if total else usual)


def compiled(model, hp, default=1e-3, optimizer=Adam, **options):
    """Compiles with an optimizer that has these options; its learning rate is a hyperparameter."""
    model.compile(optimizer(learning_rate(hp, default), **options))
    return model


def scheduled_rate(hp, default):
    """Hyperparameter `learning_rate`, constant, but for a linear warm-up over `warmup_steps` from 0 and, with
    `cosine_decay`, a decay to 0 at `total_steps` (Loshchilov & Hutter, 2017), if that is known."""
    rate = learning_rate(hp, default)
    warmup, decayed = hp.Steps("warmup_steps"), decays(hp)
    return rising(rate, warmup, hp.total_steps() if decayed else 0)


def decays(hp):
    """Whether rates decay: hyperparameter `cosine_decay`, and `total_steps` is known."""
    return hp.Boolean("cosine_decay", default=False) and hp.total_steps() > 0


def rising(rate, warmup, steps):
    """A rate that rises linearly from 0 in `warmup` steps (0: none), then decays by a cosine to 0 at `steps` (0: never)."""
    if not steps:
        return schedules.warmup(warmup, rate) if warmup else rate
    warmup = min(warmup, steps // 2)
    start = {"warmup_target": rate, "warmup_steps": warmup} if warmup else {}
    return keras.optimizers.schedules.CosineDecay(0.0 if warmup else rate, steps - warmup, **start)


def compiled_with_schedule(model, hp, default, optimizer=Adam, **options):
    """Compiles with an optimizer that has these options and the rate of `scheduled_rate`."""
    model.compile(optimizer(scheduled_rate(hp, default), **options))
    return model


def adam_of_stages(hp, default, prior_default, first, features=0, **options):
    """An Adam, with these options, of an autoencoder for `first` steps, then of a prior over its codes.

    Hyperparameters `learning_rate` and `prior_learning_rate`; with `cosine_decay`, each rate decays to 0 at the end of its
    stage, if `total_steps` is known; the prior's rises from 0 over `prior_warmup_steps`. Before, features are learned for
    `features` steps at 1e-3.
    """
    rates = learning_rate(hp, default), hp.Float("prior_learning_rate", 1e-5, 1e-1, default=prior_default, sampling="log")
    total = hp.total_steps()
    rest = total - features - first
    if total and rest < 1:
        raise UserError(f"expected stages that leave the prior some of {total} steps, received {features + first} "
                        "before it: choose a smaller autoencoder_share")
    ends = (first, rest) if decays(hp) else (0, 0)
    parts = [rising(rates[0], 0, ends[0]), rising(rates[1], hp.Steps("prior_warmup_steps"), ends[1])]
    starts = [features, features + first] if features else [first]
    return RestartedAdam(schedules.Consecutive([1e-3, *parts] if features else parts, starts), starts=starts, **options)


def encoder_channels(hp):
    """Channels per level of a convolutional encoder, doubled from level to level."""
    first = hp.Int("filters", 4, 256, default=32)
    return [first * 2**level for level in range(hp.Int("levels", 1, 5, default=2))]


def adam(beta_1=0.5, beta_2=0.999, starts=(), schedule=None):
    """A player's optimizer, as a function of its rate and of its updates per training step.

    Args:
        beta_1, beta_2: of Adam.
        starts: training steps at which it begins anew, see `RestartedAdam`.
        schedule: function (rate, updates per training step) -> schedule of the optimizer; None: a constant rate.
    """
    def make(rate, updates):
        rate = rate if schedule is None else schedule(rate, updates)
        return RestartedAdam(rate, beta_1, beta_2, starts=[updates * start for start in starts]) if starts else (
            Adam(rate, beta_1, beta_2))

    return make


def linear_decay(hp, model):
    """The schedule for `adam` with which rates decay linearly to 0 at the end of a run; None if its length is not known."""
    steps = hp.total_steps(model.critic_steps)
    return (lambda rate, updates: schedules.Shaped(rate, "linear", 0, steps * updates)) if steps else None


def average(hp, default=0.0):
    """`ema`, the decay of the average of the generator's weights that samples; 0: samples are of the last weights."""
    return hp.Float("ema", 0.0, 0.9999, default=default)


def players(model, hp, rate, critic_rate=None, optimizer=adam()):
    """Compiles with one optimizer per player; their learning rates may differ (Heusel et al., 2017).

    Args:
        rate, critic_rate: default learning rates; None: the critic's is the generator's.
        optimizer: function (rate, updates per training step) -> optimizer.
    """
    rates = (hp.Float("learning_rate", 1e-6, 1e-1, default=rate, sampling="log"),
             hp.Float("critic_learning_rate", 1e-6, 1e-1, default=critic_rate or rate, sampling="log"))
    model.compile(optimizer(rates[0], 1), optimizer(rates[1], model.critic_steps))
    return model


def latent_dim(hp, default=100):
    return hp.Int("latent_dim", 1, 1024, default=default)


def base_filters(hp, default=64):
    return hp.Int("filters", 2, 512, default=default)


def classes(spec, name, instead):
    """The number of classes of data with labels.

    Raises:
        UserError: for data without.
    """
    if not spec.num_classes:
        raise UserError(f"{name} expects labelled data, '{spec.name}' has no labels; use {instead}")
    return spec.num_classes


def gradient_penalty(hp):
    """The penalty of WGAN-GP, in the units of the paper's images; hyperparameter `penalty_weight`."""
    return GradientPenalty(hp.Float("penalty_weight", 0.1, 100.0, default=10.0, sampling="log"), scale=SPAN)


OBJECTIVES = {"non_saturating": NonSaturating, "least_squares": LeastSquares, "hinge": Hinge, "wasserstein": Wasserstein}


def objective(hp, default):
    return OBJECTIVES[hp.Choice("objective", list(OBJECTIVES), default=default)]()


CRITIC_AUGMENTATIONS = {"none": lambda: None, "diffaugment": DiffAugment, "ada": AdaptiveAugmentation}


def critic_augmentation(hp, objective):
    """Hyperparameter `augmentation`: how the critic sees images in training, for GANs of few images; `ada` only for
    objectives with a boundary."""
    names = [name for name in CRITIC_AUGMENTATIONS if name != "ada" or objective.boundary is not None]
    return CRITIC_AUGMENTATIONS[hp.Choice("augmentation", names, default="none")]()


def critic_layers(hp, spec, within=False):
    """Stride-2 layers of a PatchGAN critic: its receptive field is 1 pixel for 0, 16 for 1, 70 for 3, 286 for 5.

    By default 3, or with `within` as many up to 3 as have a receptive field smaller than the image, at least 1.
    """
    deepest = translation.deepest(spec.image_shape)
    local = [depth for depth in (1, 2, 3) if translation.receptive_field(depth) < min(spec.image_shape[:2])]
    return hp.Int("critic_layers", 0, deepest, default=min(max([1, *local]) if within else 3, deepest))
