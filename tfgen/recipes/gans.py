"""GANs: what differs between systems is the objective, a penalty, the critic's normalisation or the condition."""

import keras

from tfgen import networks
from tfgen.distributions.priors import Normal, TruncatedNormal, Uniform
from tfgen.layers import Clip
from tfgen.losses import Energy, EnergyMargin, Hinge, LeastSquares, Lipschitz, Minimax, NonSaturating, Wasserstein
from tfgen.losses.penalties import R1, MaxGradientPenalty
from tfgen.models import AAE, ACGAN, BEGAN, EBGAN, GAN, InfoGAN, ProGAN, StackGAN, StyleGAN
from tfgen.models.base.generative import SPAN
from tfgen.recipes.hyperparameters import (
    adam,
    average,
    base_filters,
    classes,
    critic_augmentation,
    gradient_penalty,
    latent_dim,
    linear_decay,
    phase_steps,
    players,
)
from tfgen.recipes.registry import recipe

OBJECTIVE = ("val_frechet_distance", "min")


def conv_gan(hp, spec, objective, critic_norm=None, latent=100, spectral=False, constraint=None, **parts):
    """A `GAN` on the all-convolutional networks."""
    width, depth = latent_dim(hp, latent), base_filters(hp)
    labels = {"num_classes": parts.get("num_classes")}
    return GAN(networks.dcgan.generator(spec.image_shape, width, depth, **labels),
               networks.dcgan.critic(spec.image_shape, depth, critic_norm, spectral, constraint=constraint, **labels),
               objective, critic_augmentation=critic_augmentation(hp, objective), **parts)


@recipe(family="gan", paper="arXiv:1406.2661", objective=OBJECTIVE)
def gan(hp, spec):
    """GAN (Goodfellow et al., 2014): fully connected networks, saturating or non-saturating objective.

    As in the authors' code, dropout leaves out a fifth of the critic's inputs and half of its hidden units (there maxout).
    """
    units, width = hp.Int("units", 4, 4096, default=256), latent_dim(hp)
    saturating = hp.Choice("objective", ["non_saturating", "minimax"], default="non_saturating") == "minimax"
    smoothing = hp.Float("label_smoothing", 0.0, 0.4, default=0.0)
    objective = Minimax(smoothing) if saturating else NonSaturating(smoothing)
    dropouts = hp.Float("input_dropout", 0.0, 0.9, default=0.2), hp.Float("dropout", 0.0, 0.9, default=0.5)
    model = GAN(networks.mlp.decoder(width, [units, 2 * units], spec.image_shape, "leaky_relu", "sigmoid"),
                networks.mlp.encoder(spec.image_shape, [2 * units, units], 1, "leaky_relu", dropouts=dropouts), objective,
                prior=Uniform(),
                critic_steps=hp.Int("critic_steps", 1, 10, default=1),
                historical_averaging=hp.Float("historical_averaging", 0.0, 10.0, default=0.0),
                critic_augmentation=critic_augmentation(hp, objective))
    return players(model, hp, 2e-4)


@recipe(family="gan", paper="arXiv:1511.06434", objective=OBJECTIVE)
def dcgan(hp, spec):
    """DCGAN (Radford et al., 2016): all convolutional, batch normalisation, weights from N(0, 0.02)."""
    model = conv_gan(hp, spec, NonSaturating(hp.Float("label_smoothing", 0.0, 0.4, default=0.0)), critic_norm="batch",
                     prior=Uniform(), ema=average(hp))
    return players(model, hp, 2e-4)


@recipe(family="gan", paper="arXiv:1411.1784", view="labelled", objective=OBJECTIVE)
def cgan(hp, spec):
    """Conditional GAN (Mirza & Osindero, 2014): the embedded label is an input of both networks."""
    model = conv_gan(hp, spec, NonSaturating(), critic_norm="batch", num_classes=classes(spec, "cgan", "dcgan"))
    return players(model, hp, 2e-4)


@recipe(family="gan", paper="arXiv:1610.09585", view="labelled", objective=OBJECTIVE)
def acgan(hp, spec):
    """Auxiliary-classifier GAN (Odena et al., 2017): the critic also predicts the class."""
    count, width, depth = classes(spec, "acgan", "dcgan"), latent_dim(hp), base_filters(hp)
    model = ACGAN(networks.dcgan.generator(spec.image_shape, width, depth, num_classes=count),
                  networks.dcgan.critic(spec.image_shape, depth, "batch", head=count), count,
                  hp.Float("class_weight", 0.0, 10.0, default=1.0), hp.Float("fake_weight", 0.0, 10.0, default=1.0),
                  hp.Float("generator_weight", 0.0, 10.0, default=1.0), objective=NonSaturating(),
                  critic_augmentation=critic_augmentation(hp, NonSaturating()))
    return players(model, hp, 2e-4)


