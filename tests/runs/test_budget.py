import keras

from tfgen import data, recipes
from tfgen.runs import budget


def test_a_training_of_some_minutes_sees_the_recipes_own_batches_and_augmentation(monkeypatch):
    dataset = data.load("digits", pairs="edges")
    asked = {}
    train = dataset.train
    monkeypatch.setattr(dataset, "train", lambda *args, **options: train(*asked.setdefault("arguments", args), **options))
    seen = keras.callbacks.History()
    model, cost = budget.train_for_budget(0.0, recipes.find("pix2pix"), dataset, 4, {"filters": 2}, callbacks=[seen])
    assert len(seen.history["critic_loss"]) == 1  # 20 steps are an epoch
    assert asked["arguments"][4] is model.augmentation is not None
    assert cost["steps"] == 20 and cost["images"] == 80 and cost["images_per_cpu_s"] > 0
