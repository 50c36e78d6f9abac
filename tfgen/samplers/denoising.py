"""Samplers of diffusion models: free functions of `denoise(x, sigma)`, the expected clean image of x at level sigma.

    x = sigma_0 * noise
    for sigma, after in levels:  x = step(x, denoise(x, sigma), sigma, after)

They solve dx / dsigma = (x - denoise(x, sigma)) / sigma from the largest level to 0 (Karras et al., 2022, equation 1), or,
`ancestral`, draw from the reversed Markov chain (Ho et al., 2020). Each row has levels of its own, as many as it wants.
"""

from typing import NamedTuple

import tensorflow as tf


class Estimate(NamedTuple):
    """What a network says of images at a level of noise.

    Attributes:
        clean: expected clean images (B, ...).
        mix: log-variance of `ancestral` steps, from 0, the smaller bound, to 1, the larger: a number or (B, ...).
    """

    clean: tf.Tensor
    mix: tf.Tensor | float = 0.0


class Point(NamedTuple):
    """A step of a sampler. Levels are (B, 1, ...), to broadcast with images.

    Attributes:
        x: images at level `now`.
        estimate: the `Estimate` there.
        before, now, after: levels before the step before, before and after this step; 0 in `now`: the row is done.
        past: the clean images of the step before; at the first step, those of this one.
        noise: function () -> standard normal noise of this step, (B, ...).
    """

    x: tf.Tensor
    estimate: Estimate
    before: tf.Tensor
    now: tf.Tensor
    after: tf.Tensor
    past: tf.Tensor
    noise: object


def ratio(above, below):
    """above / below, and 1 where below is 0: rows that are done stay."""
    return tf.where(below > 0, above / tf.where(below > 0, below, 1.0), 1.0)


def ddim(point, denoise):
    """Euler's method, clean + after / now (x - clean): DDIM without noise (Song et al., 2021)."""
    clean = point.estimate.clean
    return clean + ratio(point.after, point.now) * (point.x - clean)


def ancestral_log_variance(now, after, mix):
    """Log-variance of a step of the reversed chain, from the posterior's at mix 0 to the chain's own at 1.

    With s = after, t = now: s^2 (t^2 - s^2) / t^2, and beta_t / a_s = (t^2 - s^2) (1 + s^2) / (1 + t^2) (Nichol & Dhariwal,
    2021, equation 15, for images that are not shrunk).
    """
    gap = tf.math.log(tf.maximum(tf.square(now) - tf.square(after), 1e-20))
    lower = 2.0 * tf.math.log(tf.maximum(after, 1e-10) / tf.maximum(now, 1e-10))
    upper = tf.math.log((1.0 + tf.square(after)) / (1.0 + tf.square(now)))
    return gap + (1.0 - mix) * lower + mix * upper


def ancestral(point, denoise):
    """A draw of x_s given x_t and the clean image, N(clean + (s / t)^2 (x - clean), variance) (Ho et al., 2020)."""
    clean, mix = point.estimate
    mean = clean + tf.square(ratio(point.after, point.now)) * (point.x - clean)
    deviation = tf.exp(0.5 * ancestral_log_variance(point.now, point.after, mix))
    return mean + tf.where(point.after > 0, deviation, 0.0) * point.noise()


def heun(point, denoise):
    """The trapezoidal rule, with a second estimate at the end of Euler's step but for the last (Karras et al., 2022,
    algorithm 1)."""
    clean, euler = point.estimate.clean, ddim(point, denoise)
    inner = point.after > 0
    other = denoise(euler, tf.where(inner, point.after, 1.0)).clean
    slope = (point.x - clean) / tf.where(point.now > 0, point.now, 1.0)
    slope_after = (euler - other) / tf.where(inner, point.after, 1.0)
    return tf.where(inner, point.x + 0.5 * (point.after - point.now) * (slope + slope_after), euler)


def dpm(point, denoise):
    """DPM-Solver++(2M) (Lu et al., 2022, algorithm 2): Euler's step to the clean image extrapolated from this step and the
    one before, linearly in -ln sigma; the first and the last step are Euler's."""
    clean, inner = point.estimate.clean, (point.before > point.now) & (point.after > 0) & (point.after < point.now)
    width = tf.math.log(ratio(point.now, point.after))
    last = tf.math.log(ratio(point.before, point.now))
    weight = tf.where(inner, 0.5 * width / tf.where(inner, last, 1.0), 0.0)
    clean = clean + weight * (clean - point.past)
    return clean + ratio(point.after, point.now) * (point.x - clean)


# In the order of the option `sampler`. Network calls per step: 2 for `heun` but in the last step, else 1.
SAMPLERS = {"dpm": dpm, "ddim": ddim, "heun": heun, "ancestral": ancestral}


def chosen(choice):
    """A sampler that takes for each row that of `SAMPLERS` of number `choice`, int (B,); unused ones compute nothing."""
    def step(point, denoise):
        made = point.x
        for number, sampler in enumerate(SAMPLERS.values()):
            rows = tf.equal(choice, number)
            made = tf.cond(tf.reduce_any(rows), lambda now=made, sampler=sampler, rows=rows: tf.where(
                tf.reshape(rows, levels_shape(point.x)), sampler(point, denoise), now), lambda now=made: now)
        return made

    return step


def levels_shape(x):
    """The shape in which one number per row broadcasts with x."""
    return [-1] + [1] * (len(x.shape) - 1)


def integrate(denoise, x, level, steps, step, noise=None, visits=1):
    """Images from images at level(0), by `steps` steps, each made `visits` times: before a step is made again, noise brings
    the images back to the level before it (RePaint, Lugmayr et al., 2022, algorithm 1).

    Args:
        denoise: function (images, levels (B, 1, ...)) -> `Estimate`.
        x: images (B, ...) at the level level(0).
        level: function int index -> float32 (B,), see `NoiseLevels.way`.
        steps: number of steps of the row that has most, an int or int scalar tensor.
        step: a sampler: function (`Point`, denoise) -> images at level `after`.
        noise: function int number -> standard normal noise (B, ...), of different numbers independent; `ancestral` steps and
            visits need it.
        visits: int (B,) or an int, >= 1.

    Returns:
        Images at level(steps), (B, ...).
    """
    def at(index):
        return tf.reshape(level(index), levels_shape(x))

    def body(index, x, past):
        place, visit = index // visits, index % visits
        now, after = at(place), at(place + 1)
        # A row that is done is estimated at any level, and stays.
        estimate = denoise(x, tf.where(now > 0, now, 1.0))
        past = tf.where(index > 0, past, estimate.clean)
        # A step made again has no step before it: `past` is of its own level.
        before = tf.where(tf.reshape((place > 0) & (visit == 0), [-1] + levels_shape(x)[1:]), at(place - 1), now)
        drawn = (lambda: noise(2 * index)) if noise else (lambda: tf.zeros_like(x))
        made = step(Point(x, estimate, before, now, after, past, drawn), denoise)
        again = tf.reshape(visit < visits - 1, [-1] + levels_shape(x)[1:])
        if noise:
            made = tf.cond(tf.reduce_any(again), lambda: tf.where(again, made + tf.sqrt(
                tf.square(now) - tf.square(after)) * noise(2 * index + 1), made), lambda: made)
        return index + 1, tf.where(now > 0, made, x), estimate.clean

    calls = steps * tf.reduce_max(visits)
    return tf.while_loop(lambda index, *_: index < calls, body, (tf.constant(0), x, x), parallel_iterations=1)[1]
