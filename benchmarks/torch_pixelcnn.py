"""The recipe `gated_pixelcnn` for images of one channel in PyTorch: eager, in either layout, and compiled."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.torch_gan import norm
from benchmarks.torch_loop import assign, parameters


def pad(x, left=0, right=0, top=0):
    """Zeros around maps; a crop where a number is negative."""
    return functional.pad(x, (left, right, top, 0))


class Gated(nn.Module):
    """One layer of both stacks.

    Args:
        inputs, filters: channels before and after.
        reach: r; kernels of the vertical stack span r rows above and 2 r + 1 columns, of the horizontal one r columns to the
            left.
        first: whether masks exclude the own row (vertical) or pixel (horizontal), and there is no residual connection.
    """

    def __init__(self, inputs, filters, reach, first):
        super().__init__()
        self.reach, self.first, own = reach, first, 0 if first else 1
        self.vertical = nn.Conv2d(inputs, 2 * filters, (reach + own, 2 * reach + 1))
        self.horizontal = nn.Conv2d(inputs, 2 * filters, (1, reach + own))
        self.link = nn.Conv2d(2 * filters, 2 * filters, 1, bias=False)
        self.out = nn.Conv2d(filters, filters, 1)

    def forward(self, above, left):
        reach = self.reach
        vertical = self.vertical(pad(above[:, :, :-1] if self.first else above, reach, reach, reach))
        made = self.horizontal(pad(left[..., :-1] if self.first else left, reach)) + self.link(vertical)
        made = self.out(gate(made))
        return gate(vertical), made if self.first else left + made


def gate(x):
    """tanh(a) sigmoid(b) of the halves a and b of the channels."""
    a, b = x.chunk(2, 1)
    return torch.tanh(a) * torch.sigmoid(b)


class Network(nn.Module):
    """Images (B, 1, H, W) in [0, 1] -> logits (B, levels, H, W); arguments as for tfgen's `gated_pixelcnn`."""

    def __init__(self, levels, filters, blocks, kernel_size, head):
        super().__init__()
        self.layers = nn.ModuleList(Gated(filters if block else 1, filters, kernel_size // 2 if block else 3, not block)
                                    for block in range(blocks))
        self.head = nn.Sequential(nn.ReLU(), nn.Conv2d(filters, head, 1), nn.ReLU(), nn.Conv2d(head, levels, 1))

    def forward(self, x):
        above = left = 2.0 * x - 1.0
        for layer in self.layers:
            above, left = layer(above, left)
        return self.head(left)


class Twin:
    """A Keras model's network, weights, loss and updates.

    Args:
        model: a compiled `Autoregressive` of the recipe `gated_pixelcnn`.
        channels_last: the layout of weights and images.
        compiled: whether `torch.compile` compiles the loss.
    """

    def __init__(self, model, channels_last=False, compiled=False):
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.levels = model.likelihood.levels
        convolutions = [layer for layer in model.network.layers if layer.weights]
        # In the graph's order: the vertical and the horizontal convolution, the link between them, the 1x1 after the gate.
        *gated, head, last = convolutions
        self.network = Network(self.levels, gated[0].filters // 2, len(gated) // 4, 2 * gated[4].above + 1, head.filters)
        for layer, module in zip(convolutions, modules(self.network), strict=True):
            kernel = layer.kernel.numpy()
            kernel = kernel if kernel.ndim == 4 else kernel[None, None]
            bias = layer.bias.numpy() if layer.use_bias else None
            copy(module, kernel.transpose(3, 2, 0, 1), bias)
        self.network.to(memory_format=self.layout)
        self.optimizer = torch.optim.Adam(self.network.parameters(), float(model.optimizer.learning_rate), eps=1e-7)
        self.loss_of = torch.compile(self.eager_loss) if compiled else self.eager_loss

    def eager_loss(self, x):
        """-log p(x) in nats per image, of images on their grey levels."""
        level = torch.round(x[:, 0] * (self.levels - 1)).long()
        return functional.cross_entropy(self.network(x), level, reduction="sum") / len(x)

    def images(self, x):
        return torch.from_numpy(x.transpose(0, 3, 1, 2).copy()).contiguous(memory_format=self.layout)

    def parameters(self):
        return parameters(self.network)

    def loss(self, x, _):
        """(loss, norm of its gradient) at images (B, H, W, 1)."""
        return norm(self.loss_of(self.images(x)), list(self.network.parameters()))

    def trainer(self, images, batch_size):
        """A function that trains for one pass over images (N, H, W, 1)."""
        batches = self.images(images).split(batch_size)

        def run():
            for x in batches:
                self.optimizer.zero_grad()
                loss = self.loss_of(x)
                loss.backward()
                self.optimizer.step()
            return loss.item()

        return run


def modules(network):
    """Convolutions in the order of the Keras network's."""
    for layer in network.layers:
        yield from (layer.vertical, layer.horizontal, layer.link, layer.out)
    yield from (network.head[1], network.head[3])


def copy(module, weight, bias):
    if bias is not None:
        assign(module, weight, bias)
    else:
        with torch.no_grad():
            module.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight)))


def twins(model, x):
    """{variant: `Twin`} for batches of the shape of x (B, H, W, 1).

    Where `torch.compile` does not run, prints a line that says why and leaves its row out.
    """
    found = {"torch": Twin(model), "torch_channels_last": Twin(model, channels_last=True)}
    try:
        compiled = Twin(model, channels_last=True, compiled=True)
        compiled.loss(x, None)
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0]
        print(f"torch.compile does not run, its row is left out: {type(error).__name__}: {reason}")
        return found
    return found | {"torch_compiled": compiled}
