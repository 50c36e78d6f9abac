"""Translation between two domains without pairs: two GANs whose generators are inverse to each other."""

from keras import ops

from tfgen.errors import require
from tfgen.layers import ImagePool, depends_on_batch
from tfgen.losses import LeastSquares
from tfgen.models.base.adversarial import AdversarialModel, judge_both
from tfgen.models.base.generative import SPAN
from tfgen.models.translation.pix2pix import Translator
from tfgen.serialization import serializable


@serializable
class CycleGAN(Translator, AdversarialModel):
    """Generators G: A -> B and F: B -> A, critics D_A and D_B (Zhu et al., 2017).

    The generators minimise, with distances as means over pixels in [-1, 1],

        adversarial_weight * (objective.generator(D_B(G(a))) + objective.generator(D_A(F(b))))
        + cycle_weight * (E ||F(G(a)) - a||_1 + E ||G(F(b)) - b||_1)
        + cycle_weight * identity_weight * (E ||G(b) - b||_1 + E ||F(a) - a||_1);

    each critic minimises 1/2 objective.critic on real images and on images of a pool of earlier and present
    translations. One optimizer updates both generators, one both critics. Batches are (a, b), not aligned.

    Args:
        generator, back_generator: Functional models G, sources (B, H, W, C) -> images (B, H, W, C'), and F, the other
            way; in [0, 1]. See `tfgen.networks.translation`.
        source_critic, critic: Functional models D_A and D_B, images -> scores (B, …).
        objective: objective of both players, see `tfgen.losses.adversarial`.
        cycle_weight: lambda, >= 0.
        identity_weight: fraction of `cycle_weight`, >= 0; requires domains with equal numbers of channels.
        pool_size: number of translations in each pool; 0: critics see only the current ones.
        adversarial_weight: >= 0.
        augmentation: augmentation of training images of both domains, see `GenerativeModel`.

    Also reported: `critic_real` and `critic_fake`, means of the objective's readings over both critics; `cycle`
    and `identity`, mean absolute differences of images in [0, 1], means over both directions.

    Raises:
        UserError: if the networks do not fit each other, naming both sides.
    """

    loss_names = ("critic_real", "critic_fake", "cycle", "identity")

    def __init__(self, generator, back_generator, source_critic, critic, objective=LeastSquares(), cycle_weight=10.0,
                 identity_weight=0.5, pool_size=50, adversarial_weight=1.0, augmentation=None, **kwargs):
        super().__init__(**kwargs)
        shapes = [tuple(x.shape[1:]) for x in (generator.inputs[0], generator.outputs[0])]
        for name, network, wanted in (("back_generator", back_generator, shapes[::-1]),
                                      ("source_critic", source_critic, shapes[:1]), ("critic", critic, shapes[1:])):
            found = [tuple(x.shape[1:]) for x in (*network.inputs, *network.outputs)][:len(wanted)]
            require(found == wanted and len(network.inputs) == 1,
                    f"the generator makes {shapes[1]} from {shapes[0]}; the {name} must fit {wanted}, it has {found}")
        require(not identity_weight or shapes[0] == shapes[1],
                f"an identity_weight expects domains of one shape, received {shapes[0]} and {shapes[1]}: set it to 0")
        self.generator = generator
        self.back_generator = back_generator
        self.source_critic = source_critic
        self.critic = critic
        self.objective = objective
        self.cycle_weight = cycle_weight
        self.identity_weight = identity_weight
        self.pool_size = pool_size
        self.adversarial_weight = adversarial_weight
        self.augmentation = augmentation
        self.pools = [ImagePool(shape, pool_size) for shape in shapes] if pool_size else []
        self.joint_batches = not any(map(depends_on_batch, (generator, back_generator, source_critic, critic)))
        self.built = True

    @property
    def generator_networks(self):
        return [self.generator, self.back_generator]

    @property
    def critic_networks(self):
        return [self.source_critic, self.critic]

    def apply(self, network, x, training):
        return ops.cast(network(x, training=training), "float32")

    def translate_and_keep(self, network, x, own, training):
        """(translations of x, outputs for images of the network's own target domain or None)."""
        if not self.identity_weight:
            return self.apply(network, x, training), None
        (made,), (same,) = judge_both(lambda images: [self.apply(network, images, training)], [x], [own],
                                      self.joint_batches)
        return made, same

    def generate(self, batch, training):
        a, b = batch
        made_b, same_b = self.translate_and_keep(self.generator, a, b, training)
        made_a, same_a = self.translate_and_keep(self.back_generator, b, a, training)
        cycled = (self.apply(self.back_generator, made_b, training), self.apply(self.generator, made_a, training))
        return {"made": (made_a, made_b), "cycled": cycled, "same": (same_a, same_b)}

    def critic_losses(self, batch, made, training):
        total, real, fake = 0.0, [], []
        for index, (critic, x, own) in enumerate(zip((self.source_critic, self.critic), batch, made["made"])):
            seen = self.pools[index](own) if training and self.pools else own
            (of_real,), (of_fake,) = judge_both(lambda images, critic=critic: [self.apply(critic, images, training)],
                                                [x], [seen], self.joint_batches)
            # Halved: the critics learn at half the generators' pace (section 4).
            total += 0.5 * self.objective.critic(of_real, of_fake)
            real.append(self.objective.reading(of_real))
            fake.append(self.objective.reading(of_fake))
        return {"critic_loss": total, "critic_real": sum(real) / 2.0, "critic_fake": sum(fake) / 2.0}

    def generator_losses(self, batch, made, training):
        a, b = batch
        judged = [self.apply(critic, own, training)
                  for critic, own in zip((self.source_critic, self.critic), made["made"])]
        adversarial = sum(map(self.objective.generator, judged))
        cycle = mean_distance(batch, made["cycled"])
        identity = mean_distance(batch, made["same"]) if self.identity_weight else ops.zeros(())
        # Sums over both directions: twice their means.
        distances = 2.0 * SPAN * self.cycle_weight * (cycle + self.identity_weight * identity)
        return {"generator_loss": self.adversarial_weight * adversarial + distances, "cycle": cycle, "identity": identity}

    def translate(self, x):
        return self.apply(self.generator, x, training=False)

    def translate_back(self, x):
        return self.apply(self.back_generator, x, training=False)


def mean_distance(images, others):
    """Mean absolute difference, over pixels and both domains."""
    return sum(ops.mean(ops.abs(x - y)) for x, y in zip(images, others)) / 2.0
