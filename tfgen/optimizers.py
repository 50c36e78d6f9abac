"""Optimizers that Keras lacks, and what one wrapped in a loss scale is."""

import math

import keras
import tensorflow as tf
from keras import ops

from tfgen.errors import require

# Coefficients and number of Jordan's iterations: singular values of 0.003 to 1 end within 0.68 ... 1.21.
QUINTIC, ITERATIONS = (3.4445, -4.7750, 2.0315), 5
# Before this iteration A is computed anew, or rounding errors in its small eigenvalues would grow by a^2 in each: in TF32,
# the default of GPUs, to as much as the result.
ANEW = 2
LEAST_SIDE = 16


def inner(optimizer):
    """The optimizer that updates, with the rate and the clipping: the one within a `LossScaleOptimizer`, or itself."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def orthogonalised(matrix):
    """U V^T, approximately, of a matrix U S V^T (m, n): Newton-Schulz iterations X <- X (a + b A + c A^2), A = X^T X.

    As the factors of several iterations are polynomials of one A, they are multiplied together before they meet the matrix.
    """
    a, b, c = QUINTIC
    tall = matrix.shape[0] >= matrix.shape[1]
    x = matrix if tall else ops.transpose(matrix)
    x = x / (ops.norm(x) + 1e-7)
    unit = product = ops.eye(x.shape[1], dtype=x.dtype)
    for iteration in range(ITERATIONS):
        if iteration in (0, ANEW):
            x, product = ops.matmul(x, product) if iteration else x, unit
            gram = ops.matmul(ops.transpose(x), x)
        factor = a * unit + b * gram + c * ops.matmul(gram, gram)
        product, gram = ops.matmul(product, factor), ops.matmul(ops.matmul(gram, factor), factor)
    x = ops.matmul(x, product)
    return x if tall else ops.transpose(x)


def handle(variable):
    """The resource of a variable of Keras or TensorFlow, or of the present replica's part of it."""
    return (variable.value if isinstance(variable, keras.Variable) else variable).handle


@keras.saving.register_keras_serializable(package="tfgen")
class Adam(keras.optimizers.Adam):
    """Adam (Kingma & Ba, 2015) as one operation per variable. At step n = 1, 2, ...

        m <- beta_1 m + (1 - beta_1) g,  v <- beta_2 v + (1 - beta_2) g^2,
        w <- w - rate sqrt(1 - beta_2^n) / (1 - beta_1^n) m / (sqrt(v) + epsilon).

    These are the steps of `keras.optimizers.Adam`, whose graph has 40 operations per variable, most of those of a training
    step with many layers. Rows of an embedding's gradient are added up; Keras' own squares each of them.

    Args:
        learning_rate, beta_1, beta_2, epsilon: as for `keras.optimizers.Adam`.
        others: as for `keras.optimizers.Adam`, without `amsgrad`.

    Raises:
        UserError: for `amsgrad`.
    """

    def __init__(self, learning_rate=1e-3, beta_1=0.9, beta_2=0.999, epsilon=1e-7, name="adam", **others):
        require(not others.get("amsgrad"), f"{type(self).__name__} has no amsgrad, received amsgrad=True")
        super().__init__(learning_rate, beta_1, beta_2, epsilon, name=name, **others)

    def update_step(self, gradient, variable, learning_rate):
        self.move(gradient, variable, learning_rate, self.iterations + 1)

    def move(self, gradient, variable, learning_rate, count):
        """The step of a variable whose moments are of `count` gradients, with this one."""
        index, half = self._get_variable_index(variable), variable.dtype in ("float16", "bfloat16")
        mean, square, dtype = self._momentums[index], self._velocities[index], "float32" if half else variable.dtype
        gradient, rate, count = (ops.cast(x, dtype) for x in (tf.convert_to_tensor(gradient), learning_rate, count))
        powers = [tf.pow(tf.constant(beta, dtype), count) for beta in (self.beta_1, self.beta_2)]
        if not half:
            tf.raw_ops.ResourceApplyAdam(
                var=handle(variable), m=handle(mean), v=handle(square), beta1_power=powers[0], beta2_power=powers[1],
                lr=rate, beta1=self.beta_1, beta2=self.beta_2, epsilon=self.epsilon, grad=gradient)
            return
        # In half precision beta_2 would round to 1, and the moment would stay 0.
        m, v = (x + (1.0 - beta) * (g - x) for x, g, beta in (
            (ops.cast(mean, dtype), gradient, self.beta_1), (ops.cast(square, dtype), gradient**2, self.beta_2)))
        step = rate * ops.sqrt(1.0 - powers[1]) / (1.0 - powers[0]) * m / (ops.sqrt(v) + self.epsilon)
        for target, value in ((mean, m), (square, v), (variable, ops.cast(variable, dtype) - step)):
            self.assign(target, ops.cast(value, variable.dtype))


