"""The latent space of a model: where its latents lie, which come from seeds, and along which axes to move."""

import functools

import numpy as np

from tfgen import noise
from tfgen.distributions.mixture import GaussianMixturePrior
from tfgen.latent import linear, spherical

AXES = 6


class Space:
    """Latents of numbers, float32 of any shape.

    An encoder's latents are moved along principal components of the codes of example images, in units of their standard
    deviations; a generator's along the first latent dimensions; latents that lie on a grid, as noise of the size of an
    image does, along random directions and back to their distance from the origin.

    Args:
        model: the `found.Model`, with `decode`.
    """

    def __init__(self, model):
        self.model, self.shape = model, tuple(model.live.latent_shape)
        self.encodes = "encode" in model.live.names and len(self.shape) == 1
        self.size = int(np.prod(self.shape))

    @functools.cached_property
    def codes(self):
        """(codes (N, *shape), labels or None) of example images; of a model that does not encode them, random ones."""
        if not self.encodes:
            return self.of_seeds(np.arange(200)), None
        images, labels = self.model.images(CODES if self.model.data is not None else FEW)
        return self.encode(images, {} if labels is None else {"label": labels}), labels

    def encode(self, images, options):
        """Latents of images; of the options (also those of other verbs) it takes its own."""
        known = self.model.live.options["encode"]
        return self.model("encode", images, **{key: value for key, value in options.items() if key in known})

    @functools.cached_property
    def principal(self):
        """(mean (d,), axes (K, d), standard deviations (K,)) of the codes."""
        codes = np.asarray(self.codes[0], float).reshape(-1, self.size)
        mean = codes.mean(0) if len(codes) else np.zeros(self.size)
        _, lengths, axes = np.linalg.svd(codes - mean, full_matrices=False)
        # Few codes do not tell all axes: latent dimensions, in units of 1, take the places of the others.
        known = int(np.sum(lengths > 1e-6 * max(1.0, np.abs(codes).max(initial=0.0))))
        if known < min(AXES, self.size):
            axes = np.concatenate([axes[:known], np.eye(self.size)[known:AXES]])
            lengths = np.concatenate([lengths[:known], np.full(len(axes) - known, max(1.0, len(codes) - 1.0) ** 0.5)])
        # Of both signs of an axis, that of its largest entry.
        axes *= np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])[:, None]
        return mean, axes, lengths / max(1.0, len(codes) - 1.0) ** 0.5

    @functools.cached_property
    def axes(self):
        """Moves of one unit, (K, *shape), K <= AXES."""
        if self.encodes:
            _, axes, deviations = self.principal
            return (axes * deviations[:, None])[:AXES].astype(np.float32)
        if len(self.shape) == 1:
            return np.eye(self.size, dtype=np.float32)[:AXES]
        # Seeds that no one gives by hand.
        return np.asarray(noise.normal(2**40 + np.arange(AXES, dtype=np.int64), self.shape, noise.LATENT))

    @property
    def axis_name(self):
        return "Component" if self.encodes else "Latent dimension" if len(self.shape) == 1 else "Direction"

    def of_seeds(self, seeds):
        """Latents of seeds, (N, *shape): those of the model's samples if it has a normal prior."""
        prior = getattr(getattr(self.model.live, "model", None), "prior", None)
        if prior is not None and len(self.shape) == 1 and hasattr(prior, "seeded"):
            return np.asarray(prior.seeded(np.asarray(seeds, np.int64), self.size))
        if self.encodes and "sample" not in self.model.live.names and len(self.codes[0]) > 1:
            return self.mixture.sample(seeds).astype(np.float32)
        return np.asarray(noise.normal(np.asarray(seeds, np.int64), self.shape, noise.LATENT))

    @functools.cached_property
    def mixture(self):
        """A distribution of the codes of an autoencoder, which has no prior."""
        return GaussianMixturePrior().fit(self.codes[0])

    def moved(self, latent, amounts):
        """A latent after moves along the axes."""
        there = latent + np.tensordot(np.asarray(amounts, np.float32), self.axes[:len(amounts)], 1)
        if len(self.shape) == 1:
            return there
        return there * (np.linalg.norm(latent) / max(np.linalg.norm(there), 1e-12))

    def way(self, a, b, steps):
        """Latents from a to b, (steps, *shape)."""
        return (linear if self.encodes and "sample" not in self.model.live.names else spherical)(a, b, steps)


# Example images whose codes are shown; and if they must be drawn by the model.
CODES, FEW = 1000, 100
