"""The GANs of the recipes `dcgan` and `wgan_gp` for 28x28x1 images in PyTorch, eager and compiled, with the same updates."""

import functools

import keras
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.gan_loops import PENALTY
from benchmarks.torch_loop import assign


def generator(latent, filters):
    """Latents -> images in [-1, 1]."""
    wide = 2 * filters
    return nn.Sequential(
        nn.Linear(latent, 49 * wide, bias=False), nn.Unflatten(1, (wide, 7, 7)), nn.BatchNorm2d(wide), nn.ReLU(),
        nn.ConvTranspose2d(wide, filters, 4, 2, 1, bias=False), nn.BatchNorm2d(filters), nn.ReLU(),
        nn.ConvTranspose2d(filters, 1, 4, 2, 1), nn.Tanh())


def critic(filters, norm):
    """Images in [-1, 1] -> scores."""
    wide = 2 * filters
    return nn.Sequential(
        nn.Conv2d(1, filters, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(filters, wide, 4, 2, 1), norm(wide), nn.LeakyReLU(0.2),
        nn.Flatten(), nn.Linear(49 * wide, 1))


def copy_weights(network, twin, turned=False):
    """Takes a Keras network's weights, layer by layer; turned: with the kernels of convolutions turned by 180 degrees."""
    ours = [layer for layer in network.layers if layer.weights]
    theirs = [module for module in twin.modules() if not list(module.children()) and list(module.parameters())]
    for layer, module in zip(ours, theirs, strict=True):
        values = [w.numpy() for w in layer.weights]
        kernel, bias = values[0], values[1] if len(values) > 1 else None
        if isinstance(layer, (keras.layers.Conv2D, keras.layers.Conv2DTranspose)):
            kernel = (kernel[::-1, ::-1] if turned else kernel).transpose(3, 2, 0, 1)
        elif isinstance(layer, keras.layers.Dense) and kernel.shape[1] > 1:
            # (latent, 7 * 7 * C) -> (C * 7 * 7, latent)
            kernel = kernel.reshape(len(kernel), 7, 7, -1).transpose(3, 1, 2, 0).reshape(module.weight.shape)
        elif isinstance(layer, keras.layers.Dense):
            kernel = kernel.reshape(7, 7, -1).transpose(2, 0, 1).reshape(1, -1)
        if bias is None:
            with torch.no_grad():
                module.weight.copy_(torch.from_numpy(np.ascontiguousarray(kernel)))
        else:
            assign(module, kernel, bias)


def norm(loss, parameters):
    """(loss, norm of its gradient) as numbers."""
    return loss.item(), sum(float(g.square().sum()) for g in torch.autograd.grad(loss, parameters)) ** 0.5


class Players:
    """Two players' weights, as a Keras model has them, and optimizers.

    Args:
        model: a compiled model of two players.
        pairs: [(Keras network, its twin), …] of the generator's side and of the critic's.
        channels_last: the layout of weights and images.
        turned: as for `copy_weights`.
        fused: whether Adam's updates are one operation.
    """

    def __init__(self, model, pairs, channels_last=False, turned=False, fused=False):
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        for network, twin in sum(pairs, []):
            copy_weights(network, twin, turned)
            twin.to(memory_format=self.layout)
        self.sides = [[p for _, twin in side for p in twin.parameters()] for side in pairs]
        self.optimizers = [
            torch.optim.Adam(side, float(ours.learning_rate), (ours.beta_1, ours.beta_2), eps=1e-7,
                             fused=fused)
            for side, ours in zip(self.sides, (model.optimizer, model.critic_optimizer))]

    def hold_critics(self, held):
        """Whether gradients of the critics' weights are left out, as in the generator's step of the public codes."""
        for parameter in self.sides[1]:
            parameter.requires_grad_(not held)

    def parameters(self):
        """Numbers of trained values: the generator's side, the critic's."""
        return [sum(p.numel() for p in side) for side in self.sides]


class Twin(Players):
    """A Keras GAN's networks, weights, losses and updates.

    Args:
        recipe: `dcgan` or `wgan_gp`.
        model: a compiled `tfgen.GAN` of it.
        compiled: whether `trainer` runs what torch.compile makes of the networks. A penalty's gradient of a gradient cannot
            be compiled, so that critics with one update in eager mode.
        autocast: whether losses are computed in bfloat16 where PyTorch finds that safe; weights stay in float32.
        others: as for `Players`.
    """

    def __init__(self, recipe, model, channels_last=False, fused=False, compiled=False, autocast=False):
        filters, self.latent = model.critic.get_layer(index=2).filters, model.latent_shape[0]
        self.recipe, self.steps = recipe, model.critic_steps
        self.uniform = type(model.prior).__name__ == "Uniform"
        self.generator = generator(self.latent, filters)
        norms = {"dcgan": lambda wide: nn.BatchNorm2d(wide), "wgan_gp": lambda wide: nn.GroupNorm(1, wide)}
        self.critic = critic(filters, norms[recipe])
        super().__init__(model, [[(model.generator, self.generator)], [(model.critic, self.critic)]], channels_last,
                         fused=fused)
        self.compiled, self.autocast = compiled, autocast

    def draw(self, rows):
        return 2.0 * torch.rand(rows, self.latent) - 1.0 if self.uniform else torch.randn(rows, self.latent)

    def critic_loss(self, critic, x, fake, share):
        real, made = critic(x), critic(fake)
        if self.recipe == "dcgan":
            return functional.softplus(-real).mean() + functional.softplus(made).mean()
        between = (share * x + (1.0 - share) * fake).requires_grad_()
        gradient = torch.autograd.grad(critic(between).sum(), between, create_graph=True)[0]
        norms = (gradient.square().sum((1, 2, 3)) + 1e-12).sqrt()
        return made.mean() - real.mean() + PENALTY * (norms - 1.0).square().mean()

    def generator_loss(self, critic, fake):
        scores = critic(fake)
        return functional.softplus(-scores).mean() if self.recipe == "dcgan" else -scores.mean()

    def losses(self, x, z, share):
        """As `gan_loops.losses`; x (B, H, W, C) in [0, 1]."""
        x = torch.from_numpy(2.0 * x.transpose(0, 3, 1, 2) - 1.0)
        share, found = torch.from_numpy(share), []
        for side, loss_of in ((1, lambda fake: self.critic_loss(self.critic, x, fake, share)),
                              (0, lambda fake: self.generator_loss(self.critic, fake))):
            found += norm(loss_of(self.generator(torch.from_numpy(z))), self.sides[side])
        return found

    def trainer(self, images, batch_size):
        """A function that trains for one pass over images (N, H, W, C): one generator forward for both last updates."""
        x = torch.from_numpy(2.0 * images.transpose(0, 3, 1, 2) - 1.0).contiguous(memory_format=self.layout)
        batches = x.split(batch_size * self.steps)
        first, second = self.optimizers
        generator, critic = map(torch.compile, (self.generator, self.critic)) if self.compiled else (self.generator,
                                                                                                     self.critic)
        trained = self.critic if self.recipe == "wgan_gp" else critic
        precision = functools.partial(torch.autocast, "cpu", torch.bfloat16, self.autocast)

        def run():
            for batch in batches:
                for x in batch.split(batch_size):
                    second.zero_grad()
                    with precision():
                        fake = generator(self.draw(len(x)))
                        loss = self.critic_loss(trained, x, fake.detach(), torch.rand(len(x), 1, 1, 1))
                    loss.backward()
                    second.step()
                # Of the critic's weights there are no gradients in the generator's step, as in the other variants.
                self.hold_critics(True)
                first.zero_grad()
                with precision():
                    loss = self.generator_loss(critic, fake)
                loss.backward()
                first.step()
                self.hold_critics(False)
            return loss.item()

        return run
