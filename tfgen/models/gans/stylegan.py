"""Style-based GANs: style mixing, layer noise, truncation towards the mean style."""

import tensorflow as tf
from keras import ops, random

from tfgen import noise, replicas
from tfgen.errors import require
from tfgen.losses import NonSaturating
from tfgen.models.gans.progan import ProGAN
from tfgen.networks import style
from tfgen.serialization import serializable
from tfgen.verbs import Option


@serializable(inherit=True)
class StyleGAN(ProGAN):
    """A growing GAN whose generator maps latents to styles w, one per layer of the synthesis network (Karras et al., 2019).

    It grows as `ProGAN`; layers of later stages, with their styles and noise, are not used yet. In training, layers before a
    random layer of the stage take the style of one latent and the others that of a second latent, with probability `mixing`;
    the layer is that of all images of a batch, as in the authors' code, so that other batches have one style per image.
    Samples are truncated: w' = mean w + psi (w - mean w).

    Args:
        generator: [latents, noise of each layer, alpha] -> a list of images, with layers "mapping" and "synthesis", see
            `tfgen.networks.style.generator`.
        critic: [images of each size, alpha] -> a list of scores.
        stage_steps: number of steps of a fade and of a stable phase, >= 1.
        mixing: probability in [0, 1] that the images of a batch have two styles each.
        style_decay: decay of the running mean of w, in [0, 1).
        objective: objective of both players.
        **arguments: as for `GAN`, without a condition.

    Attributes:
        style_mean: the running mean of w, (width,).
        layers_of_noise: shapes (h, w, 1) of the noise per layer.

    Raises:
        UserError: if the networks do not fit each other, naming both sides.
    """

    def __init__(self, generator, critic, stage_steps=1000, mixing=0.9, style_decay=0.995, objective=NonSaturating(),
                 **kwargs):
        super().__init__(generator, critic, stage_steps, objective, **kwargs)
        require(0 <= mixing <= 1, f"mixing expects a probability in [0, 1], received {mixing}")
        require(0 <= style_decay < 1, f"style_decay expects a decay in [0, 1), received {style_decay}")
        self.mixing = mixing
        self.style_decay = style_decay
        self.layers_of_noise = [tuple(plane.shape[1:]) for plane in generator.inputs[1:-1]]
        self.style_mean = self.add_weight(generator.get_layer("mapping").outputs[0].shape[1:], "zeros", trainable=False,
                                          name="style_mean", aggregation="mean")

    def check(self, generator, critic, num_classes):
        names = [layer.name for layer in generator.layers]
        require({"mapping", "synthesis"} <= set(names),
                f"the generator must have the layers mapping and synthesis, it has {names}")
        super().check(generator, critic, num_classes)

    def inputs_of(self, generator):
        """How many inputs a generator must have: latents, the noise of the synthesis' layers and alpha."""
        return len(generator.get_layer("synthesis").inputs)

    def split(self, generator):
        return [style.of_stage(generator, stage) for stage in range(len(generator.outputs))]

    @property
    def planes(self):
        """Shapes (h, w, 1) of the noise of the stage's layers."""
        # Its generator also takes latents and alpha.
        return self.layers_of_noise[:len(self.generators[self.stage].inputs) - 2]

    def styles(self, z, training=False):
        """Latents (B, d) -> w (B, width)."""
        network = self.generator if training else self.sampler
        return ops.cast(network.get_layer("mapping")(z, training=training), "float32")

    def synthesise(self, styles, planes, training=False):
        """Styles (B, layers, width) and the noise planes of the stage's layers -> images of the stage."""
        network = (self.generators if training else self.samplers)[self.stage].get_layer("synthesis")
        return ops.cast(network([styles, *planes, self.share(ops.shape(styles)[0])], training=training), "float32")

    def repeated(self, w):
        """One style for all layers: (B, layers, width)."""
        return ops.repeat(w[:, None], len(self.layers_of_noise), axis=1)

    def seeded_planes(self, seeds):
        """The noise of the stage's layers as a function of each seed alone."""
        return [noise.normal(seeds, shape, noise.STYLES + 256 * layer) for layer, shape in enumerate(self.planes)]

    def mixed(self, first, second, crossover):
        """Layers before the number `crossover` take the style `first` (B, width), others `second`: (B, layers, width)."""
        before = ops.arange(len(self.layers_of_noise)) < ops.cast(crossover, "int32")
        return ops.where(before[None, :, None], first[:, None], second[:, None])

    def generate(self, batch, training):
        if training:
            return super().generate(batch, training)
        x = self.images_and_labels(batch)[0]
        z = self.draw(x, training)
        return {"image": self.drawn(self.styles(z), noise.seeds_of(x)), "latent": z}

    def paint(self, z, label, training):
        if not training:
            return {"image": self.drawn(self.styles(z), tf.zeros(tf.shape(z)[:1], tf.int64))}
        rows, layers = ops.shape(z)[0], len(self.planes)
        first = self.styles(z, training=True)
        second = self.styles(self.prior.draw(rows, self.latent_shape[0], self.seed_generator), training=True)
        mean = replicas.mean(ops.mean(first, axis=0))
        self.style_mean.assign(self.style_decay * self.style_mean + (1.0 - self.style_decay) * mean)
        # A layer of the stage from 1 to the last, or behind the last: no second style. All replicas draw the same.
        asked, place = ops.unstack(random.uniform((2,), seed=self.seed_generator))
        crossover = ops.where(asked < self.mixing, 1.0 + ops.floor(place * (layers - 1)), float(layers))
        planes = [replicas.normal((rows, *shape), self.seed_generator) for shape in self.planes]
        return {"image": self.synthesise(self.mixed(first, second, crossover), planes, training=True)}

    def penalty_loss(self, real, fake, label):
        """Of the gradient at images of full size, as in the authors' code, whose critic halves them to the stage's.

        What an image's squared gradient is at the stage's size, it is 4^k times less after k enlargements.
        """
        return sum(penalty(lambda images: self.judge(self.halved(images), label, True)[0],
                           self.enlarged(real), self.enlarged(fake)) for penalty in self.penalties)

    def verb_options(self, name):
        options = super().verb_options(name)
        if name == "sample":
            options["psi"] = Option("float32", 1.0, 0.0, 1.5, "truncation; 0: the mean style, 1: none, between: typical")
        return options

    def truncated(self, w, psi):
        """mean w + psi (w - mean w), psi a number or (B,)."""
        psi = tf.broadcast_to(tf.cast(psi, tf.float32), tf.shape(w)[:1])[:, None]
        return self.style_mean + psi * (w - self.style_mean)

    def decode(self, z, label=None):
        """Latents -> images in [0, 1], without truncation, with the layer noise of seed 0."""
        return super().decode(z)

    def sample(self, seeds, psi=1.0, **options):
        w = self.truncated(self.styles(self.prior.seeded(seeds, self.latent_shape[0], **options)), psi)
        return self.by_stage(lambda: ops.clip(self.enlarged(self.drawn(w, seeds)), 0.0, 1.0))

    def drawn(self, w, seeds):
        """Images of the stage, of one style w (B, width) and the layer noise of seeds (B,) each."""
        return self.synthesise(self.repeated(w), self.seeded_planes(seeds))
