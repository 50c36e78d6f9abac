"""What OpenAI's code of diffusion models gives for a made-up network, and the command that computes it.

    python -m venv authors && authors/bin/pip install torch==2.13.0 numpy scipy
    authors/bin/pip install --no-deps guided-diffusion-sdk==1.0.0         # holds their package `guided_diffusion`
    authors/bin/python tests/references/of_guided_diffusion.py            # writes of_guided_diffusion.json beside this file

They have published no package themselves: it stays out of the extras, and the tests read the file.
"""

import json
import math
import pathlib

import numpy as np

KNOWN = pathlib.Path(__file__).with_suffix(".json")
SHAPE, ROWS, COUNT = (2, 3, 2), 3, 24
SCHEDULES, PREDICTIONS = ("linear", "cosine"), ("EPSILON", "START_X")
VARIANCES = ("FIXED_SMALL", "FIXED_LARGE", "LEARNED_RANGE")
# Steps of the chain of each row in a loss; (step, weight) of guidance; seed of each part.
CHOSEN, GUIDED = (2, 11, 23), ((2, 1.0), (12, 4.0), (23, 10.0))
TERMS, LOSSES, SAMPLES, GUIDANCE = range(4)
# (schedule, variance, steps of the sampler, sampler).
WAYS = [*((schedule, variance, 9, "ancestral") for schedule in SCHEDULES for variance in VARIANCES),
        ("linear", "FIXED_LARGE", COUNT, "ancestral"), ("cosine", "FIXED_LARGE", 9, "ddim")]


def images(seed):
    """Images on 256 grey levels in [-1, 1], with both ends."""
    x = np.round(np.random.default_rng(seed).uniform(size=(ROWS, *SHAPE)) * 255.0) / 127.5 - 1.0
    x[0, 0, 0] = (-1.0, 1.0)
    return x.astype("float32")


def noises(seed, count):
    return np.random.default_rng([seed, 1]).normal(size=(count, ROWS, *SHAPE)).astype("float32")


def prediction(x, level, tanh):
    """Of shrunk images (B, H, W, C) at levels ln(sigma) / 4, (B, 1, 1, 1); `tanh` is the library's."""
    return x + 0.1 * tanh(2.0 * x + level)


def mix(x, level, tanh):
    """Of a learned variance, as the network gives it, in [-1, 1]."""
    return tanh(level - 0.5 * x)


def logits(x, tanh):
    """A classifier's, of two classes, (B, C) from images (B, H, W, C): the class is the brighter channel."""
    return 3.0 * tanh(x).sum((1, 2))


def main():
    import importlib.metadata

    import torch
    from guided_diffusion import gaussian_diffusion as authors
    from guided_diffusion import respace

    def first(x):
        return torch.tensor(np.moveaxis(x, -1, 1).copy())

    def last(x):
        return [float(f"{value:.7g}") for value in x.detach().movedim(1, -1).flatten().tolist()]

    def diffusion(schedule, predicted, variance, steps=COUNT):
        return respace.SpacedDiffusion(
            respace.space_timesteps(COUNT, [steps]), betas=authors.get_named_beta_schedule(schedule, COUNT),
            model_mean_type=authors.ModelMeanType[predicted], model_var_type=authors.ModelVarType[variance],
            loss_type=authors.LossType.RESCALED_MSE)

    def model(schedule, variance):
        kept = np.cumprod(1.0 - authors.get_named_beta_schedule(schedule, COUNT))
        levels = torch.tensor(0.125 * np.log((1.0 - kept) / kept), dtype=torch.float32)

        def network(x, t, **_):
            level = levels[t][:, None, None, None]
            made = prediction(x, level, torch.tanh)
            return made if variance != "LEARNED_RANGE" else torch.cat([made, mix(x, level, torch.tanh)], 1)
        return network

    known = {"betas": {schedule: authors.get_named_beta_schedule(schedule, COUNT).tolist() for schedule in SCHEDULES},
             "steps": {count: sorted(respace.space_timesteps(1000, [count])) for count in (2, 7, 25, 100)},
             "terms": {}, "prior": {}, "losses": {}, "samples": [], "guided": []}
    bits = math.prod(SHAPE) * math.log(2.0)
    for schedule in SCHEDULES:
        for predicted in PREDICTIONS:
            for variance in VARIANCES:
                of, network = diffusion(schedule, predicted, variance), model(schedule, variance)
                name, x = f"{schedule} {predicted} {variance}", first(images(TERMS))
                terms = []
                for step, noise in enumerate(noises(TERMS, COUNT)):
                    t = torch.full((ROWS,), step)
                    found = of._vb_terms_bpd(network, x, of.q_sample(x, t, first(noise)), t, clip_denoised=True)
                    terms.append((bits * found["output"]).tolist())
                known["terms"][name], known["prior"][schedule] = terms, (bits * of._prior_bpd(x)).tolist()
                x, t, noise = first(images(LOSSES)), torch.tensor(CHOSEN), first(noises(LOSSES, 1)[0])
                made = network(of.q_sample(x, t, noise), t).requires_grad_()
                found = of.training_losses(lambda *_, made=made, **__: made, x, t, noise=noise)
                found["loss"].mean().backward()
                known["losses"][name] = {"loss": found["loss"].mean().item(), "gradient": last(made.grad)} | (
                    {"bound": 1000.0 * found["vb"].mean().item()} if "vb" in found else {})
    for schedule, variance, steps, sampler in WAYS:
        of, network = diffusion(schedule, "EPSILON", variance, steps), model(schedule, variance)
        start, *given = noises(SAMPLES, COUNT + 1)
        queue, usual, x = iter(given), torch.randn_like, first(start)
        torch.randn_like = lambda _, queue=queue: first(next(queue))
        for step in range(steps)[::-1]:
            call = of.p_sample if sampler == "ancestral" else of.ddim_sample
            x = call(network, x, torch.full((ROWS,), step), clip_denoised=True)["sample"]
        torch.randn_like = usual
        known["samples"].append(last(x))
    of, network, labels = diffusion("linear", "EPSILON", "FIXED_LARGE"), model("linear", "FIXED_LARGE"), [0, 1, 1]
    for (step, weight), noise in zip(GUIDED, noises(GUIDANCE, len(GUIDED))):
        t = torch.full((ROWS,), step)
        x = of.q_sample(first(images(GUIDANCE)), t, first(noise))

        def gradient(x, t, weight=weight, **_):
            x = x.detach().requires_grad_()
            found = torch.log_softmax(logits(x.movedim(1, -1), torch.tanh), 1)[range(ROWS), labels].sum()
            return weight * torch.autograd.grad(found, x)[0]

        plain = of.p_mean_variance(network, x, t, clip_denoised=False)
        known["guided"].append(last(of.condition_score(gradient, plain, x, t, model_kwargs={})["pred_xstart"]))
    known["versions"] = {name: importlib.metadata.version(name) for name in ("guided-diffusion-sdk", "torch", "numpy")}
    KNOWN.write_text(json.dumps(known) + "\n")


if __name__ == "__main__":
    main()
