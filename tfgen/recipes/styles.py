"""GANs that paint coarse before fine: growing, stacked, or with a style for each resolution."""

from tfgen import networks
from tfgen.models import ProGAN
from tfgen.penalties import GradientPenalty
from tfgen.recipes.gans import OBJECTIVE, filters, latent_dim, players
from tfgen.recipes.registry import recipe


@recipe(family="gan", paper="arXiv:1710.10196", objective=OBJECTIVE)
def progan(hp, spec):
    """ProGAN (Karras et al., 2018): both networks grow, resolution by resolution, each faded in."""
    width, depth = latent_dim(hp, 512), filters(hp)
    model = ProGAN(networks.progressive.generator(spec.image_shape, width, depth),
                   networks.progressive.critic(spec.image_shape, depth), hp.Int("stage_steps", 1, 1000000, default=1000),
                   penalties=[GradientPenalty(hp.Float("penalty_weight", 0.1, 100.0, default=10.0, sampling="log"))],
                   critic_steps=hp.Int("critic_steps", 1, 10, default=1), ema=hp.Float("ema", 0.0, 0.9999, default=0.999))
    return players(model, hp, 1e-3, beta_1=0.0, beta_2=0.99)
