"""TensorBoard's files of a run: scalars by Keras' callback, and the run's pictures and hyperparameters."""

import keras
import tensorflow as tf

from tfgen.attempts import Attempts


class Board(keras.callbacks.TensorBoard):
    """Keras' callback, which also writes the pictures that a run has drawn after an epoch, its hyperparameters, and, at the
    end, the best value of its objective. Must come after the callbacks that draw.

    Args:
        folder: pathlib.Path of the run; the files are in `folder/tensorboard`.
        hyperparameters: {name: number, text or truth value}.
        history: the run's `callbacks.History`.
        objective: (name of a value in the history, "min" or "max").
    """

    def __init__(self, folder, hyperparameters, history, objective):
        super().__init__(str(folder / "tensorboard"))
        self.folder = folder
        self.hyperparameters = hyperparameters
        self.history = history
        self.objective = objective
        self.attempt = Attempts()

    def pictures(self):
        """Paths of the pictures of epochs."""
        return sorted(self.folder.glob("*/epoch-*.png"))

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        # A picture of an epoch that is made again has not been shown.
        done = max((row["epoch"] for row in self.history.rows), default=0)
        self.shown = {path for path in self.pictures() if epoch_of(path) <= done}
        self.attempt("hyperparameters for TensorBoard", self.write_hyperparameters)

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        self.attempt("pictures for TensorBoard", self.write_pictures)

    def on_train_end(self, logs=None):
        # The last epoch's, if it has been drawn after the training.
        self.attempt("pictures for TensorBoard", self.write_pictures)
        self.attempt("the objective for TensorBoard", self.write_objective)
        super().on_train_end(logs)

    def write_hyperparameters(self):
        from tensorboard.plugins.hparams import api  # takes a second, and most runs do not need it

        with self._train_writer.as_default():
            api.hparams(self.hyperparameters, trial_id=self.folder.name)

    def write_pictures(self):
        with self._train_writer.as_default():
            for path in self.pictures():
                if path not in self.shown:
                    image = tf.io.decode_png(path.read_bytes())
                    tf.summary.image(path.parent.name, image[None], step=epoch_of(path))
                    self.shown.add(path)

    def write_objective(self):
        best = self.history.best(self.objective)[0]
        if best:
            value = next(row[self.objective[0]] for row in self.history.rows if row["epoch"] == best)
            with self._train_writer.as_default():
                tf.summary.scalar(f"best_{self.objective[0]}", value, step=best)


def epoch_of(path):
    """The epoch of a picture `epoch-NUMBER.png`."""
    return int(path.stem.split("-")[1])
