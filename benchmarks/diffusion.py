"""The benchmarks of diffusion models: a training step of `edm`, and 20 steps of DDIM, beside a bare loop and `diffusers`.

The peer is `UNet2DModel` of the same channels, residual blocks, modulation and grids with attention, on PyTorch, eager. Its
blocks differ in details (projections of attention, groups), so that no weights are copied: before anything is timed, the
numbers of parameters must be within a tenth of each other.
"""

import functools

import keras
import numpy as np
import tensorflow as tf

from benchmarks import limits
from benchmarks.job import SHAPE, Job, fit_beside
from benchmarks.keras_loop import loss_and_norm, one_pass
from tfgen import data, recipes
from tfgen.samplers import denoising
from tfgen.verbs import graphs

try:
    import diffusers
    import torch
except ImportError:
    diffusers = None

VALUES = {"filters": 32, "grids": 3, "residual_blocks": 2, "dropout": 0.0, "heads": 1, "ema": 0.0, "sampler": "ddim"}
LAYOUTS = {"diffusers": False, "diffusers_channels_last": True}
RATE, STEPS = 1e-3, 20


def model_of(**values):
    """A compiled `edm` for random images."""
    return recipes.find("edm").model(data.DataSpec("random", SHAPE), **values)


def loss(model, x):
    """The loss of `fit`, at levels and noise of its own."""
    clean = 2.0 * x - 1.0
    sigma, drawn = model.noisy(clean, True)
    noised = clean + sigma * drawn
    skip, out, scale = model.parametrisation.coefficients(sigma)
    made = model.network([scale * noised, 0.25 * tf.math.log(tf.reshape(sigma, (-1,)))], training=True)
    return tf.reduce_mean(tf.square(made - (clean - skip * noised) / out))


def bare(model, dataset):
    """As `keras_loop.one_pass`, with the model's optimizer."""
    return one_pass(functools.partial(loss, model), model.optimizer, model.trainable_variables, dataset)


