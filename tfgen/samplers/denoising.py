"""Samplers of diffusion models: free functions of `denoise(x, sigma)`, the expected clean image of x at level sigma.

    x = sigma_0 * noise
    for now, after in levels:  x = step(x, denoise(x, now), now, after)

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


def ddim(point):
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


def ancestral(point):
    """A draw of x_s given x_t and the clean image, N(clean + (s / t)^2 (x - clean), variance) (Ho et al., 2020)."""
    clean, mix = point.estimate
    mean = clean + tf.square(ratio(point.after, point.now)) * (point.x - clean)
    deviation = tf.exp(0.5 * ancestral_log_variance(point.now, point.after, mix))
    return mean + tf.where(point.after > 0, deviation, 0.0) * point.noise()


def corrected(point, straight=False):
    """x, which a step of Euler's method brought from `before` to `now`, as the trapezoidal rule would have it: the second
    half of Heun's method (Karras et al., 2022, algorithm 1).

    From x_0 at the level t, Euler's step to s has the slope (x_0 - past) / t = (x - past) / s, and the slope at its end is
    (x - clean) / s: their mean in place of the former adds (s - t) / (2 s) (past - clean).

    Args:
        straight: whether the rule is that of x / (1 + sigma) in the time sigma / (1 + sigma), where the paths of a known
            clean image are straight lines from noise. Euler's step is the same; in sigma, a step from a level many times the
            next would be corrected by as many times the clean images' difference.
    """
    def time(sigma):
        return sigma / (1.0 + sigma) if straight else sigma

    weight = 0.5 * (ratio(time(point.before), time(point.now)) - 1.0) * (1.0 + point.now if straight else 1.0)
    return point.x + weight * (point.estimate.clean - point.past)


def dpm(point):
    """DPM-Solver++(2M) (Lu et al., 2022, algorithm 2): Euler's step to the clean image extrapolated from this step and the
    one before, linearly in -ln sigma. The first step, one to 0 and one more than twice as wide as the one before, such as
    that to the least level of a chain, are Euler's: there the extrapolation is worse than the estimate."""
    inner = (point.before > point.now) & (point.after > 0) & (point.after < point.now)
    width, last = (tf.math.log(ratio(*ends)) for ends in ((point.now, point.after), (point.before, point.now)))
    weight = tf.where(inner & (width <= 2.0 * last), 0.5 * width / tf.where(inner, last, 1.0), 0.0)
    clean = point.estimate.clean
    clean = clean + weight * (clean - point.past)
    return clean + ratio(point.after, point.now) * (point.x - clean)


class Sampler(NamedTuple):
    """A sampler.

    Attributes:
        step: function `Point` -> images at its level `after`.
        calls: network calls per step, an int or int (B,): 2 if the trapezoidal rule corrects each step, but 1 in a last
            step, which ends at 0.
    """

    step: object
    calls: tf.Tensor | int = 1


# In the order of the option `sampler`.
SAMPLERS = {"dpm": Sampler(dpm), "ddim": Sampler(ddim), "heun": Sampler(ddim, 2), "ancestral": Sampler(ancestral)}


def chosen(choice):
    """A sampler that takes for each row that of `SAMPLERS` of number `choice`, int (B,); unused ones compute nothing."""
    def step(point):
        made = point.x
        for number, sampler in enumerate(SAMPLERS.values()):
            rows = tf.reshape(tf.equal(choice, number), levels_shape(point.x))
            made = tf.cond(tf.reduce_any(rows), lambda now=made, sampler=sampler, rows=rows: tf.where(
                rows, sampler.step(point), now), lambda now=made: now)
        return made

    return Sampler(step, tf.gather(tf.constant([sampler.calls for sampler in SAMPLERS.values()]), choice))


def levels_shape(x):
    """The shape in which one number per row broadcasts with x."""
    return [-1] + [1] * (len(x.shape) - 1)


def integrate(denoise, x, level, steps, sampler, noise=None, visits=1, straight=False):
    """Images from images at level(0), by `steps` steps, each made `visits` times: before a step is made again, noise brings
    the images back to the level before it (RePaint, Lugmayr et al., 2022, algorithm 1).

    Args:
        denoise: function (images, levels (B, 1, ...)) -> `Estimate`; called once per turn of one loop.
        x: images (B, ...) at the level level(0).
        level: function int index, or int (B,), -> float32 (B,), see `NoiseLevels.way`.
        steps: number of steps, an int or int (B,).
        sampler: a `Sampler`.
        noise: function int number -> standard normal noise (B, ...), of different numbers independent; `ancestral` steps and
            visits need it.
        visits: int (B,) or an int, >= 1.
        straight: of the trapezoidal rule, see `corrected`.

    Returns:
        Images at level(steps), (B, ...).
    """
    def each(value):
        return tf.reshape(value, [-1] + levels_shape(x)[1:])

    calls = sampler.calls
    # What is done at 0 needs no correction.
    turns = tf.reduce_max(steps * visits * calls - tf.where(level(steps) > 0, 0, calls - 1))

    def body(turn, x, past):
        place, rest = turn // (calls * visits), turn % (calls * visits)
        start, end = each(level(place)), each(level(place + 1))
        corrects, first = each(rest % calls == 1), each((place > 0) & (rest == 0))
        now = tf.where(corrects, end, start)
        # A row that is done is estimated at any level, and stays.
        estimate = denoise(x, tf.where(now > 0, now, 1.0))
        past = tf.where(turn > 0, past, estimate.clean)
        # A step made again has no step before it: `past` is of its own level.
        before = tf.where(first, each(level(place - 1)), start)
        drawn = (lambda: noise(2 * turn)) if noise else (lambda: tf.zeros_like(x))
        point = Point(x, estimate, before, now, end, past, drawn)
        made, stays = tf.where(corrects, corrected(point, straight), sampler.step(point)), now <= 0
        if noise:
            again = each((rest % calls == calls - 1) & (rest < calls * (visits - 1))) & (start > 0)
            # A correction at 0 changes nothing, but the step is made again from its noise.
            stays = stays & ~again
            made = tf.cond(tf.reduce_any(again), lambda: tf.where(
                again, made + tf.sqrt(tf.square(start) - tf.square(end)) * noise(2 * turn + 1), made), lambda: made)
        return turn + 1, tf.where(stays, x, made), estimate.clean

    return tf.while_loop(lambda turn, *_: turn < turns, body, (tf.constant(0), x, x), parallel_iterations=1)[1]
