import keras
import numpy as np
import tensorflow as tf

from tfgen import data, recipes
from tfgen.runs import budget
from tfgen.verbs.live import Live


def test_tensorflow_rewrites_critics_and_u_nets_without_a_word(capfd):
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})
    model, _ = budget.train_for_budget(None, recipes.find("pix2pix"), data.load("digits", pairs="edges"), 4, {"filters": 2},
                                       steps=20)
    Live(model)("translate", np.zeros((1, 8, 8, 1), np.float32))
    assert "failed" not in capfd.readouterr().err


def test_a_training_of_some_minutes_sees_the_recipes_own_batches_and_augmentation(monkeypatch):
    dataset = data.load("digits", pairs="edges")
    asked = {}
    train = dataset.train
    monkeypatch.setattr(dataset, "train", lambda *args, **options: train(*asked.setdefault("arguments", args), **options))
    seen = keras.callbacks.History()
    model, cost = budget.train_for_budget(0.0, recipes.find("pix2pix"), dataset, 4, {"filters": 2}, callbacks=[seen])
    assert len(seen.history["critic_loss"]) == 1  # 20 steps are an epoch
    assert asked["arguments"][4] is model.augmentation is not None
    assert cost["settings"] == {"filters": 2} and cost["batch_size"] == 4
    assert cost["steps"] == 20 and cost["images"] == 80 and cost["images_per_cpu_s"] > 0


def test_a_training_of_some_steps_is_as_long_as_its_schedule():
    values = {"units": 4, "hidden_layers": 1, "couplings": 1, "cosine_decay": True}
    model, cost = budget.train_for_budget(None, recipes.find("nice"), data.load("digits"), 16, values, steps=20)
    assert cost["settings"] == values | {"total_steps": cost["steps"]} and float(model.optimizer.learning_rate) < 1e-9
