"""Every builder draws every kernel anew."""

import inspect

import keras
import pytest
from cases import same_starts

from tfgen import networks, toys
from tfgen.layers import VectorQuantizer
from tfgen.networks import (
    conv,
    coupling,
    dcgan,
    diffusion_unet,
    energy,
    ladder,
    lenet,
    made,
    mlp,
    pixelcnn,
    pixelcnnpp,
    progressive,
    resnet,
    siren,
    stackgan,
    style,
    transformer,
    translation,
    vector_quantised,
)

SHAPE = (16, 16, 1)
BUILDERS = {
    conv.encoder: [lambda: conv.encoder(SHAPE, [4, 4, 4], 8)],
    conv.decoder: [lambda: conv.decoder(8, [4, 4, 4], SHAPE)],
    coupling.dense: [lambda: coupling.dense(16, 16, [16, 16, 16], last_initializer="glorot_uniform")],
    coupling.dense_affine: [lambda: coupling.dense_affine(16, 16, [16, 16, 16])],
    coupling.residual: [lambda: coupling.residual(SHAPE, 2, 4, 2)],
    coupling.convolutional: [lambda: coupling.convolutional(SHAPE, 2, 4), lambda: coupling.convolutional(SHAPE, 2, 4, 3)],
    dcgan.generator: [lambda: dcgan.generator(SHAPE, 8, 4), lambda: dcgan.generator(SHAPE, 8, 4, None, 3)],
    dcgan.critic: [lambda: dcgan.critic(SHAPE, 4, "batch", head=3), lambda: dcgan.critic(SHAPE, 4, spectral=True)],
    dcgan.encoder: [lambda: dcgan.encoder(SHAPE, 8, 4)],
    diffusion_unet.unet: [lambda: diffusion_unet.unet(SHAPE, 8, (1, 2), 1, heads=2, num_classes=3)],
    diffusion_unet.classifier: [lambda: diffusion_unet.classifier(SHAPE, 3, 8, (1, 2))],
    energy.energy: [lambda: energy.energy(SHAPE, [4, 4], 8)],
    energy.equilibrium_decoder: [lambda: energy.equilibrium_decoder(8, SHAPE, 4, 3)],
    energy.equilibrium: [lambda: energy.equilibrium(SHAPE, 8, 4)],
    ladder.encoder: [lambda: ladder.encoder(SHAPE, [6, 5, 4], [1, 2, 1], [6, 5, 4], blocks=2)],
    ladder.prior: [lambda: ladder.prior((4, 4), 6, 3)],
    ladder.posterior: [lambda: ladder.posterior((4, 4), 6, 6, 3)],
    ladder.merge: [lambda: ladder.merge((4, 4), 6, 6, 3, 0.5), lambda: ladder.merge((1, 1), 6, 6, 4, 0.5, (2, 2), 4)],
    ladder.decoder: [lambda: ladder.decoder(SHAPE, (8, 8), 6, 2)],
    siren.siren: [lambda: siren.siren(2, [16, 16, 16], 3)],
    siren.relu: [lambda: siren.relu(2, [16, 16, 16], 3, "gaussian", 16),
                 lambda: siren.relu(2, [16, 16, 16], 3, "positional", 16)],
    siren.radiance: [lambda: siren.radiance(16, 3)],
    lenet.encoder: [lambda: lenet.encoder(SHAPE, 8, 4)],
    lenet.decoder: [lambda: lenet.decoder(8, SHAPE, 4)],
    made.fvbn: [lambda: made.fvbn(SHAPE)],
    made.made: [lambda: made.made(SHAPE, [16, 16]), lambda: made.made(SHAPE, [16], masks=2)],
    mlp.encoder: [lambda: mlp.encoder(SHAPE, [16, 16, 16], 16)],
    mlp.decoder: [lambda: mlp.decoder(16, [16, 16, 16], SHAPE)],
    toys.networks.generator: [lambda: toys.networks.generator(2, (16, 16, 16))],
    toys.networks.critic: [lambda: toys.networks.critic((16, 16, 16)),
                           lambda: toys.networks.critic((16, 16, 16), spectral=True)],
    pixelcnn.pixelcnn: [lambda: pixelcnn.pixelcnn(SHAPE, 1, 4, 2, 4)],
    pixelcnn.pixelrnn: [lambda: pixelcnn.pixelrnn(SHAPE, 1, 4, 2, 4)],
    pixelcnn.gated_pixelcnn: [lambda: pixelcnn.gated_pixelcnn(SHAPE, 1, 4, 3, num_classes=3)],
    pixelcnnpp.pixelcnnpp: [lambda: pixelcnnpp.pixelcnnpp(SHAPE, 6, 4, 1, 2)],
    progressive.generator: [lambda: progressive.generator(SHAPE, 8, 8)],
    progressive.critic: [lambda: progressive.critic(SHAPE, 8)],
    style.critic: [lambda: style.critic(SHAPE, 8)],
    resnet.generator: [lambda: resnet.generator(SHAPE, 8, 3, 4, embedding=8)],
    resnet.critic: [lambda: resnet.critic(SHAPE, 3, 4)],
    stackgan.generator: [lambda: stackgan.generator(SHAPE, 8, 3, 8, 8)],
    stackgan.critic: [lambda: stackgan.critic(SHAPE, 3, 8)],
    style.mapping: [lambda: style.mapping(8, 8, 4)],
    style.synthesis: [lambda: style.synthesis(SHAPE, 8, 8)],
    style.generator: [lambda: style.generator(SHAPE, 8, 8, 8, 4)],
    transformer.token_transformer: [lambda: transformer.token_transformer((2, 3), 4, 8, 2, 2)],
    vector_quantised.encoder: [lambda: vector_quantised.encoder(SHAPE, VectorQuantizer(8), 4, 8, residual_filters=4)],
    vector_quantised.decoder: [lambda: vector_quantised.decoder(SHAPE, 4, 8, residual_filters=4)],
    vector_quantised.two_level_encoder: [lambda: vector_quantised.two_level_encoder(
        SHAPE, [VectorQuantizer(8), VectorQuantizer(8)], 4, 8, residual_filters=4)],
    vector_quantised.two_level_decoder: [lambda: vector_quantised.two_level_decoder(SHAPE, 4, 8, residual_filters=4)],
    vector_quantised.conditioning: [lambda: vector_quantised.conditioning((2, 2), 8, (4, 4), 8, 4)],
    transformer.image_transformer: [lambda: transformer.image_transformer(SHAPE, 1, 2, 8, 2, 2, 16)],
    translation.unet: [lambda: translation.unet(SHAPE, SHAPE, 4), lambda: translation.unet(SHAPE, SHAPE, 4, None)],
    translation.residual: [lambda: translation.residual(SHAPE, SHAPE, 4, 3)],
    translation.patchgan: [lambda: translation.patchgan(SHAPE, None, 4, 2), lambda: translation.patchgan(SHAPE, None, 8, 0)],
}


@pytest.mark.parametrize("build", [pytest.param(build, id=f"{builder.__module__.split('.')[-1]}.{builder.__name__}-{index}")
                                   for builder, builds in BUILDERS.items() for index, build in enumerate(builds)])
def test_no_two_kernels_start_equal(build):
    keras.utils.set_random_seed(1)
    first, second = build(), build()
    names = [v.path for v in first.trainable_variables]
    assert len(names) > 1
    # The second network is another player's: it starts elsewhere, too.
    for index, variable in enumerate([*first.trainable_variables, *second.trainable_variables]):
        variable._path = f"{index}: {variable.path}"
    assert not same_starts([*first.trainable_variables, *second.trainable_variables])


def test_every_builder_is_here():
    modules = [module for _, module in inspect.getmembers(networks, inspect.ismodule)] + [toys.networks]
    public = {made for module in modules for name, made in inspect.getmembers(module, inspect.isfunction)
              if made.__module__ == module.__name__ and "Functional model" in (made.__doc__ or "")}
    # Whose weights are those of a file.
    public.discard(networks.imagenet.resnet50)
    assert public <= set(BUILDERS)
    assert len(public) > 10