@recipe(family="gan", paper="arXiv:1606.03657", objective=OBJECTIVE)
def infogan(hp, spec):
    """InfoGAN (Chen et al., 2016): part of the latent is a code that a linear head of the critic predicts.

    The networks are those of `dcgan`. The authors' for MNIST have the same convolutions and further dense layers: of 1,024
    units after the latent and before the score and the head, and of 128 in the head.
    """
    noise_dim, depth = hp.Int("latent_dim", 1, 1024, default=62), base_filters(hp)
    categories, codes = hp.Int("categories", 0, 100, default=10), hp.Int("codes", 0, 8, default=2)
    model = InfoGAN(networks.dcgan.generator(spec.image_shape, noise_dim + categories + codes, depth),
                    networks.dcgan.critic(spec.image_shape, depth, "batch", head=categories + codes), categories, codes,
                    hp.Float("information_weight", 0.0, 10.0, default=1.0), hp.Float("code_weight", 0.0, 10.0, default=1.0),
                    objective=NonSaturating(), prior=Uniform(), critic_augmentation=critic_augmentation(hp, NonSaturating()))
    return players(model, hp, 1e-3, 2e-4)


@recipe(family="gan", paper="arXiv:1611.04076", objective=OBJECTIVE)
def lsgan(hp, spec):
    """LSGAN (Mao et al., 2017): least squares in place of cross-entropy."""
    return players(conv_gan(hp, spec, LeastSquares(), critic_norm="batch"), hp, 2e-4)


@recipe(family="gan", paper="arXiv:1701.07875", objective=OBJECTIVE)
def wgan(hp, spec):
    """WGAN (Arjovsky et al., 2017): Wasserstein critic with clipped weights, RMSProp, five critic steps.

    The authors' code also gives the critic 100 steps in each of the first 25 and every 500th step.
    """
    model = conv_gan(hp, spec, Wasserstein(), critic_norm="batch",
                     constraint=Clip(hp.Float("clip", 1e-4, 1.0, default=0.01, sampling="log")),
                     critic_steps=hp.Int("critic_steps", 1, 10, default=5))
    # PyTorch divides by sqrt(v) + 1e-8, Keras by sqrt(v + epsilon), here at most a factor sqrt(2) less. With Keras' 1e-7
    # gradients below 3e-4 would move weights by less than the rate, and with clipped weights most are below.
    return players(model, hp, 5e-5, optimizer=lambda rate, _: keras.optimizers.RMSprop(rate, rho=0.99, epsilon=1e-16))


@recipe(family="gan", paper="arXiv:1704.00028", objective=OBJECTIVE)
def wgan_gp(hp, spec):
    """WGAN-GP (Gulrajani et al., 2017): Wasserstein critic with a gradient penalty."""
    model = conv_gan(hp, spec, Wasserstein(), critic_norm="layer", latent=128, penalties=[gradient_penalty(hp)],
                     critic_steps=hp.Int("critic_steps", 1, 10, default=5))
    return players(model, hp, 1e-4, optimizer=adam(0.0, 0.9))


@recipe(family="gan", paper="arXiv:1902.05687", objective=OBJECTIVE)
def lipschitz_gan(hp, spec):
    """Lipschitz GAN (Zhou et al., 2019): softplus objective, penalty on the largest gradient norm per batch.

    Rates decay linearly to 0 at the end of a run, as in the authors' code, which also averages the generator's weights (here
    with `ema`).
    """
    penalty = MaxGradientPenalty(hp.Float("penalty_weight", 1e-3, 100.0, default=0.1, sampling="log"), scale=SPAN)
    model = conv_gan(hp, spec, Lipschitz(), latent=128, penalties=[penalty],
                     critic_steps=hp.Int("critic_steps", 1, 10, default=5), ema=average(hp))
    return players(model, hp, 2e-4, optimizer=adam(0.0, 0.9, schedule=linear_decay(hp, model)))


@recipe(family="gan", paper="arXiv:1802.05957", objective=OBJECTIVE)
def sngan(hp, spec):
    """SN-GAN (Miyato et al., 2018): spectrally normalised critic, hinge loss.

    Rates decay linearly to 0 at the end of a run, as in the authors' code, whose critic has a 3x3 convolution more at each
    size.
    """
    model = conv_gan(hp, spec, Hinge(), latent=128, spectral=True, critic_steps=hp.Int("critic_steps", 1, 10, default=1),
                     ema=average(hp))
    return players(model, hp, 2e-4, optimizer=adam(schedule=linear_decay(hp, model)))


