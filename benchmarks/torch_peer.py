"""The same networks, losses and optimizer in PyTorch, eager."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class Encoder(nn.Module):
    """Two 3x3 convolutions with stride 2 and a linear layer: (B, 1, 28, 28) -> (B, outputs)."""

    def __init__(self, outputs, filters=(32, 64)):
        super().__init__()
        self.first = nn.Conv2d(1, filters[0], 3, 2)
        self.second = nn.Conv2d(filters[0], filters[1], 3, 2)
        self.head = nn.Linear(49 * filters[1], outputs)

    def forward(self, x):
        # "same" padding of an even size at stride 2 adds one row below and one column at the right.
        x = F.relu(self.first(F.pad(x, (0, 1, 0, 1))))
        x = F.relu(self.second(F.pad(x, (0, 1, 0, 1))))
        return self.head(x.flatten(1))


class Decoder(nn.Module):
    """A linear layer to 7x7 and two 4x4 transposed convolutions: (B, latent) -> (B, 1, 28, 28)."""

    def __init__(self, latent, filters=(64, 32)):
        super().__init__()
        self.stem = nn.Linear(latent, 49 * filters[0])
        self.first = nn.ConvTranspose2d(filters[0], filters[1], 4, 2, 1)
        self.second = nn.ConvTranspose2d(filters[1], 1, 4, 2, 1)

    def forward(self, z):
        x = F.relu(self.stem(z)).reshape(len(z), -1, 7, 7)
        return self.second(F.relu(self.first(x)))


def copy_weights(keras_model, module):
    """Copies a Keras encoder's or decoder's weights, in layer order, into its PyTorch twin."""
    weights = [np.asarray(w) for w in keras_model.get_weights()]
    layers = list(module.children())
    assert sum(w.size for w in weights) == sum(p.numel() for p in module.parameters())
    with torch.no_grad():
        for index, layer in enumerate(layers):
            kernel, bias = weights[2 * index:2 * index + 2]
            if isinstance(layer, nn.Linear):
                # Flat features are (7, 7, C) in Keras and (C, 7, 7) here.
                if isinstance(module, Encoder):
                    kernel = kernel.reshape(7, 7, -1, kernel.shape[1]).transpose(2, 0, 1, 3).reshape(kernel.shape)
                else:
                    kernel = kernel.reshape(len(kernel), 7, 7, -1).transpose(0, 3, 1, 2).reshape(kernel.shape)
                    bias = bias.reshape(7, 7, -1).transpose(2, 0, 1).ravel()
                layer.weight.copy_(torch.tensor(kernel.T.copy()))
            else:
                # (h, w, in, out) -> (out, in, h, w); transposed (h, w, out, in) -> (in, out, h, w).
                layer.weight.copy_(torch.tensor(kernel.transpose(3, 2, 0, 1).copy()))
            layer.bias.copy_(torch.tensor(bias))


def vae_loss(encoder, decoder, x, noise):
    """As `bare.vae_loss`."""
    mean, log_var = encoder(x).chunk(2, 1)
    logits = decoder(mean + torch.exp(0.5 * log_var) * noise)
    kl = 0.5 * (mean.square() + log_var.exp() - 1.0 - log_var).sum()
    return (F.binary_cross_entropy_with_logits(logits, x, reduction="sum") + kl) / len(x)


def denoising_loss(encoder, decoder, x, noise):
    """As `bare.denoising_loss`."""
    return F.binary_cross_entropy_with_logits(decoder(encoder(x + noise)), x, reduction="sum") / len(x)


def loop(encoder, decoder, loss, noise_shape, sigma, images, batch_size, steps, channels_last):
    """A function that trains `steps` steps on random batches of uint8 images (N, 1, 28, 28)."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    encoder, decoder = encoder.to(memory_format=layout), decoder.to(memory_format=layout)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], 1e-3)
    images = torch.tensor(images)

    def run():
        for _ in range(steps):
            x = images[torch.randint(len(images), (batch_size,))].to(torch.float32).div_(255.0)
            x = x.contiguous(memory_format=layout)
            noise = sigma * torch.randn(batch_size, *noise_shape)
            optimizer.zero_grad(set_to_none=True)
            value = loss(encoder, decoder, x, noise)
            value.backward()
            optimizer.step()
        return float(value)

    return run
