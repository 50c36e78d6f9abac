"""tfgen: deep generative models in Keras, trained with `fit`, tuned with KerasTuner, exported as SavedModels."""

import contextlib
import os
import pathlib
import signal
import sys
import tempfile

# Whether this is the command `tfgen`, not a program that uses the library.
_COMMAND = pathlib.PurePath(sys.argv[0] if sys.argv else "").stem == "tfgen"
if _COMMAND:
    # Ctrl-C during the imports, which take seconds, just ends it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _check_backend(backend):
    """Raises an `ImportError` of one line, or ends the command `tfgen` with it, unless Keras' backend is TensorFlow."""
    if backend == "tensorflow":
        return
    message = (f"tfgen needs Keras' TensorFlow backend, received '{backend}': set KERAS_BACKEND=tensorflow, and import no "
               "Keras of another backend before")
    if _COMMAND:
        print(f"error: {message}", file=sys.stderr)
        sys.exit(2)
    raise ImportError(message) from None


@contextlib.contextmanager
def _quiet():
    """Keeps TensorFlow's start-up chatter off the terminal; shows it if the import fails."""
    if "tensorflow" in sys.modules or os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "0" or sys.stderr is None:
        yield
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(kept, 2)
            log.seek(0)
            os.write(2, log.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


_check_backend(sys.modules["keras"].config.backend() if "keras" in sys.modules else
               os.environ.get("KERAS_BACKEND") or "tensorflow")
with _quiet():
    # Whose folders, where there is no home to write to, are temporary.
    import matplotlib.font_manager  # noqa: F401
    import tensorflow as tf

    # The first look for devices is what prints.
    tf.config.list_physical_devices()
try:
    import keras

    _check_backend(keras.config.backend())
except ModuleNotFoundError as error:
    # The backend of keras.json, which is not installed.
    if error.name not in ("jax", "torch", "openvino"):
        raise
    _check_backend(error.name)

# Eager imports: a .keras file loads only classes that are registered.
from tfgen import (  # noqa: E402
    data,
    detection,
    distributions,
    doctor,
    evaluation,
    layers,
    losses,
    metrics,
    models,
    networks,
    noise,
    recipes,
    runs,
    schedules,
    serving,
    toys,
    tuning,
    verbs,
)
from tfgen._version import __version__  # noqa: E402
from tfgen.models import (  # noqa: E402
    AAE,
    ACGAN,
    BEGAN,
    DRAEM,
    EBGAN,
    GAN,
    VAE,
    AdversarialModel,
    AnomalyAutoencoder,
    AnomalyVAE,
    Autoencoder,
    CycleGAN,
    DeepSVDD,
    FAnoGAN,
    GANomaly,
    GenerativeModel,
    InfoGAN,
    Pix2Pix,
    ProGAN,
    RegionInpainter,
    SkipGANomaly,
    StackedAutoencoder,
    StackGAN,
    StagedGAN,
    StyleGAN,
)
from tfgen.serialization import serializable  # noqa: E402

if _COMMAND:
    signal.signal(signal.SIGINT, signal.default_int_handler)

__all__ = ["AAE", "ACGAN", "AdversarialModel", "AnomalyAutoencoder", "AnomalyVAE", "Autoencoder", "BEGAN", "CycleGAN",
           "DRAEM", "DeepSVDD", "EBGAN", "FAnoGAN", "GAN", "GANomaly", "GenerativeModel", "InfoGAN", "Pix2Pix", "ProGAN",
           "RegionInpainter", "SkipGANomaly", "StackGAN", "StackedAutoencoder", "StagedGAN", "StyleGAN", "VAE",
           "__version__", "data", "detection", "distributions", "doctor", "evaluation", "layers", "losses", "metrics",
           "models", "networks", "noise", "recipes", "runs", "schedules", "serializable", "serving", "toys", "tuning",
           "verbs"]
