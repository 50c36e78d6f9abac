"""RealNVP of the package `normflows` on PyTorch, with the structure and the weights of `explicit.realnvp`."""

import math

import normflows
import numpy as np
import torch

from benchmarks.explicit import ALPHA, couplings_of
from benchmarks.torch_gan import norm
from benchmarks.torch_loop import assign, parameters


def residual(inputs, moved, filters, blocks):
    return normflows.nets.ConvResidualNet(inputs, moved, filters, num_blocks=blocks, use_batch_norm=True)


def masked(shape, filters, blocks, even):
    """Coupling with a checkerboard; even: pixels with an even sum of row and column are held."""
    channels, height, width = shape
    held = (np.add.outer(np.arange(height), np.arange(width)) % 2 == 0) == even
    mask = torch.from_numpy(np.broadcast_to(held, shape).astype("float32").copy())
    return normflows.flows.MaskedAffineFlow(mask, *(residual(channels, channels, filters, blocks) for _ in range(2)))


def halved(channels, filters, blocks, first):
    """Coupling of halves of the channels; first: the first half is held."""
    return normflows.flows.AffineCouplingBlock(residual(channels // 2, channels, filters, blocks),
                                               split_mode="channel" if first else "channel_inv")


def flow(image_shape, filters, blocks, couplings, scales):
    """A `MultiscaleFlow`; its lists run from latents to data, the deepest scale first."""
    height, width, channels = image_shape
    levels, merges, priors = [], [], []

    def checkerboards(shape, width, count):
        return [masked(shape, width, blocks, index % 2 == 0) for index in range(count)]

    for _ in range(scales):
        first = checkerboards((channels, height, width), filters, couplings)
        height, width, channels = height // 2, width // 2, 4 * channels
        second = [halved(channels, 2 * filters, blocks, index % 2 == 0) for index in range(couplings)]
        levels.append([*first, normflows.flows.Squeeze(), *second])
        merges.append(normflows.flows.Merge("channel"))
        channels, filters = channels // 2, 2 * filters
        priors.append(normflows.distributions.DiagGaussian((channels, height, width), trainable=False))
    levels.append(checkerboards((channels, height, width), filters, couplings + 1))
    priors.append(normflows.distributions.DiagGaussian((channels, height, width), trainable=False))
    return normflows.MultiscaleFlow(priors[::-1], [level[::-1] for level in levels[::-1]], merges[::-1],
                                    normflows.transforms.Logit(ALPHA), class_cond=False)


def copy_weights(network, twin, interleaved=False):
    """Takes a Keras network's weights; interleaved: the last layer's halves (shifts, log scales) alternate."""
    ours = [layer for layer in network.layers if layer.weights]
    theirs = [twin.initial_layer, *(part for block in twin.blocks for pair in zip(block.batch_norm_layers, block.conv_layers)
                                    for part in pair), twin.final_layer]
    for layer, module in zip(ours, theirs, strict=True):
        weight, bias = (w.numpy() for w in layer.weights[:2])
        if weight.ndim == 4:
            weight = weight.transpose(3, 2, 0, 1)
        if interleaved and module is twin.final_layer:
            order = np.arange(len(bias)).reshape(2, -1).T.reshape(-1)
            weight, bias = weight[order], bias[order]
        assign(module, weight, bias)


class Twin:
    """A flow of `explicit.realnvp` in `normflows`: weights, loss and updates.

    Args:
        model: the compiled `tfgen.Flow`.
        structure: the arguments that it was made with: filters, blocks, couplings, scales.
        channels_last: the layout of weights and images.
    """

    def __init__(self, model, structure, channels_last=False):
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        height, width, channels = model.image_shape
        self.flow = flow((height, width, channels), **structure)
        every = [part for level in reversed(self.flow.flows) for part in reversed(level)]
        theirs = [part for part in every if not isinstance(part, normflows.flows.Squeeze)]
        for ours, their in zip(couplings_of(model.bijector), theirs, strict=True):
            if ours.mask == "checkerboard":
                for name, twin in (("shift", their.t), ("log_scale", their.s)):
                    copy_weights(ours.network.get_layer(name), twin)
            else:
                copy_weights(ours.network.get_layer("both"), their.flows[1].param_map, interleaved=True)
        self.flow.to(memory_format=self.layout)
        self.optimizer = torch.optim.Adam(self.flow.parameters(), float(model.optimizer.learning_rate), eps=1e-7)

    def loss_of(self, x, u):
        """-log p(y) + D log levels in nats per image, y = (level + u) / levels."""
        return self.flow.forward_kld((torch.round(x * 255.0) + u) / 256.0) + x[0].numel() * math.log(256.0)

    def images(self, x):
        return torch.from_numpy(x.transpose(0, 3, 1, 2).copy()).contiguous(memory_format=self.layout)

    def parameters(self):
        return parameters(self.flow)

    def loss(self, x, u):
        """(loss, norm of its gradient) at images and noise (B, H, W, C)."""
        return norm(self.loss_of(self.images(x), self.images(u)), list(self.flow.parameters()))

    def trainer(self, images, batch_size):
        """A function that trains for one pass over images (N, H, W, C)."""
        batches = self.images(images).split(batch_size)

        def run():
            for x in batches:
                self.optimizer.zero_grad()
                loss = self.loss_of(x, torch.rand_like(x))
                loss.backward()
                self.optimizer.step()
            return loss.item()

        return run


def twins(model, structure):
    """{variant: `Twin`}."""
    return {"normflows": Twin(model, structure), "normflows_channels_last": Twin(model, structure, channels_last=True)}
