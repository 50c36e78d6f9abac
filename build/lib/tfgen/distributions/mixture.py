"""Gaussian mixture fitted to codes, a prior for autoencoders."""

import zipfile

import numpy as np

from tfgen import files
from tfgen.errors import UserError


class GaussianMixturePrior:
    """Mixture of Gaussians fitted to codes; turns a plain autoencoder into a generative model.

    p(z) = sum_k w_k N(z; mu_k, L_k L_k^T), fitted by expectation-maximisation after the autoencoder is trained
    (Ghosh et al., 2020, "From variational to deterministic autoencoders", arXiv:1903.12436).

    Args:
        components: maximum number of components; reduced so that each has more distinct codes than latent dimensions.
        seed: seed of the fit.

    Attributes, once fitted (K components, D values per code):
        weights: (K,), summing to 1.
        means: (K, D).
        factors: (K, D, D), lower-triangular Cholesky factors of the covariances.
        latent_shape: shape of one code.
    """

    _STATE = ("weights", "means", "factors", "latent_shape")

    def __init__(self, components=10, seed=0):
        if components < 1:
            raise UserError(f"GaussianMixturePrior expects at least 1 component, received {components}")
        self.components = components
        self.seed = seed
        self.weights = None

    def fit(self, codes):
        """Fits the mixture to codes (N, *latent), N >= 2, and returns itself.

        1e-4 of the codes' mean variance is added to each variance, so that no component collapses.

        Raises:
            UserError: for fewer than 2 codes or non-finite codes.
        """
        from sklearn.mixture import GaussianMixture

        codes = np.asarray(codes, float)
        if codes.ndim < 2 or len(codes) < 2 or not np.isfinite(codes).all():
            raise UserError(f"GaussianMixturePrior.fit expects at least 2 finite codes, received shape {codes.shape}, "
                            f"{int(np.sum(~np.isfinite(codes)))} values not finite")
        flat = codes.reshape(len(codes), -1)
        # A full covariance in D dimensions needs more than D distinct codes.
        distinct = len(np.unique(flat, axis=0))
        count = int(np.clip(distinct // (flat.shape[1] + 1), 1, self.components))
        floor = max(1e-4 * flat.var(0).mean(), 1e-12)
        mixture = GaussianMixture(count, covariance_type="full", reg_covar=floor, max_iter=200,
                                  random_state=self.seed).fit(flat)
        self.weights = mixture.weights_ / mixture.weights_.sum()
        self.means = mixture.means_
        self.factors = np.linalg.cholesky(mixture.covariances_)
        self.latent_shape = codes.shape[1:]
        return self

    def sample(self, seeds):
        """Samples codes from the mixture; code i depends only on seed i.

        Each seed keys a Philox counter generator (Salmon et al., 2011): one uniform selects component k by
        the cumulative weights, D standard normals n give mu_k + L_k n.

        Args:
            seeds: whole numbers (B,); a negative seed draws new random noise.

        Returns:
            float32 (B, *latent).

        Raises:
            UserError: before `fit`, or for seeds that are not a 1-D array of whole numbers.
        """
        self._require_fit()
        seeds = np.asarray(seeds)
        if seeds.ndim != 1 or not (np.issubdtype(seeds.dtype, np.integer) or not seeds.size):
            raise UserError(f"GaussianMixturePrior.sample expects whole seeds (B,), received {seeds.dtype} of shape "
                            f"{seeds.shape}")
        codes = np.empty((len(seeds), self.means.shape[1]), np.float32)
        edges = np.cumsum(self.weights)[:-1]
        for row, seed in enumerate(seeds.tolist()):
            noise = np.random.Generator(np.random.Philox(key=seed) if seed >= 0 else np.random.Philox())
            component = np.searchsorted(edges, noise.random(), side="right")
            codes[row] = self.means[component] + self.factors[component] @ noise.standard_normal(codes.shape[1])
        return codes.reshape(len(seeds), *self.latent_shape)

    def save(self, path):
        """Writes the fitted mixture to a .npz file.

        Raises:
            UserError: before `fit`.
        """
        self._require_fit()
        state = {name: getattr(self, name) for name in (*self._STATE, "components", "seed")}
        with files.written_aside(path) as aside, open(aside, "wb") as file:
            np.savez(file, **state)

    @classmethod
    def load(cls, path):
        """Loads a mixture written by `save`.

        Raises:
            UserError: for a missing file or one not written by `save`.
        """
        try:
            with np.load(path) as file:
                prior = cls(int(file["components"]), int(file["seed"]))
                for name in cls._STATE:
                    setattr(prior, name, file[name])
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise UserError(f"expected a mixture that GaussianMixturePrior.save wrote, received '{path}' "
                            f"({error}); fit and save it first") from None
        prior.latent_shape = tuple(prior.latent_shape.tolist())
        return prior

    def _require_fit(self):
        if self.weights is None:
            raise UserError("this GaussianMixturePrior has not seen any codes; call fit(codes) first")
