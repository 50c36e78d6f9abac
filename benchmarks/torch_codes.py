"""The first stage of the recipe `vqvae` for 28x28 images in PyTorch, eager, with the same updates.

Images are in [-1, 1]; 4x4 kernels of stride 2 are padded alike in both libraries for sides that are multiples of 4.
"""

import keras
import torch
from torch import nn
from torch.nn import functional

from benchmarks.torch_gan import norm
from benchmarks.torch_loop import parameters
from benchmarks.torch_pixelcnn import copy


class Residual(nn.Module):
    """x + conv1x1(ReLU(conv3x3(ReLU(x))))."""

    def __init__(self, filters, inner):
        super().__init__()
        self.wide = nn.Conv2d(filters, inner, 3, padding=1, bias=False)
        self.back = nn.Conv2d(inner, filters, 1, bias=False)

    def forward(self, x):
        return x + self.back(functional.relu_(self.wide(functional.relu(x))))


class Quantizer(nn.Module):
    """As `tfgen.layers.VectorQuantizer` with running averages.

    Args:
        layer: the layer whose settings and state are taken.
    """

    def __init__(self, layer):
        super().__init__()
        self.decay, self.commitment, self.revive = layer.decay, layer.commitment, layer.revive
        for name in ("codebook", "counts", "sums"):
            self.register_buffer(name, torch.tensor(getattr(layer, name).numpy()))

    def forward(self, z):
        """(B, D, h, w) -> (quantised maps, commitment loss)."""
        rows = z.movedim(1, -1)
        flat = rows.reshape(-1, z.shape[1])
        with torch.no_grad():
            codes = torch.addmm(self.codebook.square().sum(1), flat, self.codebook.T, alpha=-2.0).argmin(1)
            found = functional.embedding(codes, self.codebook)
            self.update(flat, codes)
        loss = self.commitment * functional.mse_loss(flat, found)
        passed = flat + (found - flat).detach()
        return passed.view(rows.shape).movedim(-1, 1), loss

    def update(self, z, codes):
        """Moves the running averages and revives codes. z: (N, D); codes: (N,)."""
        size, rate = len(self.counts), 1.0 - self.decay
        fresh, mean = not self.counts.any(), len(z) / size
        self.counts.mul_(self.decay).add_(torch.bincount(codes, minlength=size), alpha=rate)
        self.sums.mul_(self.decay).index_add_(0, codes, z, alpha=rate)
        dead = self.counts < self.revive * mean
        dead |= fresh
        drawn, new = z[torch.randperm(len(z))[torch.arange(size) % len(z)]], min(1.0, 2.0 * self.revive or 1.0) * mean
        self.counts[dead] = new
        self.sums.copy_(torch.where(dead[:, None], new * drawn, self.sums))
        kept = self.sums / self.counts.clamp(min=1e-12)[:, None]
        self.codebook.copy_(torch.where(dead[:, None], drawn, kept))


class Network(nn.Module):
    """Encoder, quantizer and decoder.

    Args:
        layer: a `VectorQuantizer`.
        channels: of the images.
        filters, inner, blocks: as `filters`, `residual_filters` and `blocks` of `tfgen.networks.vector_quantised.encoder`.
    """

    def __init__(self, layer, channels, filters, inner, blocks):
        super().__init__()
        dim, half = layer.codebook.shape[1], filters // 2
        stacks = [[*(Residual(filters, inner) for _ in range(blocks)), nn.ReLU(True)] for _ in range(2)]
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, half, 4, 2, 1), nn.ReLU(True), nn.Conv2d(half, filters, 4, 2, 1), nn.ReLU(True),
            nn.Conv2d(filters, filters, 3, padding=1), *stacks[0], nn.Conv2d(filters, dim, 1))
        self.quantizer = Quantizer(layer)
        self.decoder = nn.Sequential(
            nn.Conv2d(dim, filters, 3, padding=1), *stacks[1], nn.ConvTranspose2d(filters, half, 4, 2, 1), nn.ReLU(True),
            nn.ConvTranspose2d(half, channels, 4, 2, 1))

    def forward(self, x):
        vectors, loss = self.quantizer(self.encoder(x))
        return self.decoder(vectors), loss


def convolutions(network):
    """Layers with kernels of a Keras network, in its order."""
    kinds = keras.layers.Conv2D, keras.layers.Conv2DTranspose
    return [layer for layer in network.layers if isinstance(layer, kinds)]


class Twin:
    """A Keras model's network, weights, loss and updates.

    Args:
        model: a compiled `VQVAE` of the recipe `vqvae` with two halvings.
        channels_last: the layout of weights and images.
    """

    def __init__(self, model, channels_last=False):
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        # Ours is of images in [0, 1], whose squares are a fourth.
        self.variance = 4.0 * model.data_variance
        coding, decoding = convolutions(model.encoder), convolutions(model.decoder)
        self.network = Network(model.quantizers[0], model.image_shape[-1], coding[1].filters, coding[3].filters,
                               (len(coding) - 4) // 2)
        modules = [m for m in self.network.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))]
        for layer, module in zip(coding + decoding, modules, strict=True):
            copy(module, layer.kernel.numpy().transpose(3, 2, 0, 1), layer.bias.numpy() if layer.use_bias else None)
        self.network.to(memory_format=self.layout)
        rate = float(model.optimizer.learning_rate)
        self.optimizer = torch.optim.Adam(self.network.parameters(), rate, eps=float(model.optimizer.epsilon))

    def images(self, x):
        return torch.from_numpy(2.0 * x.transpose(0, 3, 1, 2) - 1.0).contiguous(memory_format=self.layout)

    def loss_of(self, x):
        made, loss = self.network(x)
        return functional.mse_loss(made, x) / self.variance + loss

    def parameters(self):
        return parameters(self.network)

    def loss(self, x):
        """(loss, norm of its gradient) at images (B, H, W, C); moves the codebook."""
        return norm(self.loss_of(self.images(x)), list(self.network.parameters()))

    def weights(self):
        """As `codes.weights`, in the order and shapes of the Keras model."""
        trained = [p.detach().numpy() for p in self.network.parameters()]
        quantizer = self.network.quantizer
        return [[w.transpose(2, 3, 1, 0) if w.ndim == 4 else w for w in trained],
                [state.numpy() for state in (quantizer.codebook, quantizer.counts, quantizer.sums)]]

    def step(self, x):
        """One update on images that `images` gave; returns the loss."""
        self.optimizer.zero_grad()
        loss = self.loss_of(x)
        loss.backward()
        self.optimizer.step()
        return loss

    def trainer(self, images, batch_size):
        """A function that trains for one pass over images (N, H, W, C)."""
        batches = self.images(images).split(batch_size)

        def run():
            for x in batches:
                loss = self.step(x)
            return loss.item()

        return run
