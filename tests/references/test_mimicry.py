"""Layers, critics, objectives and penalties of GANs beside torch-mimicry, whose trainings repeat published distances."""

import importlib.util
import sys
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf
from twins import assign, channels_first, moved, outputs_first

from tfgen import layers, losses, networks
from tfgen.optimizers import Adam


@pytest.fixture
def mimicry(torch, monkeypatch):
    """Gives a module of torch-mimicry by its name.

    Empty modules stand in for its data, metrics and training, which import what PyTorch no longer has, and for torchvision,
    whose wheel fails beside a CPU build of PyTorch.
    """
    if importlib.util.find_spec("torch_mimicry") is None:
        pytest.skip("torch-mimicry is not installed, as `make test-extras` does without its dependencies")
    for name in ("torchvision", "torch_mimicry.datasets", "torch_mimicry.metrics", "torch_mimicry.training"):
        monkeypatch.setitem(sys.modules, name, mock.MagicMock())
    return importlib.import_module


def copied(torch, layer, module):
    """Gives a module of PyTorch a layer's weights; a spectrally normalised one, which has another as its own, also u.

    Returns:
        [(weight of the layer, [(its twin, function of its array -> the twin's)])].
    """
    spectral = hasattr(module, "weight_orig")
    pairs = [(layer._kernel, module.weight_orig if spectral else module.weight)]
    pairs += [(layer.bias, module.bias)] if layer.use_bias else []
    for weight, twin in pairs:
        assign(torch, twin, outputs_first(weight.numpy()))
    if spectral:
        assign(torch, module.weight_u, layer.u.numpy()[0])
    return [(weight, [(twin, outputs_first)]) for weight, twin in pairs]


def created(network, kind):
    """The layers of a kind in the order in which they were made."""
    found = [layer for layer in network._flatten_layers() if isinstance(layer, kind)]
    return sorted(found, key=lambda layer: int(layer.name.rpartition("_")[2]) if layer.name[-1].isdigit() else 0)


