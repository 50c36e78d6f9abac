"""The recipes `pix2pix` and `cyclegan` for images with even sides in PyTorch, eager, with the same updates.

Images are in [-1, 1] and turned by 180 degrees, as are the kernels: PyTorch pads 3x3 convolutions of stride 2 at the
other sides than TensorFlow (see `torch_loop`). So the generator is CycleGAN's public one, padding layers included.
"""

import random

import keras
import torch
from torch import nn
from torch.nn import functional

from benchmarks.torch_gan import Players, norm
from benchmarks.translation_loops import CYCLE, IDENTITY, L1, POOL


def widths(network):
    """Channels after each convolution of a Keras network that is not transposed."""
    return [layer.filters for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]


def normalised(*layers):
    """A convolution with its instance normalisation, and what follows."""
    return [*layers[:1], nn.InstanceNorm2d(layers[0].out_channels), *layers[1:]]


class UNet(nn.Module):
    """pix2pix' generator.

    Args:
        channels: of the grids on the way down.
        inputs, outputs: channels of the images.
        dropout: rate in the three deepest levels up but the first.
    """

    def __init__(self, channels, inputs, outputs, dropout):
        super().__init__()
        deepest = len(channels) - 1
        self.dropout = dropout
        self.down = nn.ModuleList(nn.Conv2d(before, width, 4, 2, 1, bias=level == 0)
                                  for level, (before, width) in enumerate(zip([inputs, *channels], channels)))
        up = [nn.ConvTranspose2d(width if level == deepest else 2 * width, after, 4, 2, 1, bias=level == 0)
              for level, (width, after) in enumerate(zip(channels, [outputs, *channels]))]
        self.up = nn.ModuleList(up[::-1])

    def forward(self, x):
        skips = []
        for layer in self.down:
            x = layer(functional.leaky_relu(x, 0.2) if skips else x)
            x = functional.instance_norm(x) if skips and x.shape[2:].numel() > 1 else x
            skips.append(x)
        skips.pop()
        for depth, layer in enumerate(self.up[:-1]):
            x = functional.instance_norm(layer(functional.relu_(x)))
            x = functional.dropout(x, self.dropout) if self.dropout and depth < 3 else x
            x = torch.cat([x, skips.pop()], 1)
        return torch.tanh(self.up[-1](functional.relu_(x)))


class Block(nn.Sequential):
    """x + what the layers make of it."""

    def forward(self, x):
        return x + super().forward(x)


