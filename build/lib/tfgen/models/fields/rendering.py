"""Volume rendering along rays: stratified and hierarchical samples, compositing (Max, 1995; Mildenhall et al., 2020)."""

import tensorflow as tf

from tfgen import frozen


def stratified(uniforms, near, far):
    """One depth in each of N equal parts of [near, far]: near + (i + u_i) (far - near) / N.

    Args:
        uniforms: (R, N) in [0, 1); 0.5 gives the middles.

    Returns:
        Ascending depths (R, N).
    """
    count = uniforms.shape[-1]
    return near + (tf.range(count, dtype=uniforms.dtype) + uniforms) * ((far - near) / count)


def inverse_cdf(edges, weights, uniforms):
    """Maps uniforms to depths of the density that is constant between edges, in proportion to the weights.

    A weight of 1e-5 is added to each, as in the authors' code, so that weights of 0 give the uniform density.

    Args:
        edges: ascending (R, M + 1).
        weights: (R, M), >= 0, not normalised.
        uniforms: (R, N) in [0, 1].

    Returns:
        (R, N) in edges[:, 0] ... edges[:, -1].
    """
    weights = weights + 1e-5
    shares = weights / tf.reduce_sum(weights, axis=-1, keepdims=True)
    ends = tf.cumsum(shares, axis=-1)
    # The bin in which the distribution function exceeds u.
    bins = tf.minimum(places(ends, uniforms), weights.shape[-1] - 1)
    low, high = (tf.gather(part, bins, batch_dims=1) for part in (edges[:, :-1], edges[:, 1:]))
    end, share = tf.gather(ends, bins, batch_dims=1), tf.gather(shares, bins, batch_dims=1)
    return low + (high - low) * tf.clip_by_value(1.0 - (end - uniforms) / share, 0.0, 1.0)


def places(ends, values):
    """How many of ascending `ends` (R, M) are at most each of `values` (R, N): int32 (R, N)."""
    if frozen.active():
        # Edge runtimes have no binary search.
        return tf.reduce_sum(tf.cast(ends[:, None] <= values[..., None], tf.int32), axis=-1)
    return tf.searchsorted(ends, values, side="right")


def merged(depths, weights, uniforms):
    """The coarse depths (R, N) and finer ones where their weights (R, N) are, ascending (R, N + number of uniforms).

    Finer depths come from the middles between coarse depths, each weighted as the coarse depth within.
    """
    edges = 0.5 * (depths[:, 1:] + depths[:, :-1])
    finer = inverse_cdf(edges, weights[:, 1:-1], uniforms)
    return tf.sort(tf.concat([depths, tf.stop_gradient(finer)], axis=-1), axis=-1)


def composite(colours, densities, depths, far, background):
    """Colours of rays, by quadrature of the volume rendering integral.

        alpha_i = 1 - exp(-density_i (t_{i+1} - t_i)),   t_{N+1} = far,
        w_i = alpha_i prod_{j < i} (1 - alpha_j),
        colour = sum_i w_i colour_i + (1 - sum_i w_i) background

    Args:
        colours: (R, N, C).
        densities: (R, N), >= 0, per unit of length.
        depths: t, ascending (R, N), distances from the camera.
        far: end of the last interval; beyond it lies the background.
        background: a number.

    Returns:
        (colours (R, C), weights w (R, N)).
    """
    lengths = tf.concat([depths[:, 1:], tf.fill((tf.shape(depths)[0], 1), tf.cast(far, depths.dtype))], -1) - depths
    thickness = densities * lengths
    # No expm1, which edge runtimes lack.
    weights = (1.0 - tf.exp(-thickness)) * tf.exp(-tf.cumsum(thickness, axis=-1, exclusive=True))
    opaque = tf.reduce_sum(weights, axis=-1, keepdims=True)
    return tf.einsum("rn,rnc->rc", weights, colours) + (1.0 - opaque) * background, weights
