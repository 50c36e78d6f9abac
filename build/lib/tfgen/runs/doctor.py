"""Diagnosis of adversarial training: a callback that names common failures and their usual remedies.

`Doctor` reads the logs of any `AdversarialModel`; `classifier_modes` and `mixture_modes` build the functions with
which it counts the modes covered by the samples.
"""

import functools
import math
import pathlib

import keras
import numpy as np

from tfgen import files, metrics
from tfgen.attempts import Attempts
from tfgen.models.base.adversarial import AdversarialModel
from tfgen.pictures import plots
from tfgen.verbs.live import Live

CURES = {
    "saturated critic": "a lower critic_learning_rate, label smoothing, R1 or a gradient penalty, spectral normalisation",
    "vanishing gradient": "the non-saturating, hinge or Wasserstein objective in place of minimax; a weaker or penalised "
                          "critic; a learning rate that has not yet decayed",
    "collapsed modes": "a gradient penalty (wgan_gp) or spectral normalisation (sngan), larger batches, "
                       "MinibatchStdDev in the critic, a lower learning_rate",
    "low diversity": "a lower learning_rate, a larger latent_dim, MinibatchStdDev in the critic, a gradient penalty",
}


class Doctor(keras.callbacks.Callback):
    """Checks an adversarial training at the end of every epoch and reports each failure in one line.

    It reads the logs `critic_real`, `critic_fake` and `generator_gradient` and the model's `objective`. Epochs whose
    logs lack these values or are non-finite are skipped. With a folder it writes `critic.png`, the critic's mean
    outputs on real and generated images around the objective's equilibrium, and `doctor.txt`, all findings.

    Findings:
        saturated critic: the critic separates real from generated images completely, so that its scores carry no
            training signal. For an objective with equilibrium 1/2 (probabilities, least squares): D(x) > 1 - sure and
            D(G(z)) < sure, means over the epoch. With equilibrium 0 (hinge, Lipschitz): D(x) > margins and
            D(G(z)) < -margins. Not checked for other objectives, whose scores are unbounded.
        vanishing gradient: the norm of the generator's gradient is below `fading` times its value in the first epoch,
            or below `vanished`.
        collapsed modes: `modes` finds fewer than the fraction `fewest` of all modes.
        low diversity: the standard deviation over samples, averaged over pixels, is below `diversity`.

    Args:
        folder: output folder; None only prints and keeps `findings`.
        modes: function model -> (number of modes found, number of all modes), called every epoch, or None.
        rows: logs of earlier epochs as dictionaries, in the format of `callbacks.History`, when resuming.
        sure: threshold of a saturated critic for probabilities, in (0, 0.5).
        margins: threshold of a saturated critic in multiples of the margin, > 1.
        fading, vanished: relative and absolute threshold of the gradient norm, >= 0.
        fewest: minimum fraction of modes, in [0, 1].
        diversity: minimum standard deviation in units of the images, >= 0; the default is about 1/20 of the value for
            digits. 0 disables the check.
        seeds: int (N,), seeds of the samples whose diversity is measured.
        grace: number of initial epochs without findings, >= 0; untrained generators produce near-identical samples.
        echo: called with each new finding: the first of its kind, and again when its measure has halved since the last
            report.
        live: the verbs of the model, where others have traced them already; None traces them anew.

    Attributes:
        findings: list of all reported lines.
    """

    def __init__(self, folder=None, modes=None, rows=(), sure=0.03, margins=3.0, fading=1e-3, vanished=1e-6, fewest=0.75,
                 diversity=0.01, seeds=range(64), grace=1, echo=print, live=None):
        super().__init__()
        self.folder = None if folder is None else pathlib.Path(folder)
        self.modes = modes
        self.sure, self.margins, self.fading, self.vanished = sure, margins, fading, vanished
        self.fewest, self.diversity, self.grace = fewest, diversity, grace
        self.seeds = np.asarray(seeds, np.int64)
        self.attempt = Attempts()
        self.echo = echo
        self.traced = live
        self.earlier = list(rows)
        self.rows, self.findings, self.worst = [], [], {}

    def on_train_begin(self, logs=None):
        self.live = (self.traced or Live(self.model)) if callable(getattr(self.model, "sample", None)) else None
        # Earlier epochs are diagnosed from their logs only; their samples no longer exist.
        earlier, self.earlier = self.earlier, []
        for row in earlier:
            self.look(row["epoch"], row, self.diagnoses)

    def kept(self):
        """What a checkpoint keeps of it."""
        return {"rows": self.rows, "findings": self.findings, "worst": self.worst}

    def restore(self, kept):
        """Goes on from what a checkpoint has kept, samples of earlier epochs included."""
        self.rows, self.findings, self.worst = kept["rows"], kept["findings"], kept["worst"]
        self.earlier = []

    def on_epoch_end(self, epoch, logs=None):
        self.attempt("doctor.txt and critic.png", self.examine, epoch, logs)

    def examine(self, epoch, logs):
        news = len(self.findings)
        if self.look(epoch + 1, logs or {}, lambda row: (*self.diagnoses(row), *self.look_at_samples())) and self.folder:
            self.write()
        for line in self.findings[news:]:
            self.echo(line)

    def look(self, epoch, logs, diagnoses):
        """Adds findings for one epoch (counted from 1). Returns False if the logs lack the needed values."""
        row = {key: float(logs.get(key, math.nan)) for key in ("critic_real", "critic_fake", "generator_gradient")}
        if not all(map(math.isfinite, row.values())):
            return False
        self.rows.append(row)
        if epoch > self.grace:
            for kind, measure, seen in diagnoses(row):
                # Smaller is worse. Report again only if the measure fell to half of the last reported value.
                if measure <= 0.5 * self.worst.get(kind, math.inf):
                    self.worst[kind] = measure
                    self.findings.append(f"epoch {epoch}, {kind}: {seen}. What usually helps: {CURES[kind]}.")
        return True

    def diagnoses(self, row):
        """Yields (kind, measure, description) of each failure seen in the logs; a smaller measure is worse."""
        real, fake, gradient = row["critic_real"], row["critic_fake"], row["generator_gradient"]
        equilibrium = getattr(getattr(self.model, "objective", None), "equilibrium", None)
        seen = f"D(x) = {real:.3g} and D(G(z)) = {fake:.3g}, the critic can tell every image"
        if equilibrium == 0.5 and real > 1.0 - self.sure and fake < self.sure:
            yield "saturated critic", abs(1.0 - real) + abs(fake), seen
        if equilibrium == 0.0 and real > self.margins and fake < -self.margins:
            yield "saturated critic", 1.0 / (real - fake), f"{seen}, far beyond the margins of 1 and -1"
        first = self.rows[0]["generator_gradient"]
        if gradient < self.vanished or gradient < self.fading * first:
            yield "vanishing gradient", gradient, (f"the generator's gradient has norm {gradient:.3g}, "
                                                   f"{first:.3g} in the first epoch")

    def look_at_samples(self):
        """As `diagnoses`, from samples of the current model."""
        if self.modes:
            found, count = self.modes(self.model)
            if found < self.fewest * count:
                yield "collapsed modes", found, f"the samples reach {found} of {count} modes"
        if self.live and self.diversity:
            spread = float(np.mean(np.std(self.live("sample", self.seeds), axis=0)))
            if spread < self.diversity:
                yield "low diversity", spread, f"samples hardly differ, a pixel by {spread:.2g}"

    def write(self):
        """Writes `critic.png` and `doctor.txt`."""
        objective = getattr(self.model, "objective", None)
        equilibrium = getattr(objective, "equilibrium", None)
        plots.critic(self.folder / "critic.png", [row["critic_real"] for row in self.rows],
                        [row["critic_fake"] for row in self.rows], equilibrium,
                        f"the critic's readings ({type(objective).__name__})")
        files.write_text(self.folder / "doctor.txt", "\n".join(
            self.findings or [f"{len(self.rows)} epochs: nothing found"]) + "\n")


