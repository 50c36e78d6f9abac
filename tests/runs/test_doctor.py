import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfgen import GAN, VAE, runs
from tfgen.losses import Hinge, LeastSquares, NonSaturating, Wasserstein
from tfgen.networks import mlp
from tfgen.runs import callbacks, doctor
from tfgen.toys import networks, problems

SQUARE = problems.ToyMixture([[-1, -1], [-1, 1], [1, -1], [1, 1]], 0.1)


def tiny(objective, scale=1.0):
    """A GAN of points with networks of four units; its samples differ by about `scale`."""
    model = GAN(networks.generator(2, (4,), scale), networks.critic((4,)), objective)
    model.compile(keras.optimizers.Adam(1e-3))
    return model


def told(objective, epochs, folder=None, **options):
    """The doctor after epochs of (critic_real, critic_fake, generator_gradient), and what it printed."""
    printed = []
    seen = doctor.Doctor(folder, echo=printed.append, **options)
    seen.set_model(tiny(objective))
    seen.on_train_begin()
    for epoch, (real, fake, gradient) in enumerate(epochs):
        seen.on_epoch_end(epoch, {"critic_real": real, "critic_fake": fake, "critic_loss": 0.3,
                                  "generator_gradient": gradient})
    assert printed == seen.findings
    return seen


def kinds(seen):
    return [line.split(", ")[1].split(":")[0] for line in seen.findings]


HEALTHY = [(0.7, 0.3, 1.0), (0.6, 0.4, 0.5), (0.9, 0.1, 2.0)]


@pytest.mark.parametrize("objective, sick", [
    (NonSaturating(), (0.99, 0.01, 1.0)), (LeastSquares(), (1.0, 0.02, 1.0)), (Hinge(), (6.0, -5.0, 1.0))])
def test_saturated_critic_is_found(objective, sick):
    seen = told(objective, [*HEALTHY, sick])
    assert kinds(seen) == ["saturated critic"] and seen.findings[0].startswith("epoch 4, saturated critic: D(x) = ")
    assert "What usually helps: " in seen.findings[0] and "\n" not in seen.findings[0]


def test_a_wide_wasserstein_critic_is_healthy():
    assert told(Wasserstein(), [*HEALTHY, (50.0, -40.0, 1.0)]).findings == []


@pytest.mark.parametrize("gradients", [(1.0, 1.0, 5e-4), (1e-4, 1e-4, 1e-7)])
def test_vanishing_gradient_is_found(gradients):
    assert kinds(told(NonSaturating(), [(0.6, 0.4, g) for g in gradients])) == ["vanishing gradient"]


def test_healthy_logs_and_the_first_epoch_find_nothing(tmp_path):
    seen = told(NonSaturating(), [(0.99, 0.01, 1.0), *HEALTHY], tmp_path)
    assert seen.findings == [] and (tmp_path / "doctor.txt").read_text() == "4 epochs: nothing found\n"


def test_a_finding_comes_back_only_when_it_is_twice_as_bad():
    epochs = [(0.6, 0.4, 1.0), (0.6, 0.4, 8e-4), (0.6, 0.4, 5e-4), (0.6, 0.4, 0.9), (0.6, 0.4, 3e-4)]
    assert [line.split(",")[0] for line in told(NonSaturating(), epochs).findings] == ["epoch 2", "epoch 5"]


def test_lost_modes_are_found():
    seen = told(NonSaturating(), HEALTHY, modes=lambda model: (2, 8))
    assert kinds(seen) == ["collapsed modes"] and "the samples reach 2 of 8 modes" in seen.findings[0]


def test_alike_samples_are_found():
    seen = doctor.Doctor(echo=lambda line: None)
    seen.set_model(tiny(NonSaturating(), scale=1e-4))
    seen.on_train_begin()
    for epoch in range(2):
        seen.on_epoch_end(epoch, {"critic_real": 0.6, "critic_fake": 0.4, "generator_gradient": 1.0})
    assert kinds(seen) == ["low diversity"]


def test_pictures_and_findings_of_a_real_training(tmp_path):
    model = tiny(NonSaturating())
    seen = doctor.Doctor(tmp_path, modes=doctor.mixture_modes(SQUARE, range(100)), echo=lambda line: None)
    model.fit(SQUARE.stream(32), steps_per_epoch=4, epochs=3, shuffle=False, verbose=0, callbacks=[seen])
    assert len(seen.rows) == 3 and Image.open(tmp_path / "critic.png").size[0] > 400
    assert (tmp_path / "doctor.txt").read_text().count("\n") == max(1, len(seen.findings))


