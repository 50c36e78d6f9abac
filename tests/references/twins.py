"""What comparisons with PyTorch share: layouts, weights, and a step of the optimizer."""

import numpy as np

MISSING = "the extra 'reference' is not installed"


def channels_first(x):
    return np.ascontiguousarray(np.moveaxis(np.asarray(x), -1, 1))


def outputs_first(kernel):
    """A kernel of Keras, (..., inputs, outputs), as PyTorch has it; other weights as they are."""
    kernel = np.asarray(kernel)
    order = {2: (1, 0), 4: (3, 2, 0, 1)}.get(kernel.ndim)
    return kernel if order is None else np.ascontiguousarray(kernel.transpose(order))


def assign(torch, parameter, value):
    """Gives a parameter or buffer of PyTorch values of its shape."""
    value = np.asarray(value, np.float32)
    assert tuple(parameter.shape) == value.shape, (parameter.shape, value.shape)
    with torch.no_grad():
        parameter.copy_(torch.tensor(value))


def moved(torch, optimizer, slopes, twins):
    """Asserts that gradients, and the changes of a first step of Adam, are those of twins with computed gradients.

    Args:
        optimizer: the class, an Adam of tfgen.
        slopes: [(variable of Keras, its gradient)].
        twins: for each, [(parameter of PyTorch, function of an array of the variable's shape -> one of its shape)].
    """
    rate, betas, epsilon = 0.01, (0.5, 0.9), 1e-4
    variables, gradients = map(list, zip(*slopes, strict=True))
    pairs = [(variable, gradient, *twin) for (variable, gradient), of in zip(slopes, twins, strict=True) for twin in of]
    for variable, gradient, twin, turned in pairs:
        wanted = twin.grad.numpy()
        np.testing.assert_allclose(turned(np.asarray(gradient)), wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max() + 1e-7,
                                   err_msg=variable.path)
    before = [(variable.numpy(), twin.detach().numpy().copy()) for variable, _, twin, _ in pairs]
    # Keras adds epsilon to the root of a second moment that is not corrected for its start.
    optimizer(rate, *betas, epsilon=epsilon).apply(gradients, variables)
    torch.optim.Adam([twin for _, _, twin, _ in pairs], rate, betas, epsilon / (1.0 - betas[1]) ** 0.5).step()
    for (variable, _, twin, turned), (ours, theirs) in zip(pairs, before, strict=True):
        np.testing.assert_allclose(turned(variable.numpy() - ours), twin.detach().numpy() - theirs, rtol=1e-3,
                                   atol=0.01 * rate, err_msg=variable.path)
