"""Muon: its factor against the singular value decomposition, its step against float64, and Adam for the rest.

Adam as one operation per variable: against Keras' and float64; that which begins anew: against Adams one after another.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tfgen.optimizers import ITERATIONS, QUINTIC, Adam, Muon, RestartedAdam, is_matrix, orthogonalised


def iterated(matrix):
    """U p(S) V^T in float64: the iterations on singular values alone."""
    u, s, v = np.linalg.svd(np.float64(matrix), full_matrices=False)
    s, (a, b, c) = s / np.sqrt(np.sum(s**2)), QUINTIC
    for _ in range(ITERATIONS):
        s = a * s + b * s**3 + c * s**5
    return u * s @ v, s


@pytest.mark.parametrize("shape", [(40, 20), (20, 40), (30, 30), (200, 16)])
def test_the_orthogonal_factor(shape):
    matrix = np.random.default_rng(0).normal(size=shape).astype("float32")
    wanted, values = iterated(matrix)
    np.testing.assert_allclose(orthogonalised(matrix), wanted, atol=2e-5)
    # What it is for: singular values near 1.
    assert 0.65 < np.median(values) < 1.25


def test_the_factor_in_the_arithmetic_of_gpus(monkeypatch):
    """TF32 multiplies numbers of 10 bits: the small values of a matrix with a large mean must not grow."""
    exact = ops.matmul

    def rounded(x):
        bits = np.ascontiguousarray(x, np.float32).view(np.uint32) + np.uint32(1 << 12)
        return (bits & np.uint32(0xFFFFE000)).view(np.float32)

    matrix = np.random.default_rng(0).normal(10.0, 1.0, (60, 40)).astype("float32")
    wanted = iterated(matrix)[0]
    monkeypatch.setattr(ops, "matmul", lambda x, y: exact(rounded(x), rounded(y)))
    error = np.array(orthogonalised(matrix)) - wanted
    assert 1e-5 < np.linalg.norm(error) / np.linalg.norm(wanted) < 0.02


def test_directions_without_gradient_stay_still():
    left, right = (np.random.default_rng(seed).normal(size=(30, 2)) for seed in (1, 2))
    made = np.array(orthogonalised((left @ right.T).astype("float32")))
    assert np.linalg.svd(made)[1][2:].max() < 2e-3
    assert np.abs(np.array(orthogonalised(np.zeros((30, 20), np.float32)))).max() == 0


def test_a_step_of_a_kernel_and_of_a_bias():
    rng, rate, momentum = np.random.default_rng(0), 0.01, 0.9
    kernel = keras.Variable(rng.normal(size=(3, 3, 4, 20)), dtype="float32", name="kernel")
    bias, adam_bias = (keras.Variable(np.zeros(20), dtype="float32", name="bias") for _ in range(2))
    muon, adam = Muon(rate, momentum), Adam(rate, beta_2=0.99)
    assert is_matrix(kernel) and not is_matrix(bias)
    value, mean = np.float64(kernel.numpy()), 0.0
    for _ in range(3):
        gradient, of_bias = rng.normal(size=kernel.shape), rng.normal(size=20)
        muon.apply([np.float32(gradient), np.float32(of_bias)], [kernel, bias])
        adam.apply([np.float32(of_bias)], [adam_bias])
        mean = momentum * mean + (1 - momentum) * gradient
        step = iterated((momentum * mean + (1 - momentum) * gradient).reshape(36, 20))[0]
        value -= 0.2 * rate * np.sqrt(36) * step.reshape(kernel.shape)
    np.testing.assert_allclose(kernel.numpy(), value, atol=1e-6)
    np.testing.assert_array_equal(bias.numpy(), adam_bias.numpy())
    # Updates of the root mean square of Adam's, which is at most about the rate.
    assert 0.1 * rate < np.sqrt(np.mean(step**2)) * 0.2 * rate * 6 < 0.3 * rate


def test_which_variables_are_matrices():
    layers = keras.layers
    model = keras.Sequential([keras.Input((8,), dtype="int32"), layers.Embedding(20, 16), layers.Conv1D(16, 3),
                              layers.LayerNormalization(), layers.Conv1D(4, 3)])
    assert [is_matrix(variable) for variable in model.trainable_variables] == [False, True] + 5 * [False]


def test_a_config_makes_the_same_optimizer():
    made = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(Muon(0.02, 0.8, beta_1=0.7)))
    assert type(made) is Muon and (made.momentum, made.beta_1, made.beta_2) == (0.8, 0.7, 0.99)
    assert float(made.learning_rate) == pytest.approx(0.02)


def test_a_loaded_model_trains_on_as_the_first(tmp_path):
    x = np.random.default_rng(0).normal(size=(8, 6, 6, 4)).astype("float32")
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6, 6, 4)), keras.layers.Conv2D(16, 3), keras.layers.Conv2D(16, 3)])
    model.compile(Muon(0.01), "mse")
    target = np.ones((8, 2, 2, 16), "float32")
    model.fit(x, target, epochs=3, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    first, second = (which.fit(x, target, epochs=2, verbose=0).history["loss"] for which in (model, loaded))
    assert first == second and first[1] < first[0]


def test_a_restarted_adam_is_one_adam_after_another():
    """Weights of one stage, of the other, and of both; also after a change to a file and back in the middle of a stage."""
    rng, betas = np.random.default_rng(0), (0.5, 0.99)
    stages = [(0, 1), (1, 2), (0, 2)]
    mine, theirs = ([keras.Variable(np.ones(4, "float32"), name=f"v{index}") for index in range(3)] for _ in range(2))
    restarted = RestartedAdam(0.1, *betas, starts=[4, 9])
    restarted.build(mine)
    for step in range(15):
        stage = (step >= 4) + (step >= 9)
        if step in (0, 4, 9):
            fresh = keras.optimizers.Adam(0.1, *betas)
            fresh.build(theirs)
        if step == 11:
            copy = RestartedAdam.from_config(restarted.get_config())
            copy.build(mine)
            state = {}
            restarted.save_own_variables(state)
            copy.load_own_variables(state)
            restarted = copy
        gradients = [ops.convert_to_tensor(rng.normal(size=4), "float32") for _ in stages[stage]]
        restarted.apply_gradients([(g, mine[index]) for g, index in zip(gradients, stages[stage])])
        fresh.apply_gradients([(g, theirs[index]) for g, index in zip(gradients, stages[stage])])
        for one, other in zip(mine, theirs):
            np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-5)


def moved(optimizer, gradients, function=lambda call: call):
    """Variables after steps with these gradients, a list of a list per step."""
    variables = [keras.Variable(np.ones(np.shape(gradient), "float32"), name=f"v{index}")
                 for index, gradient in enumerate(gradients[0])]
    optimizer.build(variables)
    step = function(lambda *of: optimizer.apply(list(of), variables))
    for of in gradients:
        step(*[ops.convert_to_tensor(gradient, "float32") for gradient in of])
    return [variable.numpy() for variable in variables]


@pytest.mark.parametrize("function", [lambda call: call, tf.function, lambda call: tf.function(call, jit_compile=True)],
                         ids=["eager", "graph", "XLA"])
def test_steps_are_those_of_adam(function):
    """Against Keras' own, and against float64."""
    rng, (rate, *betas), epsilon = np.random.default_rng(0), (0.01, 0.5, 0.99), 1e-3
    gradients = [[np.float32(rng.normal(size=shape) * 10.0**rng.uniform(-4, 2)) for shape in ((40, 3), (7,))]
                 for _ in range(30)]
    schedule = keras.optimizers.schedules.CosineDecay(rate, 30)
    made = moved(Adam(schedule, *betas, epsilon), gradients, function)
    for ours, theirs in zip(made, moved(keras.optimizers.Adam(schedule, *betas, epsilon), gradients), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)
    for index, ours in enumerate(made):
        w, m, v = np.ones(ours.shape), 0.0, 0.0
        for n, of in enumerate(gradients, 1):
            g = np.float64(of[index])
            m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g**2
            now = rate * 0.5 * (1.0 + np.cos(np.pi * (n - 1) / 30))
            w -= now * np.sqrt(1 - betas[1]**n) / (1 - betas[0]**n) * m / (np.sqrt(v) + epsilon)
        np.testing.assert_allclose(ours, w, rtol=2e-6, atol=1e-6)


