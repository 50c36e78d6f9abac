"""Callbacks that tell whether an adversarial training works: what is wrong, and what usually helps.

`Doctor` reads what every `AdversarialModel` reports; `classifier_modes` and `mixture_modes` make the functions with
which it counts the modes that the samples reach.
"""

import functools
import math
import pathlib

import keras
import numpy as np

from tfgen import files, metrics, plots, verbs
from tfgen.attempts import Attempts

CURES = {
    "saturated critic": "a lower critic_learning_rate, label smoothing, R1 or a gradient penalty, spectral normalisation",
    "vanishing gradient": "the non-saturating, hinge or Wasserstein objective in place of minimax; a weaker or penalised "
                          "critic; a learning rate that has not yet decayed",
    "collapsed modes": "a gradient penalty (wgan_gp) or spectral normalisation (sngan), larger batches, "
                       "MinibatchStdDev in the critic, a lower learning_rate",
    "low diversity": "a lower learning_rate, a larger latent_dim, MinibatchStdDev in the critic, a gradient penalty",
}


class Doctor(keras.callbacks.Callback):
    """Looks at an adversarial training at the end of every epoch; says, in a line each, what goes wrong.

    It reads the logs `critic_real`, `critic_fake` and `generator_gradient` and the model's `objective`; a model that
    does not report them is left alone, and so is an epoch whose logs are not finite. With a folder it writes there
    `critic.png`, the critic's readings of real and made images around the objective's equilibrium, and `doctor.txt`,
    the findings so far.

    What it finds:
        saturated critic: the critic tells real from made without effort, so its scores teach nothing. For an objective
            with equilibrium 1/2 (probabilities, least squares): D(x) > 1 - sure and D(G(z)) < sure, means over the
            epoch. With equilibrium 0 (hinge, Lipschitz): D(x) > margins and D(G(z)) < -margins. Other objectives bound
            no score, and a large difference is no fault there.
        vanishing gradient: the norm of the generator's gradient is below `fading` times that of the first epoch, or
            below `vanished`.
        collapsed modes: `modes` finds fewer than `fewest` of all.
        low diversity: the standard deviation of a pixel over samples, mean over pixels, is below `diversity`.

    Args:
        folder: where to write; None: only print and keep `findings`.
        modes: `model -> (found, all)`, counts evaluated every epoch, or None.
        rows: dictionaries of earlier epochs, as `callbacks.History` takes them, when resuming.
        sure: in (0, 0.5).
        margins: in units of the margin, > 1.
        fading, vanished: as above, >= 0.
        fewest: share in [0, 1].
        diversity: in the images' units, >= 0; by default a twentieth of what digits have. 0: never look.
        seeds: int (N,), of the samples whose diversity is measured.
        grace: epochs at the beginning about which nothing is said, >= 0: networks start with alike samples.
        echo: what a finding is handed to, once a kind and again whenever its measure has worsened by half.

    Attributes:
        findings: the lines so far.
    """

    def __init__(self, folder=None, modes=None, rows=(), sure=0.03, margins=3.0, fading=1e-3, vanished=1e-6, fewest=0.75,
                 diversity=0.01, seeds=range(64), grace=1, echo=print):
        super().__init__()
        self.folder = None if folder is None else pathlib.Path(folder)
        self.modes = modes
        self.sure, self.margins, self.fading, self.vanished = sure, margins, fading, vanished
        self.fewest, self.diversity, self.grace = fewest, diversity, grace
        self.seeds = np.asarray(seeds, np.int64)
        self.attempt = Attempts()
        self.echo = echo
        self.earlier = list(rows)
        self.rows, self.findings, self.worst = [], [], {}

    def on_train_begin(self, logs=None):
        self.live = verbs.Live(self.model) if callable(getattr(self.model, "sample", None)) else None
        # Earlier epochs are looked at once; their samples are gone.
        earlier, self.earlier = self.earlier, []
        for row in earlier:
            self.look(row["epoch"], row, self.diagnoses)

    def on_epoch_end(self, epoch, logs=None):
        self.attempt("doctor.txt and critic.png", self.examine, epoch, logs)

    def examine(self, epoch, logs):
        news = len(self.findings)
        if self.look(epoch + 1, logs or {}, lambda row: (*self.diagnoses(row), *self.look_at_samples())) and self.folder:
            self.write()
        for line in self.findings[news:]:
            self.echo(line)

    def look(self, epoch, logs, diagnoses):
        """Takes the logs of an epoch (from 1) to its findings; whether there was anything to look at."""
        row = {key: float(logs.get(key, math.nan)) for key in ("critic_real", "critic_fake", "generator_gradient")}
        if not all(map(math.isfinite, row.values())):
            return False
        self.rows.append(row)
        if epoch > self.grace:
            for kind, measure, seen in diagnoses(row):
                # Small measures are bad; one that is not yet half as bad again is not news.
                if measure <= 0.5 * self.worst.get(kind, math.inf):
                    self.worst[kind] = measure
                    self.findings.append(f"epoch {epoch}, {kind}: {seen}. What usually helps: {CURES[kind]}.")
        return True

    def diagnoses(self, row):
        """Yields (kind, measure that falls as it gets worse, what is seen)."""
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
        """As `diagnoses`, of what the model makes now."""
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
        extractor: `extractor(images)` gives (features, probabilities (N, K)), images float32 (N, H, W, C) in [0, 1].
        seeds: int (N,), of the samples.
        share: as for `metrics.Modes`: the share of the samples that a class must have to count as found.

    Returns:
        `model -> (found, K)`.
    """
    live = functools.lru_cache(1)(verbs.Live)

    def modes(model):
        probabilities = np.asarray(extractor(live(model)("sample", np.asarray(seeds, np.int64)))[1])
        return metrics.modes(probabilities, share)["modes"], probabilities.shape[1]

    return modes


def mixture_modes(mixture, seeds=range(2500), **options):
    """Counts the modes of a `toys.problems.Mixture` that a model of points reaches, for `Doctor(modes=…)`.

    Args:
        mixture: what the model was trained on.
        seeds: int (N,), of the samples.
        **options: of `Mixture.coverage`.

    Returns:
        `model -> (found, K)`.
    """
    live = functools.lru_cache(1)(verbs.Live)

    def modes(model):
        points = live(model)("sample", np.asarray(seeds, np.int64))
        return mixture.coverage(points, **options)["modes"], len(mixture.centres)

    return modes
