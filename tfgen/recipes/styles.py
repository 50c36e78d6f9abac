"""GANs that paint coarse before fine: growing, stacked, or with a style for each resolution."""

from tfgen import networks
from tfgen.losses import NonSaturating
from tfgen.models import ProGAN, StackGAN, StyleGAN
from tfgen.penalties import R1, GradientPenalty
from tfgen.recipes.gans import OBJECTIVE, classes, base_filters, latent_dim, players
from tfgen.recipes.registry import recipe


def phase_steps(hp, name, phases, usual, batches_per_step=1):
    """Steps of a phase: as given, else an equal share of the run, or `usual` where none says how long it is."""
    total = hp.total_steps(batches_per_step)
    return hp.Steps(name) or (max(1, total // phases) if total else usual)


@recipe(family="gan", paper="arXiv:1710.10196", objective=OBJECTIVE)
def progan(hp, spec):
    """ProGAN (Karras et al., 2018): both networks grow, resolution by resolution, each faded in."""
    width, depth = latent_dim(hp, 512), base_filters(hp)
    critic_steps = hp.Int("critic_steps", 1, 10, default=1)
    generator = networks.progressive.generator(spec.image_shape, width, depth)
    # The first stage takes one phase, each later one two; the last stage is stable for one more.
    phase = phase_steps(hp, "stage_steps", 2 * len(generator.outputs), 1000, critic_steps)
    model = ProGAN(generator, networks.progressive.critic(spec.image_shape, depth), phase,
                   penalties=[GradientPenalty(hp.Float("penalty_weight", 0.1, 100.0, default=10.0, sampling="log"))],
                   critic_steps=critic_steps, ema=hp.Float("ema", 0.0, 0.9999, default=0.999))
    return players(model, hp, 1e-3, beta_1=0.0, beta_2=0.99)


@recipe(family="gan", paper="arXiv:1812.04948", objective=OBJECTIVE)
def stylegan(hp, spec):
    """StyleGAN (Karras et al., 2019): a mapping network's styles steer every layer; mixing, noise, truncation."""
    width, depth = latent_dim(hp, 512), base_filters(hp)
    layers = hp.Int("mapping_layers", 1, 16, default=8)
    model = StyleGAN(networks.style.generator(spec.image_shape, width, width, depth, layers),
                     networks.progressive.whole_critic(spec.image_shape, depth), hp.Float("mixing", 0.0, 1.0, default=0.9),
                     objective=NonSaturating(),
                     penalties=[R1(hp.Float("penalty_weight", 1e-3, 100.0, default=10.0, sampling="log"))],
                     ema=hp.Float("ema", 0.0, 0.9999, default=0.999))
    return players(model, hp, 1e-3, beta_1=0.0, beta_2=0.99)


@recipe(family="gan", paper="arXiv:1612.03242", view="labelled", objective=OBJECTIVE)
def stackgan(hp, spec):
    """StackGAN (Zhang et al., 2017): a sketch from the augmented label at half the size, then the image from the sketch."""
    count, width, depth = classes(spec, "stackgan", "progan"), latent_dim(hp), base_filters(hp)
    model = StackGAN(networks.stackgan.generator(spec.image_shape, width, count, depth,
                                                hp.Int("condition_dim", 1, 1024, default=128)),
                     networks.stackgan.critic(spec.image_shape, count, depth), count,
                     phase_steps(hp, "stage_one_steps", 2, 2000), hp.Float("kl_weight", 0.0, 100.0, default=2 / 128),
                     ema=hp.Float("ema", 0.0, 0.9999, default=0.0))
    return players(model, hp, 2e-4)
