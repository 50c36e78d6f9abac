"""Diffusion models: a network that finds the clean image in a noisy one, at any level of noise."""

import functools

import keras
import tensorflow as tf
from keras import ops

from tfgen import frozen, noise, replicas
from tfgen.distributions.likelihoods import per_image
from tfgen.errors import require
from tfgen.models.base.averages import copy_of, decay_at, move_towards
from tfgen.models.base.generative import GenerativeModel, images_and_labels
from tfgen.samplers import denoising
from tfgen.samplers.denoising import Estimate
from tfgen.serialization import serializable
from tfgen.verbs import Option, Text
from tfgen.verbs.graphs import tokens_of


@serializable
class Diffusion(GenerativeModel):
    """Learns denoise(x, sigma) = E[x_0 | x], x = x_0 + sigma * noise, from which samplers draw (Ho et al., 2020; Karras et
    al., 2022).

    With the parametrisation's skip, out and scale, denoise(x, sigma) = skip x + out network(scale x, ln(sigma) / 4), and

        loss = E_sigma mean_pixels (network(scale x, ln(sigma) / 4) - (x_0 - skip x) / out)^2,

    sigma from `levels.drawn`, evenly spread over each batch (Kingma et al., 2021, appendix I.1). Images [0, 1] of public
    boundaries are x_0 = 2 image - 1 inside.

    Args:
        network: Functional model, [images (B, H, W, C), ln(sigma) / 4 (B,)] (with classes also labels int (B,), of which
            `num_classes` stands for no label) -> (B, H, W, C).
        levels: `tfgen.samplers.noise_levels.NoiseLevels`.
        parametrisation: `tfgen.models.diffusion.Parametrisation`.
        num_classes: number of classes of a conditional model, whose batches are (images, labels); None: unconditional.
        omission: probability in [0, 1) with which training leaves out a label, so that the model is unconditional as well
            and can be guided (Ho & Salimans, 2022).
        ema: decay in [0, 1) of a running average of the weights, which samples are made with; 0: none. The decay of early
            steps is at most (step + 1) / (step + 10).
        clip: whether samplers hold clean images to the range of images (as Ho et al. do).
        steps: default number of a sampler's steps.
        sampler: default sampler, a name in `tfgen.samplers.denoising.SAMPLERS`.
        guidance: default weight of guidance, see `guided`.

    A latent is the noise at the largest level, (B, H, W, C), standard normal for images of the model.

    Raises:
        UserError: if the network does not fit, naming both sides.
    """

    # Outputs of the network per value.
    outputs_per_value = 1

    def __init__(self, network, levels, parametrisation, num_classes=None, omission=0.1, ema=0.999, clip=False, steps=20,
                 sampler="dpm", guidance=1.0, **kwargs):
        super().__init__(**kwargs)
        self.check(network, num_classes)
        require(0 <= ema < 1, f"ema expects a decay in [0, 1), received {ema}")
        require(sampler in denoising.SAMPLERS,
                f"sampler expects one of {', '.join(denoising.SAMPLERS)}, received {sampler!r}")
        self.network = network
        self.levels = levels
        self.parametrisation = parametrisation
        self.num_classes = num_classes
        self.omission = omission
        self.ema = ema
        self.clip = clip
        self.steps = steps
        self.sampler = sampler
        self.guidance = guidance
        self.ema_network = copy_of(network) if ema else None
        self.seed_generator = keras.random.SeedGenerator()
        self.built = True

    def check(self, network, num_classes):
        """Raises a `UserError` unless the network fits."""
        inputs, image = (3 if num_classes else 2), tuple(network.inputs[0].shape[1:])
        require(len(network.inputs) == inputs, f"with num_classes={num_classes} the network must take {inputs} inputs, it "
                                               f"takes {len(network.inputs)}")
        made = tuple(network.outputs[0].shape[1:])
        wanted = (*image[:-1], image[-1] * self.outputs_per_value)
        require(made == wanted, f"the network must make {wanted} of images {image}, it makes {made}")

    @property
    def image_shape(self):
        return tuple(self.network.inputs[0].shape[1:])

    @property
    def latent_shape(self):
        return self.image_shape

    def network_inputs(self, x, sigma):
        """[scaled images, ln(sigma) / 4] of images at levels (B, 1, 1, 1)."""
        return [self.parametrisation.coefficients(sigma)[2] * x, 0.25 * ops.log(ops.reshape(sigma, (-1,)))]

    def outputs(self, x, sigma, label=None, training=False, network=None):
        """Output of the network (None: the model's) for images at levels sigma (B, 1, 1, 1): float32 (B, H, W, C')."""
        network = network or (self.network if training or not self.ema else self.ema_network)
        inputs = self.network_inputs(x, sigma)
        if self.num_classes and label is None:
            label = tf.fill(tf.shape(x)[:1], self.num_classes)
        return ops.cast(network(inputs if label is None else [*inputs, label], training=training), "float32")

    def denoise(self, x, sigma, label=None, guidance=1.0):
        """Expected clean images, in [-1, 1], of images at a level of noise.

        Args:
            x: float32 (B, H, W, C), x_0 + sigma * noise.
            sigma: levels, a number or (B,).
            label: int (B,), of a conditional model; `num_classes` stands for no label.
            guidance: weight of the label, a number or (B,), see `guided`.
        """
        rows = tf.shape(x)[0]
        return self.estimate(x, per_image(per_row(sigma, rows)), label, per_image(per_row(guidance, rows))).clean

    def estimate(self, x, sigma, label=None, guidance=None):
        """`denoising.Estimate` of images (B, H, W, C) at levels (B, 1, 1, 1); guidance (B, 1, 1, 1), or None for 1."""
        if label is None or guidance is None:
            clean, mix = self.read(x, sigma, self.outputs(x, sigma, label))
            return Estimate(self.held(clean), mix)
        # One pass with the labels and without.
        both = self.outputs(*(ops.concatenate([part, part]) for part in (x, sigma)),
                            ops.concatenate([label, ops.full_like(label, self.num_classes)]))
        (clean, mix), (free, _) = (self.read(x, sigma, part) for part in ops.split(both, 2))
        return Estimate(self.held(guided(clean, free, guidance)), mix)

    def read(self, x, sigma, made):
        """`denoising.Estimate` from the network's output, not yet held to the range of images."""
        skip, out, _ = self.parametrisation.coefficients(sigma)
        return Estimate(skip * x + out * made)

    def held(self, clean):
        return ops.clip(clean, -1.0, 1.0) if self.clip else clean

    def noisy(self, x, training):
        """(levels (B, 1, 1, 1), standard normal noise) for clean images: random, in validation functions of each image."""
        if training:
            places, rows = replicas.places(tf.shape(x)[0])
            spread = tf.cast(places, tf.float32) / tf.cast(rows, tf.float32)
            # A place in the batch has any level: batches may be in an order.
            u = tf.math.floormod(spread + keras.random.uniform((), seed=self.seed_generator), 1.0)
            drawn = replicas.normal(tf.shape(x), self.seed_generator)
        else:
            seeds = noise.seeds_of(0.5 * (x + 1.0))
            u, drawn = noise.uniform(seeds, (), noise.LEVELS), noise.normal(seeds, self.image_shape, noise.DIFFUSION)
        return per_image(self.levels.drawn(u)), drawn

    def compute_losses(self, batch, training):
        images, label = images_and_labels(batch, self.num_classes)
        x = clean_of(images)
        sigma, drawn = self.noisy(x, training)
        if label is not None and training:
            left_out = replicas.uniform(tf.shape(label), self.seed_generator) < self.omission
            label = tf.where(left_out, tf.cast(self.num_classes, label.dtype), label)
        return self.losses_at(x, x + sigma * drawn, sigma, self.outputs(x + sigma * drawn, sigma, label, training))

    def losses_at(self, x, noised, sigma, made):
        """{"loss": …} from the network's output for `noised` images of clean images x."""
        return {"loss": ops.mean(ops.square(made - self.target(x, noised, sigma)))}

    def target(self, x, noised, sigma):
        """What the network is to predict."""
        skip, out, _ = self.parametrisation.coefficients(sigma)
        return (x - skip * noised) / out

    def train_step(self, data):
        made = super().train_step(data)
        if self.ema:
            move_towards(self.ema_network, self.network, 1.0 - decay_at(self.ema, self.optimizer.iterations))
        return made

    def verb_options(self, name):
        steps = {"steps": Option("int64", self.steps, 1, 1000, "steps of the sampler")}
        label = {"label": Option("int64", None, 0, self.classes - 1, "class of each image")} if self.classes else {}
        if name in ("encode", "decode"):
            return steps | (label if self.num_classes else {})
        if name not in ("sample", "complete", "edit"):
            return {}
        sampler = "ancestral" if name == "complete" else self.sampler
        options = {"sampler": Text(tuple(denoising.SAMPLERS), 1, (sampler,), ", ".join(denoising.SAMPLERS))} | steps
        if name == "complete":
            options["visits"] = Option("int64", 4, 1, 50, "times each step is made; more: fits the known pixels better")
        if name == "edit":
            options["strength"] = Option("float32", 0.5, 0.0, 1.0, "share of the sampler's way that is gone; 1: a new image")
        if label:
            options |= label | {"guidance": Option("float32", self.guidance, 0.0, 20.0,
                                                   "weight of the label; 0: without it, 1: the model, more: more typical")}
        return options

    @property
    def classes(self):
        """Number of classes of the labels that samples can be asked for, or None."""
        return self.num_classes

    @functools.cached_property
    def traced(self):
        """`estimate` as one function of the graphs of all verbs, called where they need it and not copied there."""
        return tf.function(self.estimate, autograph=False, reduce_retracing=True,
                           experimental_attributes={"_noinline": True})

    def way(self, rows, steps, start=0.0):
        """(steps of each row, int32 (B,), the function of its levels, see `NoiseLevels.way`)."""
        steps = per_row(self.steps if steps is None else steps, rows, tf.int32)
        return steps, self.levels.way(steps, start)

    def integrated(self, x, level, steps, sampler, label=None, guidance=None, known=None, seeds=None, visits=1):
        """Images at the last level from images at level(0), see `denoising.integrate`.

        guidance: (B, 1, 1, 1), or None for 1; known: (x_0, masks) of pixels that are given; seeds: of noise on the way.
        """
        def denoise(x, sigma):
            # Edge runtimes have no functions to call.
            clean, mix = (self.estimate if frozen.active() else self.traced)(x, sigma, label, guidance)
            return Estimate(clean if known is None else tf.where(known[1], known[0], clean), mix)

        def drawn(number):
            return noise.normal(seeds, self.image_shape, noise.DIFFUSION + 256 * (number + 1))

        return denoising.integrate(denoise, x, level, steps, sampler, drawn if seeds is not None else None, visits,
                                   self.levels.straight)

    def drawn(self, seeds, sampler, steps, label, guidance, x=None, strength=None, known=None, visits=1):
        """Images [0, 1] by the samplers of each row: from noise, or from x_0 with as much noise as `strength` says."""
        rows = tf.shape(seeds)[0]
        sampler = self.sampler if sampler is None else sampler
        if isinstance(sampler, str) and sampler in denoising.SAMPLERS:
            step = denoising.SAMPLERS[sampler]
        else:
            names = tf.broadcast_to(tf.convert_to_tensor(sampler), [rows])
            step = denoising.chosen(tokens_of(names, list(denoising.SAMPLERS), 1, "the option sampler")[:, 0] - 1)
        steps, level = self.way(rows, steps, 0.0 if strength is None else 1.0 - per_row(strength, rows))
        start = per_image(level(0)) * noise.normal(seeds, self.image_shape, noise.LATENT)
        guidance = per_image(per_row(self.guidance if guidance is None else guidance, rows))
        return image_of(self.integrated(start if x is None else x + start, level, steps, step, label, guidance, known, seeds,
                                        visits))

    def sample(self, seeds, sampler=None, steps=None, label=None, guidance=None):
        """Images drawn from noise.

        Args:
            seeds: int64 (B,); a negative seed asks for fresh noise.
            sampler: names in `denoising.SAMPLERS`, a str or string (B,); None: the model's.
            steps: number of steps, an int or int (B,); None: the model's.
            label: int (B,), of a conditional model; `num_classes` stands for none.
            guidance: weight of the label, a number or (B,); None: the model's.

        Returns:
            float32 (B, H, W, C) in [0, 1].
        """
        return self.drawn(seeds, sampler, steps, label, guidance)

    def complete(self, x, masks, seeds, sampler="ancestral", steps=None, visits=4, label=None, guidance=None):
        """Images with the pixels of mask 1 and others drawn to fit, approximately: in each step the known pixels take the
        place of their estimates, and each step is made several times (Lugmayr et al., 2022), so that the others come to fit.

        Args:
            x: images (B, H, W, C) in [0, 1].
            masks: (B, H, W), 1 at known pixels.
            visits: times each step is made, an int or int (B,), >= 1; the network is called as often more.
            others: as for `sample`. With visits, `ancestral` steps suit best: only noise lets a step end elsewhere.
        """
        masks = tf.broadcast_to(tf.convert_to_tensor(masks)[..., None] > 0.5, tf.shape(x))
        made = self.drawn(seeds, sampler, steps, label, guidance, known=(clean_of(x), masks),
                          visits=per_row(visits, tf.shape(x)[0], tf.int32))
        return tf.where(masks, x, made)

    def edit(self, x, seeds, sampler=None, steps=None, strength=0.5, label=None, guidance=None):
        """SDEdit (Meng et al., 2022): images to which noise is added, and from there sampled.

        Args:
            x: images (B, H, W, C) in [0, 1].
            strength: share in [0, 1] of the sampler's way, a number or (B,); 0: the smallest level of noise.
            others: as for `sample`.
        """
        return self.drawn(seeds, sampler, steps, label, guidance, clean_of(x), strength)

    def encode(self, x, steps=None, label=None):
        """Latents of images: the differential equation of `decode`, from the smallest level to the largest."""
        steps, way = self.way(tf.shape(x)[0], steps)

        def level(index):
            return self.levels.sigma(1.0 - tf.minimum(tf.cast(index, tf.float32) / tf.cast(steps, tf.float32), 1.0))

        made = self.integrated(clean_of(x), level, steps, denoising.SAMPLERS["heun"], label)
        return made / per_image(way(0))

    def decode(self, z, steps=None, label=None):
        """Images of latents (B, H, W, C), by Heun's rule and without further noise."""
        steps, way = self.way(tf.shape(z)[0], steps)
        return image_of(self.integrated(z * per_image(way(0)), way, steps, denoising.SAMPLERS["heun"], label))


def per_row(value, rows, dtype=tf.float32):
    """A number, or one per row, as a tensor (rows,)."""
    return tf.broadcast_to(tf.cast(value, dtype), [rows])


def clean_of(images):
    """[0, 1] -> [-1, 1], float32."""
    return 2.0 * ops.cast(images, "float32") - 1.0


def image_of(x):
    """[-1, 1] -> [0, 1], clipped."""
    return ops.clip(0.5 * (x + 1.0), 0.0, 1.0)


def guided(clean, free, weight):
    """Clean images guided by a label: free + weight (clean - free), from those with and without it (Ho & Salimans, 2022).

    weight 0: without label, 1: with it, to the bit; larger: beyond. (The paper's w is weight - 1.)
    """
    return tf.where(weight == 1.0, clean, free + weight * (clean - free))
