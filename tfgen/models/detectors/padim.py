"""PaDiM: Gaussians of a network's features at the positions of an image."""

import math

import keras
import tensorflow as tf
from keras import ops

from tfgen.errors import require
from tfgen.layers.differences import blurred, pooled
from tfgen.layers.gaussians import FeatureGaussians
from tfgen.losses.perceptual import turned
from tfgen.models.base.generative import GenerativeModel, batch_images, unpack_keras_batch
from tfgen.models.base.stages import OptimizerStages
from tfgen.models.detectors.base import Detector
from tfgen.serialization import serializable

FEATURES, GAUSSIANS = range(2)


@serializable
class PaDiM(Detector, OptimizerStages, GenerativeModel):
    """Gaussians of a network's features at each position of normal images (Defard et al., 2021), in two stages of one `fit`.

    0: the network learns from the normal images, without labels, by which quarter turn each was turned (Gidaris et al.,
    2018, arXiv:1803.07728; reflections for images that are not square). The paper takes a network that was trained on
    ImageNet, such as `tfgen.networks.imagenet.resnet50`, for which `network_steps=0` leaves this stage out. 1: the network
    rests, and mean and covariance of its features over all images of the stage are gathered, see
    `tfgen.layers.FeatureGaussians`. Each feature map is averaged over `patch` x `patch` positions (PatchCore, Roth et al.,
    2022, arXiv:2106.08265, has 3 x 3), coarser ones are repeated to the grid of the finest, and the features of all maps are
    one vector per position, of which `chosen` are kept.

    `anomaly_map` is the Mahalanobis distance at each position, enlarged bilinearly to the image and smoothed; `score` its
    maximum or the mean of its highest pixels. The paper smooths by a Gaussian of 4 pixels, at 224x224 pixels: a `blur` of
    0.018 of the side, 1 pixel at 64.

    Args:
        network: Functional model, images (B, H, W, C) -> [feature maps ..., probabilities (B, 4)]; without probabilities if
            `network_steps` is 0.
        chosen: indices of the features that are kept, the paper's random choice; None keeps all.
        patch: side of the neighbourhood that features are averaged over, >= 1; the paper has 1.
        network_steps: steps of stage 0, 0 for a network that was trained before. The stage is a function of the optimizer's
            step.
        shared: whether all positions have one Gaussian, for textures, which look alike everywhere.
        shrinkage: fraction of the mean variance that is added to the variance of each feature, > 0.
        blur, top: as for `DRAEM`.

    Also reported: `turns`, the cross-entropy of stage 0 in nats, which there is not without stage 0, and `stage`. Training
    reports losses of 0 in stage 1; validation's `loss` is `turns`, 0 without stage 0.

    Raises:
        UserError: if the network lacks feature maps or, for stage 0, 4 probabilities, or an argument is out of range.
    """

    stages = 2

    def __init__(self, network, chosen=None, patch=1, network_steps=1000, shared=False, shrinkage=0.01, blur=0.0, top=0.0,
                 **kwargs):
        # Before the trackers of losses are made, which depend on it.
        self.network_steps = network_steps
        super().__init__(**kwargs)
        given = [tuple(output.shape[1:]) for output in network.outputs]
        require(not network_steps or (given[-1] == (4,) and len(given) > 1),
                f"the network must give feature maps and 4 probabilities, it gives {given}")
        # How many of the network's outputs are feature maps.
        self.maps = len(given) - bool(network_steps)
        require(all(len(shape) == 3 for shape in given[:self.maps]),
                f"the network must give feature maps (h, w, c), it gives {given}")
        depth = sum(shape[-1] for shape in given[:self.maps])
        require(chosen is None or (len(chosen) and 0 <= min(chosen) and max(chosen) < depth),
                f"chosen expects indices of the network's {depth} features, received {chosen}")
        require(patch >= 1 and network_steps >= 0 and shrinkage > 0,
                f"expected patch >= 1, network_steps >= 0 and shrinkage > 0, received {patch}, {network_steps} and "
                f"{shrinkage}")
        self.network = network
        self.chosen = None if chosen is None else list(chosen)
        self.patch = patch
        self.shared = shared
        self.shrinkage = shrinkage
        self.blur = blur
        self.top = top
        self.gaussians = FeatureGaussians(math.prod(self.grid), depth if chosen is None else len(chosen), shared, shrinkage)
        self.built = True

    @property
    def loss_names(self):
        return ("turns", "stage") if self.network_steps else ("stage",)

    @property
    def image_shape(self):
        return tuple(self.network.inputs[0].shape[1:])

    @property
    def grid(self):
        """(h, w) of the finest feature map."""
        return max((tuple(output.shape[1:3]) for output in self.network.outputs[:self.maps]), key=math.prod)

    def stage_at(self, step):
        return tf.cast(ops.cast(step, "int32") >= self.network_steps, tf.int32)

    def features(self, x):
        """The chosen features at each position of the grid: images -> (B, h w, d)."""
        outputs = self.network(x, training=False)
        # Keras gives a single output as it is.
        outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        maps = [ops.cast(one, "float32") for one in outputs[:self.maps]]
        if self.patch > 1:
            maps = [ops.average_pool(one, self.patch, 1, "same") for one in maps]
        maps = [tf.image.resize(one, self.grid, "nearest") for one in maps]
        found = ops.reshape(ops.concatenate(maps, axis=-1), (-1, math.prod(self.grid), sum(one.shape[-1] for one in maps)))
        return found if self.chosen is None else tf.gather(found, self.chosen, axis=-1)

    def train_step(self, data):
        if not self.network_steps:
            return self.gather(data)
        return self.by_stage(lambda: GenerativeModel.train_step(self, data) if self.stage == FEATURES else self.gather(data))

    def gather(self, data):
        """A step of stage 1: adds a batch's features to the Gaussians; the optimizer counts the step."""
        data = unpack_keras_batch(data)
        self.gaussians.update(self.features(batch_images(data)))
        self.optimizer.iterations.assign_add(1)
        return self.update_trackers(self.rested(), data)

    def rested(self):
        """The losses of stage 1."""
        return {"loss": tf.zeros(())} | {name: tf.zeros(()) for name in self.loss_names} | {"stage": tf.ones(())}

    def compute_losses(self, batch, training):
        if not self.network_steps:
            return self.rested()
        images, turns = turned(ops.convert_to_tensor(batch_images(batch)))
        probabilities = ops.cast(self.network(images, training=training)[-1], "float32")
        loss = ops.mean(keras.losses.sparse_categorical_crossentropy(turns, probabilities))
        return {"loss": loss, "turns": loss, "stage": ops.cast(self.stage_at(self.step), "float32")}

    def anomaly_map(self, x):
        distances = ops.reshape(self.gaussians(self.features(ops.convert_to_tensor(x))), (-1, *self.grid, 1))
        return blurred(tf.image.resize(distances, self.image_shape[:2])[..., 0], self.blur)

    def score(self, x):
        return pooled(self.anomaly_map(x), self.top)
