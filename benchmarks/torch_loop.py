"""The same networks, loss and optimizer in PyTorch, eager and compiled.

TensorFlow's stride-2 "same" 3x3 convolution of an even size pads the bottom and the right only; PyTorch's
`padding=1` uses, of an even size, the pad at the top and the left only. The two are equal on images and kernels turned
by 180 degrees, so `copy_weights` turns the encoder's kernels and PyTorch needs no padding layer of its own.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional


class Network(nn.Module):
    """Encoder and decoder of the recipes `vae` and `denoising` for 28x28x1 images.

    Args:
        outputs: width of the encoder's last layer.
        latent: width of the decoder's input.
    """

    def __init__(self, outputs, latent):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU(),
                                     nn.Flatten(), nn.Linear(7 * 7 * 64, outputs))
        self.decoder = nn.Sequential(nn.Linear(latent, 7 * 7 * 64), nn.ReLU(), nn.Unflatten(1, (64, 7, 7)),
                                     nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.ReLU(),
                                     nn.ConvTranspose2d(32, 1, 4, 2, 1))

    def copy_weights(self, encoder, decoder):
        """Takes the weights of the Keras networks: (H, W, in, out) -> (out, in, H, W), flat (H, W, C) -> (C, H, W)."""
        first, second, last = self.encoder[0], self.encoder[2], self.encoder[5]
        values = [w.numpy() for w in encoder.weights]
        for layer, kernel, bias in ((first, *values[0:2]), (second, *values[2:4])):
            assign(layer, kernel[::-1, ::-1].transpose(3, 2, 0, 1), bias)
        grid = values[4].reshape(7, 7, 64, -1)[::-1, ::-1]
        assign(last, grid.transpose(3, 2, 0, 1).reshape(last.weight.shape), values[5])
        first, second, last = self.decoder[0], self.decoder[3], self.decoder[5]
        values = [w.numpy() for w in decoder.weights]
        grid = values[0].reshape(-1, 7, 7, 64)
        assign(first, grid.transpose(3, 1, 2, 0).reshape(first.weight.shape),
               values[1].reshape(7, 7, 64).transpose(2, 0, 1).reshape(-1))
        for layer, kernel, bias in ((second, *values[2:4]), (last, *values[4:6])):
            assign(layer, kernel.transpose(3, 2, 0, 1), bias)


def assign(layer, weight, bias):
    """Copies arrays into a layer."""
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight)))
        layer.bias.copy_(torch.from_numpy(np.ascontiguousarray(bias)))


def vae_loss(network, x, target, epsilon):
    """-ELBO of Bernoulli pixels at z = mean + sigma epsilon."""
    mean, log_var = network.encoder(x).chunk(2, dim=-1)
    kl = 0.5 * (mean**2 + log_var.exp() - 1.0 - log_var).sum()
    return (cross_entropy(network.decoder(mean + (0.5 * log_var).exp() * epsilon), target) + kl) / len(x)


def denoising_loss(network, x, target, epsilon):
    """Cross-entropy of the clean images given x + epsilon."""
    return cross_entropy(network.decoder(network.encoder(x + epsilon)), target) / len(x)


def cross_entropy(logits, x):
    """Of Bernoulli pixels, nats in all: a scalar."""
    return functional.binary_cross_entropy_with_logits(logits, x, reduction="sum")


LOSSES = {"vae": vae_loss, "denoising": denoising_loss}
# Each with what the one before has; `fused`: Adam's updates as one operation.
VARIANTS = {"torch": {}, "torch_channels_last": {"channels_last": True},
            "torch_fused": {"channels_last": True, "fused": True},
            "torch_compiled": {"channels_last": True, "fused": True, "compiled": True}}


def build(recipe, model):
    """The PyTorch twin of a Keras model, with its weights."""
    outputs, latent = model.encoder.outputs[0].shape[-1], model.decoder.inputs[0].shape[-1]
    network = Network(outputs, latent)
    network.copy_weights(model.encoder, model.decoder)
    return network


def parameters(network):
    """Number of trained values."""
    return sum(p.numel() for p in network.parameters())


def loss_and_gradient(recipe, network, x, epsilon):
    """(loss, norm of its gradient) at images (B, H, W, C) and a given noise, both arrays as TensorFlow has them."""
    target = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
    noise = torch.from_numpy(np.asarray(epsilon))
    network.zero_grad()
    loss = LOSSES[recipe](network, target.flip(2, 3), target, noise)
    loss.backward()
    return loss.item(), sum(float(p.grad.square().sum()) for p in network.parameters()) ** 0.5


def trainer(recipe, model, images, batch_size, learning_rate, channels_last=False, fused=False, compiled=False,
            autocast=False):
    """A function without arguments that trains the twin of `model` for one pass over `images` (N, H, W, C).

    Args:
        autocast: whether the loss is computed in bfloat16 where PyTorch finds that safe; weights stay in float32.
        others: see `VARIANTS`.
    """
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network = build(recipe, model).to(memory_format=layout)
    batches = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).contiguous(memory_format=layout).split(batch_size)
    # Keras' epsilon.
    optimizer = torch.optim.Adam(network.parameters(), learning_rate, eps=1e-7, fused=fused)
    loss_of, latent = LOSSES[recipe], network.decoder[0].in_features
    loss_of = torch.compile(loss_of) if compiled else loss_of

    def run():
        for x in batches:
            epsilon = torch.randn(len(x), latent) if recipe == "vae" else model.corruption.sigma * torch.randn_like(x)
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, autocast):
                loss = loss_of(network, x, x, epsilon)
            loss.backward()
            optimizer.step()
        return loss.item()

    return run
