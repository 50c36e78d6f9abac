"""The two base classes of models, and training in stages."""

from tfgen.models.base.adversarial import AdversarialModel
from tfgen.models.base.generative import GenerativeModel
from tfgen.models.base.stages import OptimizerStages, Stages

__all__ = ["AdversarialModel", "GenerativeModel", "OptimizerStages", "Stages"]
