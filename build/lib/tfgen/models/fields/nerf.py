"""Neural radiance fields: a scene as colour and density of points, seen along rays."""

import keras
import tensorflow as tf
from keras import ops

from tfgen import coordinates as places
from tfgen import replicas
from tfgen.errors import require
from tfgen.models.base.generative import GenerativeModel
from tfgen.models.fields.field import psnr_db
from tfgen.models.fields.rendering import composite, merged, stratified
from tfgen.serialization import serializable

# Rendering takes as many rows of pixels at a time as have about so many rays.
RAYS_AT_ONCE = 1024


@serializable
class NeRF(GenerativeModel):
    """Minimises the squared error of rendered rays, of a coarse and a fine network (Mildenhall et al., 2020).

        loss = E |render(coarse, t_c) - colour|^2 + E |render(fine, t_c and t_f) - colour|^2

    t_c has one depth in each of `samples` equal parts of [near, far], random in training, else the middles; t_f has
    `fine_samples` depths drawn from the density that the coarse network's weights define along the ray. `render` is
    `rendering.composite`; squares are averaged over colours and rays.

    Args:
        coarse, fine: Functional models, [positions (P, 3), directions (P, 3)] -> [colours (P, C) in [0, 1], densities
            (P, 1) >= 0], see `networks.siren.radiance`.
        image_shape: (H, W, C) of views.
        focal: focal length of views in pixels.
        near, far: range of distances from the camera between which the scene lies.
        samples, fine_samples: depths per ray of the coarse network, >= 3, and of those added for the fine one, >= 1.
        background: colour behind the scene, a number in [0, 1]; 1 is white.

    A field of rays: `decode` takes sets of rays, each origin and unit direction, and gives colours; `render` takes camera
    poses. Batches are (rays (B, 6), colours (B, C)).

    Reported: `coarse` and `fine`, the two terms of the loss, and `psnr_db` of the fine one, the mean over batches.

    Raises:
        UserError: if the networks or numbers do not fit.
    """

    loss_names = ("coarse", "fine", "psnr_db")
    coordinate_shape = (None, 6)

    def __init__(self, coarse, fine, image_shape, focal, near=2.0, far=6.0, samples=64, fine_samples=128, background=1.0,
                 **kwargs):
        super().__init__(**kwargs)
        for network in (coarse, fine):
            made = [tuple(output.shape[1:]) for output in network.outputs]
            require(made == [(image_shape[-1],), (1,)], f"expected networks that give colours ({image_shape[-1]},) and "
                                                        f"densities (1,), '{network.name}' gives {made}")
        require(0 <= near < far, f"expected 0 <= near < far, received near={near} and far={far}")
        require(samples >= 3 and fine_samples >= 1, "expected at least 3 samples and 1 fine sample per ray, received "
                                                    f"{samples} and {fine_samples}")
        self.coarse = coarse
        self.fine = fine
        self.image_shape = tuple(image_shape)
        self.focal = focal
        self.near = near
        self.far = far
        self.samples = samples
        self.fine_samples = fine_samples
        self.background = background
        self.seed_generator = keras.random.SeedGenerator()
        self.built = True

    def uniforms(self, rows, count, training):
        """(rows, count): random in [0, 1) in training, else 0.5."""
        if training:
            return replicas.uniform((rows, count), self.seed_generator)
        return tf.fill((rows, count), 0.5)

    def shade(self, network, rays, depths, training):
        """(colours (R, C), weights (R, N)) of rays (R, 6), by a network at depths (R, N)."""
        count = depths.shape[-1]
        origins, directions = rays[:, None, :3], rays[:, None, 3:]
        points = origins + directions * depths[..., None]  # (R, N, 3)
        flat = [tf.reshape(x, (-1, 3)) for x in (points, tf.broadcast_to(directions, tf.shape(points)))]
        colours, densities = (tf.cast(made, tf.float32) for made in network(flat, training=training))
        return composite(tf.reshape(colours, (-1, count, self.image_shape[-1])), tf.reshape(densities, (-1, count)), depths,
                         self.far, self.background)

    def trace(self, rays, training=False):
        """Colours (R, C) of rays (R, 6) by the coarse and by the fine network."""
        rows = tf.shape(rays)[0]
        depths = stratified(self.uniforms(rows, self.samples, training), self.near, self.far)
        coarse, weights = self.shade(self.coarse, rays, depths, training)
        # One fine depth per equal part of the distribution.
        uniforms = stratified(self.uniforms(rows, self.fine_samples, training), 0.0, 1.0)
        fine, _ = self.shade(self.fine, rays, merged(depths, weights, uniforms), training)
        return coarse, fine

    def compute_losses(self, batch, training):
        rays, colours = batch
        coarse, fine = (ops.mean(ops.square(made - colours)) for made in self.trace(rays, training))
        return {"loss": coarse + fine, "coarse": coarse, "fine": fine, "psnr_db": psnr_db(fine)}

    def decode(self, coordinates):
        """Colours (B, N, C) of N rays per row, (B, N, 6): origin and unit direction."""
        made = self.trace(tf.reshape(coordinates, (-1, 6)))[1]
        return tf.reshape(made, (*tf.unstack(tf.shape(coordinates)[:2]), self.image_shape[-1]))

    def render(self, poses):
        """Views (B, H, W, C) in [0, 1] from camera poses (B, 4, 4), camera to world; a few rows of pixels at a time."""
        height, width, channels = self.image_shape
        most = max(1, RAYS_AT_ONCE // width)
        count = width * max(rows for rows in range(1, most + 1) if height % rows == 0)
        rays = tf.reshape(places.rays_of_images(poses, self.image_shape, self.focal), (-1, count, 6))
        made = tf.map_fn(lambda part: self.trace(part)[1], rays, fn_output_signature=tf.TensorSpec((count, channels)),
                         parallel_iterations=1)
        return tf.clip_by_value(tf.reshape(made, (-1, height, width, channels)), 0.0, 1.0)