def test_a_step_is_few_operations():
    def operations(optimizer):
        optimizer.build(variables)
        step = tf.function(lambda *of: optimizer.apply(list(of), variables))
        return len(step.get_concrete_function(*(tf.TensorSpec(v.shape) for v in variables)).graph.get_operations())

    variables = [keras.Variable(np.ones(4, "float32"), name=f"v{index}") for index in range(50)]
    assert 2 * operations(Adam()) < operations(keras.optimizers.Adam())


def test_a_gradient_in_half_precision_moves_a_variable_of_float32():
    variable, optimizer = keras.Variable(np.ones(4, "float32")), Adam(0.1)
    optimizer.apply([tf.ones(4, tf.bfloat16)], [variable])
    np.testing.assert_allclose(variable.numpy(), 0.9, rtol=1e-5)


@pytest.mark.parametrize("dtype, error", [("float64", 1e-12), ("float16", 4e-3), ("bfloat16", 3e-2)])
@pytest.mark.parametrize("function", [lambda call: call, tf.function], ids=["eager", "graph"])
def test_variables_of_any_precision(dtype, error, function):
    """Against float64; in half precision what is stored is rounded, while the rate and the decays are not."""
    variable = keras.Variable(np.ones(4), dtype=dtype)
    optimizer = Adam(0.05)
    optimizer.build([variable])
    step = function(lambda gradient: optimizer.apply([gradient], [variable]))
    w, m, v = np.ones(4), 0.0, 0.0
    for n in range(1, 6):
        g = np.array([1.0, -2.0, 0.25, 4.0]) * n
        step(tf.cast(g, dtype))
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        w -= 0.05 * np.sqrt(1 - 0.999**n) / (1 - 0.9**n) * m / (np.sqrt(v) + 1e-7)
    np.testing.assert_allclose(np.float64(ops.cast(variable, "float64")), w, atol=error)