class Twin:
    """`UNet2DModel` with the channels, blocks and attention of a model's network, and EDM's loss.

    Args:
        values: hyperparameters of the recipe.
        channels_last: the layout of weights and images.
    """

    def __init__(self, values, channels_last=False):
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        grids, filters = values["grids"], values["filters"]
        channels = [filters] + [2 * filters] * (grids - 1)
        down = ["DownBlock2D"] + ["AttnDownBlock2D"] * (grids - 1)
        self.network = diffusers.UNet2DModel(
            sample_size=SHAPE[0], in_channels=1, out_channels=1, layers_per_block=values["residual_blocks"],
            block_out_channels=channels, norm_num_groups=max(1, filters // 4), attn_norm_num_groups=max(1, filters // 4),
            attention_head_dim=channels[-1], resnet_time_scale_shift="scale_shift",
            down_block_types=down, up_block_types=[name.replace("Down", "Up") for name in down[::-1]])
        self.network.to(memory_format=self.layout)
        self.optimizer = torch.optim.Adam(self.network.parameters(), RATE)

    def parameters(self):
        return sum(p.numel() for p in self.network.parameters())

    def loss(self, x):
        sigma = torch.exp(-1.2 + 1.2 * torch.randn(len(x), 1, 1, 1))
        total = sigma**2 + 0.25
        noised = x + sigma * torch.randn_like(x)
        made = self.network(noised / total.sqrt(), 0.25 * sigma.log().flatten()).sample
        return (made - (x - 0.25 / total * noised) / (0.5 * sigma / total.sqrt())).square().mean()

    def trainer(self, images, batch_size):
        """A function without arguments that takes a step per batch of images (N, H, W, C) in [0, 1]."""
        batches = [torch.from_numpy(2.0 * x.transpose(0, 3, 1, 2) - 1.0).contiguous(memory_format=self.layout)
                   for x in np.split(images, len(images) // batch_size)]

        def run():
            self.network.train()
            for x in batches:
                self.optimizer.zero_grad(set_to_none=True)
                found = self.loss(x)
                found.backward()
                self.optimizer.step()
            return found.item()

        return run

    def sampler(self, levels, rows):
        """A function without arguments that samples a batch by DDIM's rule at these levels."""
        sigmas = [float(level) for level in levels]

        @torch.no_grad()
        def run():
            self.network.eval()
            x = (sigmas[0] * torch.randn(rows, 1, *SHAPE[:2])).contiguous(memory_format=self.layout)
            for now, after in zip(sigmas, sigmas[1:]):
                total = now**2 + 0.25
                made = self.network(x / total**0.5, torch.full((rows,), 0.25 * float(np.log(now)))).sample
                clean = 0.25 / total * x + 0.5 * now / total**0.5 * made
                x = clean + after / now * (x - clean)
            return x.numpy()

        return run


def twins_of(model, values):
    """{variant: the peer}, where `diffusers` is installed; asserts that it has about as many parameters."""
    twins = {name: Twin(values, last) for name, last in LAYOUTS.items()} if diffusers else {}
    for name, twin in twins.items():
        share = twin.parameters() / model.network.count_params()
        assert 0.9 < share < 1.1, f"{name}: {share:.3f} of the parameters of ours"
    return twins


def check(model, x):
    """Asserts that the bare loop computes the loss of `fit` with the same gradient, on the same levels and noise."""
    pairs = []
    for loss_of in (lambda: model.compute_losses(x, training=True)["loss"], lambda: loss(model, x)):
        model.seed_generator.state.assign([0, 0])
        pairs.append(loss_and_norm(loss_of, model.trainable_variables))
    np.testing.assert_allclose(*pairs, rtol=1e-4, err_msg="edm: bare against fit")


def training(steps, batch_size, **values):
    """{variant: function without arguments that takes `steps` steps, or computes as many operations}."""
    keras.utils.set_random_seed(0)
    make = functools.partial(model_of, **values)
    first = make()
    images = np.random.default_rng(0).random((steps * batch_size, *SHAPE), np.float32)
    check(first, tf.constant(images[:batch_size]))
    twins = {name: twin.trainer(images, batch_size) for name, twin in twins_of(first, values).items()}
    return fit_beside(make, first, images, batch_size, bare, twins | limits.limits(first, images, batch_size))


def sampling(batch_size, **values):
    """{variant: function without arguments that samples a batch in 20 steps}; all in one graph, traced once."""
    keras.utils.set_random_seed(0)
    model = model_of(**values, sampling_steps=STEPS)
    call = graphs.function(model, "sample")
    seeds, names = tf.range(batch_size, dtype=tf.int64), tf.fill((batch_size,), values["sampler"])
    steps = tf.fill((batch_size,), tf.constant(STEPS, tf.int64))
    way = model.levels.way(tf.constant([STEPS]))
    levels = [float(way(index)[0]) for index in range(STEPS + 1)]
    x = model.integrated(tf.random.normal((2, *SHAPE)) * levels[0], model.levels.way(tf.fill((2,), STEPS)), STEPS,
                         denoising.SAMPLERS["ddim"])
    assert np.isfinite(x).all()

    def ours():
        call(seeds, names, steps)["images"].numpy()
        assert call.experimental_get_tracing_count() == 1, "edm: the sampler was traced again"

    twins = {name: twin.sampler(levels, batch_size) for name, twin in twins_of(model, values).items()}
    return {"sample": ours} | twins


def jobs(fast):
    """{name: Job}."""
    steps, batch_size = (2, 4) if fast else (8, 32)
    values = VALUES | ({"filters": 8, "residual_blocks": 1, "grids": 2} if fast else {})
    marks = dict.fromkeys(LAYOUTS, 1.2)
    make = functools.partial(sampling, batch_size, **values)
    return {"bench-edm": Job("Training speed of edm", functools.partial(training, steps, batch_size, **values), batch_size,
                             steps, {"bare": 0.97} | marks),
            "bench-edm-sampling": Job(f"{STEPS} steps of DDIM, edm", make, batch_size, 1, marks, ours=("sample",))}
