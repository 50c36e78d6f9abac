"""The quality of samples as a quantity in the training logs."""

import keras
import numpy as np

from tfgen import metrics
from tfgen.attempts import Attempts
from tfgen.errors import UserError
from tfgen.evaluation import features
from tfgen.evaluation.samples import sampled_like
from tfgen.verbs.live import Live


class SampleQuality(keras.callbacks.Callback):
    """Adds `val_frechet_distance` to the logs of every epoch: between samples and the validation images.

    For a translation model, between translations of the validation sources and the validation images.

    Args:
        dataset: a `tfgen.data.Dataset`.
        extractor: a feature extractor, see `tfgen.evaluation.features`; None trains a classifier of the data on first use.
        n: number of samples. Few samples bias the distance upwards, equally in every epoch.
        live: the verbs of the model, where others have traced them already; None traces them anew.

    If the distance cannot be measured, the logs omit it and one printed line gives the reason.
    """

    NAME = "val_frechet_distance"

    def __init__(self, dataset, extractor=None, n=2000, live=None):
        super().__init__()
        self.dataset = dataset
        self.extractor = extractor
        self.n = n
        self.traced = live
        self.attempt = Attempts()

    @staticmethod
    def unmeasurable(dataset):
        """The reason why a data set is unsuitable for the measurement, or None."""
        count = len(dataset.images("validation"))
        if count < metrics.LEAST_IMAGES:
            return (f"it expects at least {metrics.LEAST_IMAGES} validation images, '{dataset.spec.name}' has {count}: "
                    "add images")
        try:
            features.check(dataset)
        except UserError as error:
            return str(error)
        return None

    def moments(self, batches):
        found = metrics.Moments()
        for images in batches:
            found.update(self.extractor(images)[0])
        return found

    def prepared(self):
        """The extractor, trained or loaded on first use."""
        self.extractor = self.extractor or features.classifier(self.dataset)
        return self.extractor

    def on_train_begin(self, logs=None):
        self.live = self.traced or Live(self.model)
        self.real = self.attempt(self.NAME, self.moments_of_images)

    def moments_of_images(self):
        self.prepared()
        images = self.dataset.batches("validation", limit=len(self.dataset.images("validation")))
        return self.moments(batch.numpy() for batch in images)

    def on_epoch_end(self, epoch, logs=None):
        if self.real is not None:
            found = self.attempt(self.NAME, lambda: metrics.frechet_distance(self.real, self.moments(self.made())))
            logs |= {} if found is None else {self.NAME: found}

    def made(self):
        """Batches of generated images: samples or translations."""
        if "translate" in self.live.names:
            sources = self.dataset.batches("validation", view=lambda record: record["source"], limit=self.n)
            return (self.live("translate", x.numpy()) for x in sources)
        sample = sampled_like(self.live, self.dataset, "validation")
        return (sample(np.arange(start, min(start + 128, self.n))) for start in range(0, self.n, 128))


def quality_callbacks(recipe, dataset, attempt=None, live=None):
    """[`SampleQuality`] if it is the recipe's objective and the data set is large enough, else [].

    Args:
        recipe, dataset: recipe and data set of the run.
        attempt: an `Attempts` that records why the measurement is omitted, or None.
        live: as for `SampleQuality`.
    """
    if recipe.objective[0] != SampleQuality.NAME:
        return []
    reason = SampleQuality.unmeasurable(dataset)
    if reason and attempt is not None:
        attempt.leave_out(SampleQuality.NAME, reason)
    return [] if reason else [SampleQuality(dataset, live=live)]
