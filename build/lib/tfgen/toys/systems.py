"""Adversarial systems for points in the plane (`toys.problems`), small enough for one CPU core.

These are not image recipes and are not registered; `apps/gan_failure_modes.py` and tests use them. Latents are two-
dimensional, as the data. Cosine decay of the learning rates to 0 and averaging of the generator suppress the oscillation
of the two players.
"""

import keras
import numpy as np

from tfgen import seeds
from tfgen.losses import Hinge, NonSaturating, Wasserstein
from tfgen.losses.penalties import GradientPenalty
from tfgen.models import GAN
from tfgen.toys import networks

GENERATOR = (128, 128, 128, 128)
CRITIC = (128, 128, 128)
BATCH = 512  # smaller ones lose hold of single modes
STEPS_BETWEEN_SAMPLES = 500  # steps between looks at the samples


def compiled(model, steps, rate, critic_rate):
    """Compiles with one Adam optimizer per player, whose rate decays to 0 over the player's updates."""
    optimizers = [keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(first, updates), beta_1=0.0, beta_2=0.9)
                  for first, updates in ((rate, steps), (critic_rate, steps * model.critic_steps))]
    model.compile(*optimizers, steps_per_execution=50)
    return model


def gan(mixture, steps):
    """The GAN of Goodfellow et al. (2014), non-saturating, on the networks of the others."""
    scale = mixture.scale
    return compiled(GAN(networks.generator(2, GENERATOR, scale), networks.critic(CRITIC, scale), NonSaturating(), ema=0.995),
                    steps, 2e-3, 2e-3)


def wgan_gp(mixture, steps, penalty_weight=0.1, critic_steps=1):
    """WGAN-GP (Gulrajani et al., 2017), with one critic step in place of their five: equally good here, and faster.

    The critic's slope is penalised towards 1 / scale, which is 1 in the units of its network's inputs.
    """
    scale = mixture.scale
    penalty = GradientPenalty(penalty_weight, target=1.0 / scale)
    return compiled(GAN(networks.generator(2, GENERATOR, scale), networks.critic(CRITIC, scale), Wasserstein(), [penalty],
                        critic_steps=critic_steps, ema=0.995), steps, 2e-3, 4e-3)


def sngan(mixture, steps, gain=1.5, critic_steps=2):
    """SN-GAN (Miyato et al., 2018), hinge loss.

    Four layers of gain 1.5 allow a slope of 5 (1 is too small); with one critic step instead of two, some
    seeds lose a mode late in training.
    """
    scale = mixture.scale
    return compiled(GAN(networks.generator(2, GENERATOR, scale), networks.critic(CRITIC, scale, spectral=True, gain=gain),
                        Hinge(), critic_steps=critic_steps, ema=0.995), steps, 2e-3, 2e-3)


def collapsing_gan(mixture, steps):
    """A GAN that collapses: high-dimensional latents, a constant learning rate, no averaging (after Metz et al., 2017)."""
    scale = mixture.scale
    model = GAN(networks.generator(64, (128, 128), scale), networks.critic((128, 128), scale), NonSaturating())
    model.compile(*(keras.optimizers.Adam(1e-3, 0.5) for _ in range(2)), steps_per_execution=50)
    return model


SYSTEMS = {"gan": gan, "wgan_gp": wgan_gp, "sngan": sngan, "collapsing_gan": collapsing_gan}


def train(name, mixture, steps=10000, seed=0, moments=(), samples=2500):
    """Trains a system of `SYSTEMS` on a mixture.

    Args:
        name: name of the system.
        mixture: a `toys.problems.ToyMixture`.
        steps: number of generator updates, a multiple of 500 or less than 500.
        seed: seed of weights, noise and data.
        moments: steps, multiples of 500, after which samples are drawn.
        samples: number of samples.

    Returns:
        The model and {step: float32 (samples, 2)} for the moments and the end.
    """
    seeds.set_random(seed)
    model, kept, every = SYSTEMS[name](mixture, steps), {}, min(STEPS_BETWEEN_SAMPLES, steps)
    model.steps_per_execution = min(50, every)

    def look(epoch, logs):
        if (epoch + 1) * every in (*moments, steps):
            kept[(epoch + 1) * every] = model.sample(np.arange(samples)).numpy()

    model.fit(mixture.stream(BATCH * model.critic_steps, seed), steps_per_epoch=every, epochs=steps // every, shuffle=False,
              verbose=0, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=look)])
    return model, kept