def residual(channels, inputs, outputs):
    """CycleGAN's generator; channels as `widths` tells them: three, two a block, the image's."""
    small, middle, large = channels[:3]

    def conv(before, after, size, **flags):
        return nn.Conv2d(before, after, size, padding=size // 2, padding_mode="reflect", **flags)

    def finish(layer):
        return normalised(layer, nn.ReLU(True))

    blocks = [Block(*finish(conv(large, large, 3, bias=False)), *normalised(conv(large, large, 3, bias=False)))
              for _ in channels[3:-1:2]]
    return nn.Sequential(
        *finish(conv(inputs, small, 7, bias=False)), *finish(nn.Conv2d(small, middle, 3, 2, 1, bias=False)),
        *finish(nn.Conv2d(middle, large, 3, 2, 1, bias=False)), *blocks,
        *finish(nn.ConvTranspose2d(large, middle, 3, 2, 1, output_padding=1, bias=False)),
        *finish(nn.ConvTranspose2d(middle, small, 3, 2, 1, output_padding=1, bias=False)),
        conv(small, outputs, 7), nn.Tanh())


def patchgan(channels, inputs):
    """The critic of both."""
    *inner, last, score = channels
    layers = [nn.Conv2d(inputs, inner[0], 4, 2, 1), nn.LeakyReLU(0.2, True)]
    for before, after, stride in zip(inner, [*inner[1:], last], [2] * (len(inner) - 1) + [1]):
        layers += normalised(nn.Conv2d(before, after, 4, stride, 1, bias=False), nn.LeakyReLU(0.2, True))
    return nn.Sequential(*layers, nn.Conv2d(last, score, 4, 1, 1))


def both(network, x, y):
    """What a network makes of two batches, in one pass."""
    return network(torch.cat([x, y])).chunk(2)


class Twin(Players):
    """Networks of two players with their updates; a recipe says what is made and what each player minimises."""

    def batches(self, images):
        """Two arrays (N, H, W, C) in [0, 1] as this library's images."""
        return [torch.from_numpy(2.0 * x.transpose(0, 3, 1, 2)[:, :, ::-1, ::-1] - 1.0).contiguous(memory_format=self.layout)
                for x in images]

    def losses(self, images):
        """As `translation_loops.losses`, of two arrays of images."""
        found, batch = [], self.batches(images)
        for loss_of, side in ((self.critic_loss, 1), (self.generator_loss, 0)):
            found += norm(loss_of(batch, self.generate(batch)), self.sides[side])
        return found

    def trainer(self, images, batch_size):
        """A function that trains for one pass over two arrays of images: one generator forward for both updates."""
        batches = list(zip(*(x.split(batch_size) for x in self.batches(images))))
        first, second = self.optimizers

        def run():
            for batch in batches:
                made = self.generate(batch)
                second.zero_grad()
                self.critic_loss(batch, made).backward()
                second.step()
                self.hold_critics(True)
                first.zero_grad()
                loss = self.generator_loss(batch, made)
                loss.backward()
                first.step()
                self.hold_critics(False)
            return loss.item()

        return run


class Pix2Pix(Twin):
    """As `translation_loops.Pix2Pix`."""

    def __init__(self, model, channels_last=False):
        channels = model.source_shape[-1], model.image_shape[-1]
        dropout = [layer.rate for layer in model.generator.layers if hasattr(layer, "rate")]
        self.generator = UNet(widths(model.generator), *channels, dropout[0] if dropout else 0.0)
        self.critic = patchgan(widths(model.critic), sum(channels))
        super().__init__(model, [[(model.generator, self.generator)], [(model.critic, self.critic)]], channels_last, True)

    def generate(self, batch):
        return self.generator(batch[0])

    def critic_loss(self, batch, made):
        x, y = batch
        real, fake = self.critic(torch.cat([torch.cat([x, x]), torch.cat([y, made.detach()])], 1)).chunk(2)
        return 0.5 * (functional.softplus(-real).mean() + functional.softplus(fake).mean())

    def generator_loss(self, batch, made):
        x, y = batch
        scores = self.critic(torch.cat([x, made], 1))
        return functional.softplus(-scores).mean() + 0.5 * L1 * functional.l1_loss(made, y)


class Pool:
    """As `translation_loops.Pool`, image by image, as in the public implementation."""

    def __init__(self):
        self.images = []

    def exchange(self, batch):
        found = []
        for x in batch.split(1):
            if len(self.images) < POOL:
                self.images.append(x)
            elif random.random() < 0.5:
                place = random.randrange(POOL)
                self.images[place], x = x, self.images[place]
            found.append(x)
        return torch.cat(found)


class CycleGAN(Twin):
    """As `translation_loops.CycleGAN`."""

    def __init__(self, model, channels_last=False):
        source, image = model.source_shape[-1], model.image_shape[-1]
        self.there = residual(widths(model.generator), source, image)
        self.back = residual(widths(model.back_generator), image, source)
        self.critics = patchgan(widths(model.source_critic), source), patchgan(widths(model.critic), image)
        self.pools = Pool(), Pool()
        super().__init__(model, [[(model.generator, self.there), (model.back_generator, self.back)],
                                 list(zip((model.source_critic, model.critic), self.critics))], channels_last, True)

    def generate(self, batch):
        a, b = batch
        made_b, same_b = both(self.there, a, b)
        made_a, same_a = both(self.back, b, a)
        return (made_a, made_b), (self.back(made_b), self.there(made_a)), (same_a, same_b)

    def critic_loss(self, batch, made):
        loss = 0.0
        for critic, pool, x, own in zip(self.critics, self.pools, batch, made[0]):
            real, fake = both(critic, x, pool.exchange(own.detach()))
            loss = loss + 0.25 * ((real - 1.0).square().mean() + fake.square().mean())
        return loss

    def generator_loss(self, batch, made):
        loss = 0.0
        for critic, x, own, cycled, same in zip(self.critics, batch, *made):
            loss = loss + (critic(own) - 1.0).square().mean()
            loss = loss + 0.5 * (CYCLE * functional.l1_loss(cycled, x) + IDENTITY * functional.l1_loss(same, x))
        return loss


TWINS = {"pix2pix": Pix2Pix, "cyclegan": CycleGAN}