@keras.saving.register_keras_serializable(package="tfgen")
class RestartedAdam(Adam):
    """Adam that begins anew at given steps, as if another took over: for models that train in stages.

    At step t after the last start s <= t (0 before the first), m and v on the right are 0 at t = s, and n = t - s + 1.

    One Adam for all stages would correct the bias of moments by all steps so far, also of weights that it has hardly
    updated, whose first steps would be many times the rate.

    Args:
        learning_rate: a rate > 0, or a schedule of all steps.
        beta_1, beta_2, epsilon: as for `Adam`.
        starts: updates of this optimizer before each new beginning, increasing and > 0; none: `Adam`.
        others: as for `Adam`.

    Raises:
        UserError: for starts that do not increase, or `amsgrad`.
    """

    def __init__(self, learning_rate=1e-3, beta_1=0.9, beta_2=0.999, epsilon=1e-7, starts=(), name="adam", **others):
        require(sorted(set(starts)) == list(starts) and all(start > 0 for start in starts),
                f"starts expects increasing numbers of steps above 0, received {list(starts)}")
        super().__init__(learning_rate, beta_1, beta_2, epsilon, name=name, **others)
        self.starts = list(starts)

    def update_step(self, gradient, variable, learning_rate):
        if not self.starts:
            return super().update_step(gradient, variable, learning_rate)
        step, index = ops.cast(self.iterations, "int64"), self._get_variable_index(variable)
        begun = ops.max(ops.where(step >= self.starts, ops.cast(self.starts, "int64"), ops.zeros((), "int64")))
        for moment in (self._momentums[index], self._velocities[index]):
            self.assign(moment, moment * ops.cast(step > begun, variable.dtype))
        self.move(gradient, variable, learning_rate, step - begun + 1)

    def get_config(self):
        return super().get_config() | {"starts": self.starts}


def is_matrix(variable):
    """Whether Muon moves a variable: a kernel that is a matrix of at least 16 x 16, no table of embeddings."""
    rows, columns = (math.prod(variable.shape[:-1]), variable.shape[-1]) if len(variable.shape) > 1 else (0, 0)
    return min(rows, columns) >= LEAST_SIDE and "embedding" not in variable.path


@keras.saving.register_keras_serializable(package="tfgen")
class Muon(Adam):
    """Muon (Jordan et al., 2024): kernels move by the orthogonal factor of their momentum, other variables by Adam.

    A kernel (..., n) counts as the matrix (m, n) of its rows, m the product of its leading axes, so that of a convolution is
    (height * width * inputs, outputs). With its gradient G and learning rate r, a step is

        M <- mu M + (1 - mu) G
        W <- W - 0.2 r sqrt(max(m, n)) orthogonalised(mu M + (1 - mu) G)

    The factor 0.2 sqrt(max(m, n)) gives updates the root mean square of Adam's (Liu et al., 2025, arXiv:2502.16982), so that
    one rate suits both. `keras.optimizers.Muon` leaves the kernels of convolutions to Adam.

    Unlike the authors' code, Muon moves the first convolution and the last layer, too, where they are matrices of at least
    16 x 16; queries, keys and values of one kernel count as one matrix; Adam has the rate of Muon.

    Args:
        learning_rate: a rate > 0, or a schedule.
        momentum: mu, in [0, 1).
        beta_2: decay of Adam's second moment, in [0, 1); 0.99, which suits short trainings.
        others: as for `keras.optimizers.Adam`.
    """

    def __init__(self, learning_rate=1e-3, momentum=0.95, beta_2=0.99, name="muon", **others):
        super().__init__(learning_rate, beta_2=beta_2, name=name, **others)
        self.momentum = momentum

    def build(self, variables):
        super().build(variables)
        self.of_matrices = [is_matrix(variable) for variable in variables]

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        if not self.of_matrices[index]:
            return super().update_step(gradient, variable, learning_rate)
        gradient, mean = ops.cast(gradient, variable.dtype), self._momentums[index]
        self.assign_add(mean, (1.0 - self.momentum) * (gradient - mean))
        ahead = self.momentum * mean + (1.0 - self.momentum) * gradient
        matrix = ops.reshape(ahead, (-1, variable.shape[-1]))
        scale = 0.2 * math.sqrt(max(matrix.shape)) * ops.cast(learning_rate, variable.dtype)
        self.assign_sub(variable, scale * ops.reshape(orthogonalised(matrix), variable.shape))

    def get_config(self):
        return super().get_config() | {"momentum": self.momentum}
