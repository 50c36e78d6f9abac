"""Bijectors and flows beside normflows, whose masked networks are those of the authors of neural spline flows."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from twins import MISSING, assign, channels_first, moved, outputs_first

from tfgen.distributions import Normal
from tfgen.distributions import bijectors as b
from tfgen.layers import ZeroConv2D
from tfgen.networks import coupling
from tfgen.optimizers import Adam


@pytest.fixture
def normflows(torch):
    return pytest.importorskip("normflows", reason=MISSING)


def same(value):
    return value


def masked(torch, normflows, size, width):
    """A masked autoregressive flow of the paper's z = (x - mean) exp(-alpha) with their masked network of two hidden layers.

    Their network has no activation after the first layer.
    """
    class Flow(normflows.flows.affine.autoregressive.Autoregressive):
        def _elementwise_forward(self, x, made):
            mean, alpha = made.view(-1, size, 2).unbind(-1)
            return (x - mean) * torch.exp(-alpha), -alpha.sum(1)

        def _elementwise_inverse(self, z, made):
            mean, alpha = made.view(-1, size, 2).unbind(-1)
            return z * torch.exp(alpha) + mean, alpha.sum(1)

    network = normflows.nets.MADE(size, width, num_blocks=1, output_multiplier=2, use_residual_blocks=False)
    flow, parts = Flow(network), [network.initial_layer, network.blocks[0].linear, network.final_layer]
    network.initial_layer = torch.nn.Sequential(network.initial_layer, torch.nn.ReLU())
    return flow, parts


@pytest.mark.parametrize("reverse", [False, True])
def test_a_masked_autoregressive_flow(torch, normflows, reverse):
    """Latents, log-determinants, the inverse (theirs is D passes of the network), log-likelihood, gradients, Adam's step."""
    size, width, rng = 6, 15, np.random.default_rng(0)
    ours = b.MaskedAutoregressive([width, width], reverse=reverse)
    ours.build((None, size))
    theirs, parts = masked(torch, normflows, size, width)
    # Hidden units of one degree stand together here and are dealt out in turns there; parameters of a value stand together
    # there. As many units have each degree in both.
    hidden = np.argsort(parts[0].degrees.numpy(), kind="stable")
    outputs = np.arange(2 * size).reshape(size, 2).T.ravel()
    if reverse:
        outputs = np.concatenate([half[::-1] for half in np.split(outputs, 2)])
    places = [np.arange(size)[::-1] if reverse else np.arange(size), hidden, hidden, outputs]
    turns = [(lambda kernel, taken=np.argsort(taken), given=np.argsort(given): outputs_first(kernel)[given][:, taken],
              lambda bias, given=np.argsort(given): bias[given]) for taken, given in zip(places, places[1:])]
    for kernel, bias, part, (turned, ordered) in zip(ours.kernels, ours.biases, parts, turns, strict=True):
        kernel.assign(rng.normal(size=kernel.shape, scale=0.4))
        bias.assign(rng.normal(size=bias.shape, scale=0.4))
        assign(torch, part.weight, turned(kernel.numpy()))
        assign(torch, part.bias, ordered(bias.numpy()))
        # A unit of degree m sees inputs up to m in both.
        seen = np.asarray(ours.connections()[len(turns) - 1 if part is parts[-1] else parts.index(part)]) != 0
        np.testing.assert_array_equal(turned(seen), part.mask.numpy() != 0)
    x = rng.normal(size=(7, size)).astype("float32")
    given = torch.tensor(x[:, ::-1].copy() if reverse else x)
    weights = [*ours.kernels, *ours.biases]
    with tf.GradientTape() as tape:
        z, log_det = ours.forward_and_log_det(tf.constant(x))
        loss = -tf.reduce_mean(Normal().log_prob(z) + log_det)
    slopes = tape.gradient(loss, [weight.value for weight in weights])
    wanted, their_log_det = theirs(given)
    total = -(normflows.distributions.DiagGaussian(size, trainable=False).log_prob(wanted) + their_log_det).mean()
    latents = wanted.detach().numpy()
    np.testing.assert_allclose(z, latents[:, ::-1] if reverse else latents, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(log_det, their_log_det.detach(), rtol=1e-4, atol=1e-4)
    assert float(loss) == pytest.approx(total.item(), rel=1e-5)
    back = theirs.inverse(wanted)[0].detach().numpy()
    np.testing.assert_allclose(ours.inverse(z), back[:, ::-1] if reverse else back, rtol=1e-3, atol=1e-3)
    total.backward()
    moved(torch, Adam, list(zip(weights, slopes)),
          [[(part.weight, turned)] for part, (turned, _) in zip(parts, turns)]
          + [[(part.bias, ordered)] for part, (_, ordered) in zip(parts, turns)])


def test_activation_normalisation_starts_from_a_batch(torch, normflows):
    """Theirs divides by the deviation of n - 1, ours by that of n, as the authors of Glow do."""
    x = np.random.default_rng(0).normal(1.0, 3.0, (4, 6, 5, 3)).astype("float32")
    ours, theirs = b.ActNorm(), normflows.flows.ActNorm((3, 1, 1))
    ours.build(x.shape)
    z, log_det = ours.forward_and_log_det(tf.constant(x), training=True)
    wanted, their_log_det = theirs(torch.tensor(channels_first(x)))
    unbiased = np.sqrt(1.0 - 1.0 / (4 * 6 * 5))
    np.testing.assert_allclose(z * unbiased, np.moveaxis(wanted.detach().numpy(), 1, -1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(log_det + 6 * 5 * 3 * np.log(unbiased), np.full(4, their_log_det.item()), rtol=1e-4)


def test_the_logit(torch, normflows):
    x = np.random.default_rng(0).uniform(size=(3, 4, 4, 2)).astype("float32")
    z, log_det = b.Logit(0.05).forward_and_log_det(tf.constant(x))
    wanted, their_log_det = normflows.transforms.Logit(0.05).inverse(torch.tensor(channels_first(x)))
    np.testing.assert_allclose(z, np.moveaxis(wanted.numpy(), 1, -1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(log_det, their_log_det, rtol=1e-4)


class Step:
    """One of ours: actnorm, 1x1 convolution and coupling; its twin of normflows, from data to latents."""

    def __init__(self, torch, normflows, shape, filters, rng):
        half = shape[-1] // 2
        network = coupling.convolutional((*shape[:2], half), half, filters)
        self.norm, self.conv, self.coupling = b.ActNorm(), b.InvertibleConv(), b.AffineCoupling(network)
        for part in (self.norm, self.conv, self.coupling):
            part.build((None, *shape))
        for weight in (*self.norm.trainable_variables, *self.conv.trainable_variables, *network.trainable_variables):
            weight.assign(weight.numpy() + 0.05 * rng.normal(size=weight.shape))
        inner = normflows.nets.ConvNet2d((half, filters, filters, 2 * half), (3, 1, 3), actnorm=True)

        class Scaled(torch.nn.Module):
            """Their network and the output's scales of Glow's authors, shifts and log scales in turns."""

            def __init__(self):
                super().__init__()
                self.net, self.log_scale = inner, torch.nn.Parameter(torch.zeros(2 * half))

            def forward(self, x):
                return self.net(x) * torch.exp(3.0 * self.log_scale)[:, None, None]

        self.their_norm, self.their_conv = normflows.flows.ActNorm((shape[-1], 1, 1)), normflows.flows.Invertible1x1Conv(
            shape[-1], use_lu=True)
        # "sigmoid_inv" is z = x sigmoid(s + 2) + t, as the paper has it.
        scaled = Scaled()
        self.their_coupling = normflows.flows.AffineCouplingBlock(scaled, scale_map="sigmoid_inv")
        norms = [layer for layer in network.layers if isinstance(layer, b.ActNorm)]
        convs = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
        turns = np.arange(2 * half).reshape(2, half).T.ravel()
        parts = list(inner.net)
        last = parts[-1]
        self.pairs = []

        def pair(weight, *twins):
            for twin, turned in twins:
                assign(torch, twin, turned(weight.numpy()))
            self.pairs.append((weight, list(twins)))

        def wide(value):
            return np.reshape(value, (1, -1, 1, 1))

        for norm, twin in ((self.norm, self.their_norm), *zip(norms, (parts[1].actNorm, parts[4].actNorm), strict=True)):
            pair(norm.log_scale, (twin.s, wide))
            pair(norm.bias, (twin.t, wide))
            twin.data_dep_init_done = torch.tensor(1.0)
        for weight, twin in ((self.conv.permutation, self.their_conv.P), (self.conv.sign, self.their_conv.sign_S)):
            assign(torch, twin, weight)
        pair(self.conv.log_s, (self.their_conv.log_S, same))
        pair(self.conv.lower_upper, (self.their_conv.L, lambda x: np.tril(x, -1)),
             (self.their_conv.U, lambda x: np.triu(x, 1)))
        for conv, twin in zip(convs[:2], (parts[0], parts[3]), strict=True):
            pair(conv._kernel, (twin.weight, outputs_first))
        assert isinstance(convs[2], ZeroConv2D)
        pair(convs[2]._kernel, (last.weight, lambda kernel: outputs_first(kernel)[turns]))
        pair(convs[2].bias, (last.bias, lambda bias: bias[turns]))
        pair(convs[2].log_scale, (scaled.log_scale, lambda scale: scale[turns]))

    def chain(self):
        return [self.norm, self.conv, self.coupling]

    def forward(self, x):
        """(z, log-determinant) by the twin."""
        total = 0.0
        # Their convolution goes from latents to data.
        for call in (self.their_norm.forward, self.their_conv.inverse, self.their_coupling.forward):
            x, log_det = call(x)
            total = total + log_det
        return x, total


def test_a_glow_of_two_scales_and_a_step(torch, normflows):
    """Squeezing, two steps of each scale, a learned prior of what is factored out: log-likelihood, gradients, Adam's step.

    Channels of a squeezed block stand colour by colour there, as in the authors' code, and pixel by pixel here.
    """
    shape, filters, rng = (8, 8, 3), 5, np.random.default_rng(0)
    scales = [[Step(torch, normflows, side, filters, rng) for _ in range(2)] for side in ((4, 4, 12), (2, 2, 24))]
    image = keras.Input((4, 4, 6))
    prior = keras.Model(image, ZeroConv2D(12, 3, padding="same")(image))
    conv = torch.nn.Conv2d(6, 12, 3, padding=1)
    log_scale = torch.nn.Parameter(torch.zeros(12))
    pairs = [pair for steps in scales for step in steps for pair in step.pairs]
    layer = prior.layers[-1]
    for weight, twin in ((layer._kernel, conv.weight), (layer.bias, conv.bias), (layer.log_scale, log_scale)):
        weight.assign(0.2 * rng.normal(size=weight.shape))
        assign(torch, twin, outputs_first(weight.numpy()))
        pairs.append((weight, [(twin, outputs_first)]))
    inner, outer = (sum((step.chain() for step in steps), [b.Squeeze()]) for steps in scales[::-1])
    flow = b.Chain([*outer, b.Split(b.Chain([*inner, b.Flatten()]), prior)])
    flow.build((None, *shape))

    def squeezed(x):
        z, _ = normflows.flows.Squeeze().inverse(x)
        return z[:, np.arange(z.shape[1]).reshape(-1, 4).T.ravel()]

    learned = normflows.distributions.base.ConditionalDiagGaussian(
        (4, 4, 6), lambda x: (conv(x) * torch.exp(3.0 * log_scale)[:, None, None]).movedim(1, -1))

    def of_theirs(x):
        x, total = squeezed(x), 0.0
        for step in scales[0]:
            x, log_det = step.forward(x)
            total = total + log_det
        (x, aside), _ = normflows.flows.Split("channel").forward(x)
        total = total + learned.log_prob(aside.movedim(1, -1), context=x)
        x = squeezed(x)
        for step in scales[1]:
            x, log_det = step.forward(x)
            total = total + log_det
        return normflows.distributions.DiagGaussian((24, 2, 2), trainable=False).log_prob(x) + total

    x = rng.normal(size=(3, *shape)).astype("float32")
    variables = [weight for weight, _ in pairs]
    assert {id(weight) for weight in variables} == {id(weight) for weight in flow.trainable_variables}
    with tf.GradientTape() as tape:
        z, log_det = flow.forward_and_log_det(tf.constant(x))
        density = Normal().log_prob(z) + log_det
        loss = -tf.reduce_mean(density)
    slopes = tape.gradient(loss, [weight.value for weight in variables])
    wanted = of_theirs(torch.tensor(channels_first(x)))
    np.testing.assert_allclose(density, wanted.detach(), rtol=1e-5)
    np.testing.assert_allclose(flow.inverse(z), x, atol=1e-3)
    (-wanted.mean()).backward()
    moved(torch, Adam, list(zip(variables, slopes)), [twins for _, twins in pairs])