def test_resuming_looks_again_at_earlier_rows():
    epochs = [*HEALTHY, (0.99, 0.01, 1.0)]
    rows = [{"epoch": i + 1, "critic_real": r, "critic_fake": f, "generator_gradient": g}
            for i, (r, f, g) in enumerate(epochs)]
    resumed = doctor.Doctor(rows=rows, echo=pytest.fail)
    resumed.set_model(tiny(NonSaturating()))
    resumed.on_train_begin()
    resumed.on_train_begin()
    resumed.on_epoch_end(4, {"critic_real": 0.6, "critic_fake": 0.4, "generator_gradient": 1.0})
    assert resumed.findings == told(NonSaturating(), epochs).findings and len(resumed.rows) == 5


def test_other_models_are_left_alone(tmp_path):
    model = VAE(mlp.encoder((4, 4, 1), [4], 4), mlp.decoder(2, [4], (4, 4, 1)))
    model.compile()
    seen = doctor.Doctor(tmp_path, echo=pytest.fail)
    model.fit(np.random.default_rng(0).random((8, 4, 4, 1), np.float32), epochs=2, verbose=0, callbacks=[seen])
    assert seen.findings == [] and not list(tmp_path.iterdir())


class Sampler:
    """As much of a model as sampling needs."""

    def __init__(self, image_shape, sample):
        self.image_shape, self.sample = image_shape, sample

    def verb_options(self, name):
        return {}


def test_classifier_modes_counts_most_probable_classes():
    model = Sampler((1, 1, 1), lambda seeds: tf.cast(seeds % 3, tf.float32)[:, None, None, None])

    def extractor(images):
        return None, np.eye(5)[images.reshape(-1).astype(int)]

    assert doctor.classifier_modes(extractor, range(90))(model) == (3, 5)
    # Seeds 0 … 24 hold eight or nine of each; 60 others are all of class 0.
    assert doctor.classifier_modes(extractor, [*range(25), *[0] * 60], share=0.12)(model) == (1, 5)


def test_mixture_modes_counts_what_samples_reach():
    model = Sampler((2,), lambda seeds: tf.gather(SQUARE.centres, seeds % 2))
    assert doctor.mixture_modes(SQUARE, range(10))(model) == (2, 4)


class Doomed(GAN):
    """A GAN whose generator's loss is NaN from step `at` on, counted from 1."""

    at = 6

    def generator_losses(self, batch, made, training):
        losses = super().generator_losses(batch, made, training)
        bad = self.optimizer.iterations + 1 >= self.at
        return {"generator_loss": tf.where(bad, np.nan, losses["generator_loss"])}


@pytest.mark.rotating
@pytest.mark.parametrize("steps_per_execution, checkpoint_first", [(1, False), (4, False), (4, True)])
def test_training_stops_at_the_first_loss_that_is_no_number(tmp_path, steps_per_execution, checkpoint_first):
    model = Doomed(networks.generator(2, (4,)), networks.critic((4,)))
    model.compile("adam", steps_per_execution=steps_per_execution)
    model.at = 12  # the fourth of the second epoch's eight steps
    checkpoint, stop, history = callbacks.Checkpoint(tmp_path), callbacks.StopOnNaN(), callbacks.History(tmp_path)
    order = [checkpoint, stop, history] if checkpoint_first else [stop, history, checkpoint]
    with pytest.raises(callbacks.TrainingDiverged, match="^'generator_loss' was not finite at step 4 of epoch 2: .+$"):
        model.fit(SQUARE.stream(8), steps_per_epoch=8, epochs=3, shuffle=False, verbose=0, callbacks=order)
    assert [path.name[:15] for path in (tmp_path / "checkpoints").iterdir()] == ["step-000000008-"]
    assert len(runs.read_history(tmp_path)) == 1
    # Not one call further: the step is the last of the second epoch's first call.
    assert int(model.optimizer.iterations) == 12


def test_history_still_refuses_a_validation_loss_that_is_no_number(tmp_path):
    history = callbacks.History(tmp_path)
    with pytest.raises(callbacks.TrainingDiverged, match="'val_loss' is nan in epoch 1"):
        history.on_epoch_end(0, {"loss": 1.0, "val_loss": float("nan")})


def test_healthy_training_never_asks_the_model(tmp_path):
    asked = []
    model = types.SimpleNamespace(guard=types.SimpleNamespace(found=lambda: asked.append(1)))
    stop = callbacks.StopOnNaN()
    stop.set_model(model)
    stop.on_epoch_begin(0)
    stop.on_train_batch_end(0, {"loss": 1.0})
    assert not asked
    with pytest.raises(callbacks.TrainingDiverged):
        stop.on_train_batch_end(1, {"loss": float("nan")})
    assert asked