def test_an_adam_without_starts_is_adam():
    gradients = [[np.full(4, step - 1.5)] for step in range(5)]
    np.testing.assert_array_equal(moved(RestartedAdam(0.1), gradients), moved(Adam(0.1), gradients))


@pytest.mark.parametrize("optimizer", [Adam(0.1), RestartedAdam(0.1, starts=[1])], ids=["adam", "restarted"])
def test_rows_of_an_embedding_are_added_up(optimizer):
    table = keras.Variable(np.ones((3, 2), "float32"))
    rows = tf.IndexedSlices(tf.constant([[1.0, 2.0], [3.0, -1.0]]), tf.constant([1, 1]), tf.constant([3, 2]))
    optimizer.apply([rows], [table])
    # The first step is a rate in the direction of the whole gradient's sign, (4, 1); row 1 alone moves.
    np.testing.assert_allclose(table.numpy(), [[1, 1], [0.9, 0.9], [1, 1]], rtol=1e-4)
    np.testing.assert_allclose(optimizer._velocities[0].numpy()[1], [0.016, 0.001], rtol=1e-4)


@pytest.mark.parametrize("arguments, message", [
    ({"starts": [3, 3]}, r"increasing numbers of steps above 0, received \[3, 3\]"),
    ({"starts": [0]}, r"increasing numbers of steps above 0, received \[0\]"),
    ({"amsgrad": True}, "no amsgrad, received amsgrad=True")])
def test_a_restarted_adam_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        RestartedAdam(**arguments)


def test_adam_refuses_what_it_lacks():
    with pytest.raises(ValueError, match="Adam has no amsgrad, received amsgrad=True"):
        Adam(amsgrad=True)
