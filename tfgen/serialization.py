"""Keras configs from `__init__` signatures, for all models, layers, likelihoods, penalties and schedules."""

import functools
import inspect
import json
import re

import keras


def serializable(cls=None, *, inherit=False):
    """Registers `cls` with Keras and derives `get_config` and, unless it has its own, `from_config` from `__init__`.

    The config holds what the Keras base class would write (name, trainable, dtype), then one entry per named
    parameter of `__init__`, read from the attribute of the same name through
    `keras.saving.serialize_keras_object`. So injected networks and objects travel with the model.

    Args:
        cls: the class; `@serializable` alone is enough for most.
        inherit: whether `**kwargs` also contain parameters of a serialisable base class.

    Raises:
        TypeError: at definition, if `__init__` takes positional-only or `*args` parameters.
    """
    if cls is None:
        return functools.partial(serializable, inherit=inherit)
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    if any(p.kind in (p.POSITIONAL_ONLY, p.VAR_POSITIONAL) for p in parameters):
        raise TypeError(f"{cls.__name__}.__init__ must take named parameters only, received {parameters}")

    if inherit:
        names += [name for name in super(cls, cls).config_names if name not in names]

    def get_config(self):
        config = {}
        if isinstance(self, keras.layers.Layer):
            config = {"name": self.name, "trainable": self.trainable}
            config["dtype"] = keras.dtype_policies.serialize(self.dtype_policy)
        for name in names:
            config[name] = keras.saving.serialize_keras_object(getattr(self, name))
        return config

    def from_config(owner, config):
        return owner(**{key: keras.saving.deserialize_keras_object(value) for key, value in config.items()})

    cls.config_names = names
    cls.get_config = get_config
    if "from_config" not in vars(cls):
        cls.from_config = classmethod(from_config)
    return keras.saving.register_keras_serializable(package="tfgen")(cls)


def described(model):
    """The configuration of a model and its optimizers as JSON, without the numbers that Keras gives to names."""
    parts = [model] + [getattr(model, name) for name in ("optimizer", "critic_optimizer")
                       if getattr(model, name, None) is not None]
    return _unnumbered(json.loads(json.dumps([keras.saving.serialize_keras_object(part) for part in parts])))


def _unnumbered(config):
    if isinstance(config, dict):
        # A model that was not called yet has no shapes, and optimizers are described beside it.
        return {_unnumbered(key): _unnumbered(value) for key, value in config.items()
                if key not in ("build_config", "compile_config")}
    if isinstance(config, list):
        return [_unnumbered(value) for value in config]
    return re.sub(r"_\d+$", "", config) if isinstance(config, str) else config


def unlike(one, other, place=()):
    """{place, a tuple of keys: (value in one, in the other)} of where two configurations of `described` differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = sorted({*one, *other})
        pairs = [(key, one.get(key), other.get(key)) for key in keys]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = [(key, *pair) for key, pair in enumerate(zip(one, other))]
    else:
        return {} if one == other else {place: (one, other)}
    return {where: pair for key, *values in pairs for where, pair in unlike(*values, (*place, key)).items()}


def networks_of(model):
    """The Functional networks of a model."""
    return [part for part in model._flatten_layers() if isinstance(getattr(part, "outputs", None), list)]


def heads(network):
    """Layers that make the outputs of a Functional network, each back to the last one with weights."""
    ends, found = list(network.outputs), []
    while ends:
        operation, node, _ = ends.pop()._keras_history
        if isinstance(operation, keras.layers.Layer) and operation not in found:
            found.append(operation)
        if not getattr(operation, "weights", []):
            ends += operation._inbound_nodes[node].input_tensors
    return found


def finish_in_float32(model):
    """Sets the last layers of each network to float32: half precision rounds an output by up to half a grey level."""
    for network in networks_of(model):
        for layer in heads(network):
            layer.dtype_policy = keras.DTypePolicy("float32")


def computing_in(model, policy):
    """A copy of a model, optimizers included, whose layers compute as a policy says; the last of each network in float32.

    Args:
        policy: `"float32"` or `"mixed_bfloat16"`, whose variables are float32.
    """
    copy = keras.saving.deserialize_keras_object(_with_policy(keras.saving.serialize_keras_object(model), policy))
    if policy != "float32":
        finish_in_float32(copy)
    for new, old in zip(copy.variables, model.variables, strict=True):
        new.assign(old)
    for name in ("optimizer", "critic_optimizer"):
        if getattr(model, name, None) is not None:
            for new, old in zip(getattr(copy, name).variables, getattr(model, name).variables, strict=True):
                new.assign(old)
    return copy


def _with_policy(config, policy):
    """A serialised object with its policies of these two replaced by one of them."""
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy" and config["config"]["name"] in ("float32", "mixed_bfloat16"):
            return config | {"config": {"name": policy}}
        return {key: _with_policy(value, policy) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return type(config)(_with_policy(value, policy) for value in config)
    return config