@recipe(family="gan", paper="arXiv:1805.08318", view="labelled", objective=OBJECTIVE)
def sagan(hp, spec):
    """SAGAN (Zhang et al., 2019): self-attention, spectral normalisation in both networks, projection, two rates."""
    count, width, depth = classes(spec, "sagan", "sngan"), latent_dim(hp, 128), base_filters(hp)
    model = GAN(networks.resnet.generator(spec.image_shape, width, count, depth),
                networks.resnet.critic(spec.image_shape, count, depth), Hinge(), num_classes=count, ema=average(hp),
                critic_augmentation=critic_augmentation(hp, Hinge()))
    return players(model, hp, 1e-4, 4e-4, optimizer=adam(0.0, 0.9))


@recipe(family="gan", paper="arXiv:1809.11096", view="labelled", objective=OBJECTIVE)
def biggan(hp, spec):
    """BigGAN (Brock et al., 2019): split latent, orthogonal regularisation, averaged generator, truncation.

    The average begins at once: its decay is (n + 1) / (n + 10) at step n until that is `ema`, 0.9999 after 90,000 steps.
    """
    count, width, depth = classes(spec, "biggan", "sngan"), latent_dim(hp, 120), base_filters(hp)
    generator = networks.resnet.generator(spec.image_shape, width, count, depth, split_latent=True,
                                          orthogonality=hp.Float("orthogonality", 0.0, 1.0, default=1e-4),
                                          initializer="orthogonal")
    critic = networks.resnet.critic(spec.image_shape, count, depth, initializer="orthogonal")
    model = GAN(generator, critic, Hinge(), num_classes=count,
                prior=TruncatedNormal(), critic_steps=hp.Int("critic_steps", 1, 10, default=2),
                ema=average(hp, 0.9999), critic_augmentation=critic_augmentation(hp, Hinge()))
    return players(model, hp, 5e-5, 2e-4, optimizer=adam(0.0, 0.999))


@recipe(family="gan", paper="arXiv:1609.03126", objective=OBJECTIVE)
def ebgan(hp, spec):
    """EBGAN (Zhao et al., 2017): the critic's energy is an autoencoder's error; margin and pull-away term.

    Energies are means over pixels of images in [0, 1], so that margin and weight are small: as in the paper, where they are
    10 and 0.1, the pull-away term has a hundredth of the margin.
    """
    width, depth, code = latent_dim(hp), base_filters(hp), hp.Int("code_dim", 1, 1024, default=64)
    channels = networks.grids.widths(depth, networks.grids.check_levels(spec.image_shape))
    objective = EnergyMargin(hp.Float("margin", 1e-3, 100.0, default=0.1, sampling="log"))
    model = EBGAN(networks.dcgan.generator(spec.image_shape, width, depth),
                  networks.energy.energy(spec.image_shape, channels, code),
                  hp.Float("pull_away_weight", 0.0, 10.0, default=0.001), objective,
                  critic_augmentation=critic_augmentation(hp, objective))
    return players(model, hp, 1e-3)


@recipe(family="gan", paper="arXiv:1703.10717", objective=OBJECTIVE)
def began(hp, spec):
    """BEGAN (Berthelot et al., 2017): autoencoding critic, whose equilibrium a control k maintains.

    As in T. Kim's public code, Adam has beta_1 = 0.9 and rates are halved every 100,000 steps; that has one convolution more
    per resolution of the encoder. The generator is like the critic's decoder, whose images a short training leaves smooth:
    `generator=dcgan` takes that of `dcgan`, as `ebgan` does, with `beta_1=0.5`.
    """
    width, depth, convolutions = latent_dim(hp, 64), base_filters(hp), hp.Int("convolutions", 1, 4, default=2)
    code = hp.Int("code_dim", 1, 1024, default=64)
    alike = hp.Choice("generator", ["decoder", "dcgan"], default="decoder") == "decoder"
    model = BEGAN(networks.energy.equilibrium_decoder(width, spec.image_shape, depth, convolutions) if alike else
                  networks.dcgan.generator(spec.image_shape, width, depth),
                  networks.energy.equilibrium(spec.image_shape, code, depth, convolutions),
                  hp.Float("diversity", 0.05, 1.0, default=0.5),
                  hp.Float("gain", 1e-4, 1.0, default=0.001, sampling="log"), Energy(), prior=Uniform(),
                  critic_augmentation=critic_augmentation(hp, Energy()))
    return players(model, hp, 1e-4, optimizer=adam(hp.Float("beta_1", 0.0, 0.999, default=0.9),
        schedule=lambda rate, _: keras.optimizers.schedules.ExponentialDecay(rate, 100_000, 0.5, staircase=True)))