@pytest.mark.parametrize("kind", ["conv", "dense"])
def test_spectral_normalisation_over_steps(torch, mimicry, kind):
    """Outputs, the vector u, gradients through sigma, and the weights after each of three steps of descent."""
    of, rng, rate = mimicry("torch_mimicry.modules.layers"), np.random.default_rng(0), 0.1
    if kind == "conv":
        ours, theirs, shape = layers.SpectralConv2D(6, 3, strides=2), of.SNConv2d(4, 6, 3, 2), (5, 9, 9, 4)
    else:
        ours, theirs, shape = layers.SpectralDense(6), of.SNLinear(4, 6), (5, 4)
    x = rng.normal(size=shape).astype("float32")
    ours.build(shape)
    ours._kernel.assign(rng.normal(size=ours._kernel.shape))
    copied(torch, ours, theirs)
    for _ in range(3):
        weights = rng.normal(size=ours.compute_output_shape(shape)).astype("float32")
        with tf.GradientTape() as tape:
            made = ours(x, training=True)
            loss = tf.reduce_sum(weights * tf.square(made))
        slopes = tape.gradient(loss, [ours._kernel.value, ours.bias.value])
        theirs.zero_grad()
        wanted = theirs(torch.tensor(channels_first(x)))
        (torch.tensor(channels_first(weights)) * wanted.square()).sum().backward()
        np.testing.assert_allclose(channels_first(made), wanted.detach(), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(ours.u[0], theirs.weight_u, rtol=1e-4, atol=1e-6)
        with torch.no_grad():
            for (weight, slope), twin in zip(((ours._kernel, slopes[0]), (ours.bias, slopes[1])),
                                             (theirs.weight_orig, theirs.bias), strict=True):
                np.testing.assert_allclose(outputs_first(slope), twin.grad, rtol=1e-3, atol=1e-4 * twin.grad.abs().max())
                weight.assign_sub(rate * slope)
                twin -= rate * twin.grad
                np.testing.assert_allclose(outputs_first(weight.numpy()), twin, rtol=1e-4, atol=1e-4)


OBJECTIVES = {
    "minimax_loss_dis": (losses.NonSaturating().critic, True), "hinge_loss_dis": (losses.Hinge().critic, True),
    "wasserstein_loss_dis": (losses.Wasserstein().critic, True), "ns_loss_gen": (losses.NonSaturating().generator, False),
    # What is called minimax there is the form that does not saturate.
    "minimax_loss_gen": (losses.NonSaturating().generator, False), "hinge_loss_gen": (losses.Hinge().generator, False),
    "wasserstein_loss_gen": (losses.Wasserstein().generator, False)}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objectives(torch, mimicry, name):
    """Values, and gradients at the scores."""
    ours, both = OBJECTIVES[name]
    rng = np.random.default_rng(0)
    scores = {f"output_{side}": rng.normal(scale=2.0, size=(8, 1)).astype("float32")
              for side in (("real", "fake") if both else ("fake",))}
    given = [tf.constant(value) for value in scores.values()]
    twins = {key: torch.tensor(value, requires_grad=True) for key, value in scores.items()}
    with tf.GradientTape() as tape:
        tape.watch(given)
        found = ours(*given)
    wanted = getattr(mimicry("torch_mimicry.modules.losses"), name)(**twins)
    wanted.backward()
    assert float(found) == pytest.approx(wanted.item(), rel=1e-5)
    for slope, twin in zip(tape.gradient(found, given), twins.values(), strict=True):
        np.testing.assert_allclose(slope, twin.grad, rtol=1e-4, atol=1e-6)


def test_a_critic_with_a_gradient_penalty_and_a_step(torch, mimicry, monkeypatch):
    """Between the same images: scores, penalty, gradients of the loss, Adam's step.

    Ours takes images in [0, 1], theirs in [-1, 1]: `scale` is 2.
    """
    shape, rows, rng = (16, 16, 3), 6, np.random.default_rng(0)
    critic = networks.dcgan.critic(shape, filters=4)
    base = mimicry("torch_mimicry.nets.wgan_gp.wgan_gp_base")

    class Twin(base.WGANGPBaseDiscriminator):
        def __init__(self):
            super().__init__(ndf=4)
            self.halvings = torch.nn.ModuleList([torch.nn.Conv2d(3, 4, 4, 2, 1), torch.nn.Conv2d(4, 8, 4, 2, 1)])
            self.last = torch.nn.Linear(4 * 4 * 8, 1)

        def forward(self, x):
            for conv in self.halvings:
                x = torch.nn.functional.leaky_relu(conv(x), 0.2)
            return self.last(x.movedim(1, -1).flatten(1))

    twin, pairs = Twin(), []
    for layer, module in zip([*created(critic, keras.layers.Conv2D), *created(critic, keras.layers.Dense)],
                             [*twin.halvings, twin.last], strict=True):
        # Larger weights than those that training starts from, so that gradients have norms around 1.
        layer._kernel.assign(3.0 * layer._kernel)
        layer.bias.assign(rng.normal(size=layer.bias.shape))
        pairs += copied(torch, layer, module)
    real, fake = (rng.uniform(size=(rows, *shape)).astype("float32") for _ in range(2))
    shares = rng.uniform(size=(rows, 1)).astype("float32")
    penalty, share = losses.GradientPenalty(10.0, scale=2.0), tf.constant(shares[:, :, None, None])
    monkeypatch.setattr("tfgen.replicas.uniform", lambda *_: share)
    monkeypatch.setattr(torch, "rand", lambda *size, **_: torch.tensor(shares))
    variables = [weight.value for weight, _ in pairs]
    with tf.GradientTape() as tape:
        scores = critic(real), critic(fake)
        added = penalty(critic, tf.constant(real), tf.constant(fake))
        loss = losses.Wasserstein().critic(*scores) + added
    slopes = tape.gradient(loss, variables)
    sides = [torch.tensor(channels_first(2.0 * x - 1.0)) for x in (real, fake)]
    wanted = [twin(side) for side in sides]
    of_theirs = twin.compute_gradient_penalty_loss(*sides)
    total = twin.compute_gan_loss(output_real=wanted[0], output_fake=wanted[1]) + of_theirs
    for ours, theirs in zip(scores, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs.detach(), rtol=1e-4, atol=1e-4)
    assert float(added) == pytest.approx(of_theirs.item(), rel=1e-4) and float(added) > 0.1
    assert float(loss) == pytest.approx(total.item(), rel=1e-4)
    total.backward()
    moved(torch, Adam, [(weight, slope) for (weight, _), slope in zip(pairs, slopes)], [twins for _, twins in pairs])


def projection(torch, mimicry, channels, widths, classes):
    """The critic of `networks.resnet`, of layers and blocks of torch-mimicry."""
    blocks, of = (mimicry(f"torch_mimicry.modules.{name}") for name in ("resblocks", "layers"))

    class Critic(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = torch.nn.ModuleList(
                [blocks.DBlockOptimized(channels, widths[0]), of.SelfAttention(widths[0])]
                + [blocks.DBlock(before, after, after, downsample=True) for before, after in zip(widths, widths[1:])]
                + [blocks.DBlock(widths[-1], widths[-1])])
            for block in self.blocks:
                # Theirs rectifies the features in place, so that the skip connection has rectified ones, too; neither the
                # papers nor the authors' code of SNGAN do.
                block.activation = torch.nn.ReLU()
            self.score = of.SNLinear(widths[-1], 1)
            self.of_class = of.SNEmbedding(classes, widths[-1])

        def forward(self, x, label):
            for block in self.blocks:
                x = block(x)
            features = torch.relu(x).sum((2, 3))
            return self.score(features) + (self.of_class(label) * features).sum(1, keepdim=True)

    return Critic()


def test_a_projection_critic_with_attention_and_a_step(torch, mimicry):
    """Residual blocks, attention, projection of the label: scores, hinge loss, gradients, Adam's step.

    The vector u of the table of classes has a value per class there and one per feature here: both start at
    singular vectors.
    """
    shape, classes, filters, rows, rng = (16, 16, 3), 5, 16, 4, np.random.default_rng(0)
    critic = networks.resnet.critic(shape, classes, filters)
    twin = projection(torch, mimicry, 3, [filters, 2 * filters], classes)
    seen = twin.blocks[1]
    modules = [getattr(block, name) for block in twin.blocks for name in ("c1", "c2", "c_sc", "theta", "phi", "g", "o")
               if hasattr(block, name)]
    of_class, score = created(critic, layers.SpectralDense)
    pairs = []
    for layer, module in zip([*created(critic, layers.SpectralConv2D), score], [*modules, twin.score], strict=True):
        if layer.use_bias:
            layer.bias.assign(0.1 * rng.normal(size=layer.bias.shape))
        pairs += copied(torch, layer, module)
    gamma, table = created(critic, layers.Scale)[0].gamma, of_class._kernel
    # At its start of 0, the convolutions of the attention have no gradient.
    gamma.assign(0.7)
    left, _, right = np.linalg.svd(table.numpy())
    of_class.u.assign(right[:1])
    assign(torch, twin.of_class.weight_u, left[:, 0])
    for weight, parameter in ((gamma, seen.gamma), (table, twin.of_class.weight_orig)):
        assign(torch, parameter, weight.numpy())
        pairs.append((weight, [(parameter, lambda value: value)]))
    assert {id(weight) for weight, _ in pairs} == {id(weight) for weight in critic.trainable_variables}
    x, label = rng.uniform(size=(2 * rows, *shape)).astype("float32"), rng.integers(classes, size=2 * rows)
    with tf.GradientTape() as tape:
        scores = critic([x, label], training=True)
        loss = losses.Hinge().critic(scores[:rows], scores[rows:])
    slopes = tape.gradient(loss, [weight.value for weight, _ in pairs])
    wanted = twin(torch.tensor(channels_first(2.0 * x - 1.0)), torch.tensor(label))
    np.testing.assert_allclose(scores, wanted.detach(), rtol=1e-3, atol=1e-3)
    total = mimicry("torch_mimicry.modules.losses").hinge_loss_dis(output_fake=wanted[rows:], output_real=wanted[:rows])
    assert float(loss) == pytest.approx(total.item(), rel=1e-4) and float(loss) > 0.1
    total.backward()
    moved(torch, Adam, [(weight, slope) for (weight, _), slope in zip(pairs, slopes)], [twins for _, twins in pairs])