def classifier_modes(extractor, seeds=range(1000), share=None):
    """Counts the classes among a model's samples, for `Doctor(modes=…)`.

    Args:
        extractor: function images -> (features, probabilities (N, K)), images float32 (N, H, W, C) in [0, 1].
        seeds: int (N,), seeds of the samples.
        share: minimum fraction of the samples for a class to count as found, see `metrics.Modes`.

    Returns:
        Function model -> (number of classes found, K).
    """
    live = functools.lru_cache(1)(Live)

    def modes(model):
        probabilities = np.asarray(extractor(live(model)("sample", np.asarray(seeds, np.int64)))[1])
        return metrics.modes(probabilities, share)["modes"], probabilities.shape[1]

    return modes


def mixture_modes(mixture, seeds=range(2500), **options):
    """Counts the modes of a `toys.problems.ToyMixture` covered by a model of points, for `Doctor(modes=…)`.

    Args:
        mixture: the training distribution.
        seeds: int (N,), seeds of the samples.
        **options: keyword arguments of `ToyMixture.coverage`.

    Returns:
        Function model -> (number of modes found, K).
    """
    live = functools.lru_cache(1)(Live)

    def modes(model):
        points = live(model)("sample", np.asarray(seeds, np.int64))
        return mixture.coverage(points, **options)["modes"], len(mixture.centres)

    return modes


def doctor_of(model, out, rows, quality, attempt, live=None):
    """[`Doctor`] for an adversarial model, else []; it counts modes if the quality extractor predicts classes."""
    extractor = attempt("a feature extractor", quality[0].prepared) if quality and hasattr(model, "sample") else None
    modes = classifier_modes(extractor) if extractor is not None and extractor.num_classes else None
    return [Doctor(out, modes, rows, live=live)] if isinstance(model, AdversarialModel) else []