@recipe(family="gan", paper="arXiv:1511.05644", objective=OBJECTIVE)
def aae(hp, spec):
    """Adversarial autoencoder (Makhzani et al., 2016): a critic matches the codes to a normal prior."""
    units, width = hp.Int("units", 4, 4096, default=512), latent_dim(hp, 8)
    model = AAE(networks.mlp.encoder(spec.image_shape, [units, units], width),
                networks.mlp.decoder(width, [units, units], spec.image_shape),
                keras.Sequential([keras.Input((width,)), keras.layers.Dense(units, "leaky_relu"),
                                  keras.layers.Dense(units, "leaky_relu"), keras.layers.Dense(1)], name="critic"),
                prior=Normal(), adversarial_weight=hp.Float("adversarial_weight", 0.0, 1000.0, default=10.0))
    return players(model, hp, 5e-4)


# Systems that draw coarse before fine: growing, a style for each resolution, stacked.

def growing(hp, stages, critic_steps=1):
    """(steps of a phase, those at which both optimizers begin anew) of networks that grow by `stages` resolutions."""
    # The first stage takes one phase, each later one two; the last stage is stable for one more.
    phases = 2 * stages
    # The authors' phases have 600,000 images, which is 9,375 batches of 64.
    phase = phase_steps(hp, "stage_steps", phases, 9375, critic_steps)
    # The authors' codes reset both optimizers when a resolution begins to fade in, and when it is there.
    return phase, [phase * index for index in range(1, phases - 1)]


@recipe(family="gan", paper="arXiv:1710.10196", objective=OBJECTIVE)
def progan(hp, spec):
    """ProGAN (Karras et al., 2018): both networks grow by resolutions that fade in."""
    width, depth = latent_dim(hp, 512), base_filters(hp)
    critic_steps, objective = hp.Int("critic_steps", 1, 10, default=1), Wasserstein(drift=0.001)
    generator = networks.progressive.generator(spec.image_shape, width, depth)
    phase, starts = growing(hp, len(generator.outputs), critic_steps)
    model = ProGAN(generator, networks.progressive.critic(spec.image_shape, depth), phase,
                   penalties=[gradient_penalty(hp)], critic_steps=critic_steps,
                   ema=average(hp, 0.999),
                   objective=objective, critic_augmentation=critic_augmentation(hp, objective))
    return players(model, hp, 1e-3, optimizer=adam(0.0, 0.99, starts=starts))


@recipe(family="gan", paper="arXiv:1812.04948", objective=OBJECTIVE)
def stylegan(hp, spec):
    """StyleGAN (Karras et al., 2019): a mapping network's styles modulate every layer; growth, mixing, noise, truncation.

    Both networks grow as those of `progan`, but from their second grid on, of 8 to 14 pixels, if they have three, as the
    authors begin with 8x8 pixels.
    """
    width, depth = latent_dim(hp, 512), base_filters(hp)
    # Behind k layers that the mapping's slow rate leaves about as they began, styles vary in about style_dim / (k + 1)
    # directions.
    style, layers = hp.Int("style_dim", 1, 4096, default=512), hp.Int("mapping_layers", 1, 16, default=8)
    generator = networks.style.generator(spec.image_shape, width, style, depth, layers)
    phase, starts = growing(hp, len(generator.outputs))
    model = StyleGAN(generator, networks.style.critic(spec.image_shape, depth), phase,
                     hp.Float("mixing", 0.0, 1.0, default=0.9), objective=NonSaturating(),
                     penalties=[R1(hp.Float("penalty_weight", 1e-3, 100.0, default=10.0, sampling="log"), SPAN)],
                     # The authors' half-life of 10,000 images, at 64 a batch.
                     ema=average(hp, 0.9956),
                     critic_augmentation=critic_augmentation(hp, NonSaturating()))
    return players(model, hp, 1e-3, optimizer=adam(0.0, 0.99, starts=starts))


@recipe(family="gan", paper="arXiv:1612.03242", view="labelled", objective=OBJECTIVE)
def stackgan(hp, spec):
    """StackGAN (Zhang et al., 2017): stage I generates half-size images from the label, stage II the full images.

    Rates are constant; the authors' code halves them every 50 epochs.
    """
    count, width, depth = classes(spec, "stackgan", "progan"), latent_dim(hp), base_filters(hp)
    first = phase_steps(hp, "stage_one_steps", 2, 2000)
    condition = hp.Int("condition_dim", 1, 1024, default=128)
    model = StackGAN(networks.stackgan.generator(spec.image_shape, width, count, depth, condition),
                     networks.stackgan.critic(spec.image_shape, count, depth), count, first,
                     hp.Float("kl_weight", 0.0, 100.0, default=2 / 128),
                     ema=average(hp), objective=NonSaturating(),
                     critic_augmentation=critic_augmentation(hp, NonSaturating()))
    return players(model, hp, 2e-4, optimizer=adam(starts=[first]))
