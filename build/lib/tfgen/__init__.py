"""tfgen: deep generative models in Keras, trained with `fit`, tuned with KerasTuner, exported as SavedModels."""

import os
import sys

from tfgen import _start
from tfgen._version import __version__

_start.check_backend(sys.modules["keras"].config.backend() if "keras" in sys.modules else
                     os.environ.get("KERAS_BACKEND") or "tensorflow")
# The command imports what it needs when it needs it, so that help and mistyped names are answered at once.
if not _start.COMMAND:
    _start.libraries()
    # Eager imports: a .keras file loads only classes that are registered.
    from tfgen import (
        coordinates,
        data,
        detection,
        distributions,
        evaluation,
        figures,
        latent,
        layers,
        losses,
        metrics,
        models,
        networks,
        noise,
        optimizers,
        pictures,
        recipes,
        runs,
        samplers,
        schedules,
        serving,
        toys,
        verbs,
    )
    from tfgen.models import (
        AAE,
        ACGAN,
        BEGAN,
        DALLE,
        DRAEM,
        EBGAN,
        GAN,
        GON,
        VAE,
        VQGAN,
        VQVAE,
        AdversarialModel,
        AnomalyAutoencoder,
        AnomalyVAE,
        Autoencoder,
        AutoguidedDiffusion,
        Autoregressive,
        CodePrior,
        CycleGAN,
        DeepSVDD,
        Diffusion,
        DiscreteDiffusion,
        FAnoGAN,
        Field,
        Flow,
        GANomaly,
        GenerativeModel,
        GuidedDiffusion,
        HierarchicalVAE,
        InfoGAN,
        MaskEnsemble,
        NeRF,
        PaDiM,
        Pix2Pix,
        ProGAN,
        RegionInpainter,
        SkipGANomaly,
        StackedAutoencoder,
        StackGAN,
        StagedGAN,
        StyleGAN,
    )
    from tfgen.runs import doctor, tuning
    from tfgen.serialization import serializable

__all__ = ["AAE", "ACGAN", "AdversarialModel", "AnomalyAutoencoder", "AnomalyVAE", "Autoencoder", "AutoguidedDiffusion",
           "Autoregressive", "BEGAN", "CodePrior", "CycleGAN", "DALLE", "DRAEM", "DeepSVDD", "Diffusion",
           "DiscreteDiffusion", "EBGAN", "FAnoGAN", "Field", "Flow", "GAN", "GANomaly", "GON", "GenerativeModel",
           "GuidedDiffusion", "HierarchicalVAE", "InfoGAN", "MaskEnsemble", "NeRF", "PaDiM", "Pix2Pix", "ProGAN",
           "RegionInpainter", "SkipGANomaly", "StackGAN", "StackedAutoencoder", "StagedGAN", "StyleGAN", "VAE", "VQGAN",
           "VQVAE", "__version__", "coordinates", "data", "detection", "distributions", "doctor", "evaluation", "figures",
           "latent", "layers", "losses", "metrics", "models", "networks", "noise", "optimizers", "pictures", "recipes",
           "runs", "samplers", "schedules", "serializable", "serving", "toys", "tuning", "verbs"]
