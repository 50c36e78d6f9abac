import dataclasses
import importlib.util
import io
import sys

import keras
import numpy as np
import pytest

import tfgen
from benchmarks import bench, jobs, machine, timing
from tfgen import data, files, networks, recipes
from tfgen.errors import Failure
from tfgen.figures import headlines, records

FAST = ["bench-vae", "bench-denoising", "bench-dcgan", "bench-wgan-gp", "bench-pix2pix-32", "bench-cyclegan-32",
        "bench-contractive-one-layer", "bench-contractive-deep", "bench-doubling", "bench-rectifier", "bench-realnvp",
        "bench-gated-pixelcnn",
        "bench-sampling-gated-pixelcnn", "bench-sampling-image-transformer", "bench-vqvae", "bench-bfloat16-vae",
        "bench-edm"]
RATIOS = {"contractive": "ours_over_naive", "sampling": "incremental_over_naive_sampler",
          "bfloat16": "bfloat16_over_float32", "doubling": "transposed_over_depth_2x2",
          "rectifier": "ending_over_keras_rectifier"}


def test_fast_run_has_a_job_of_every_kind():
    assert list(jobs.jobs(fast=True)) == [*FAST, "bench-edm-sampling"] and set(FAST) < set(jobs.jobs(fast=False))


@pytest.mark.rotating
@pytest.mark.parametrize("name", FAST)
def test_fast_run_checks_and_measures(name):
    made = bench.run(fast=True, only=[name])
    assert list(made) == [name]
    assert made[name][next((key for kind, key in RATIOS.items() if kind in name), "fit_over_bare")] > 0


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed (.[bench])")
@pytest.mark.parametrize("recipe", ["vae", "denoising"])
def test_check_finds_a_peer_with_another_loss(recipe, monkeypatch):
    import numpy as np

    from benchmarks import torch_loop

    model = recipes.find(recipe).model(jobs.SPEC)
    images = np.random.default_rng(1).random((3, 28, 28, 1), np.float32)
    jobs.check(recipe, model, images)
    loss = torch_loop.LOSSES[recipe]
    monkeypatch.setitem(torch_loop.LOSSES, recipe, lambda *given: 1.001 * loss(*given))
    with pytest.raises(AssertionError, match="torch against fit"):
        jobs.check(recipe, model, images)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed (.[bench])")
@pytest.mark.parametrize("recipe", ["dcgan", "wgan_gp"])
def test_check_finds_a_gan_with_another_loss(recipe, monkeypatch):
    from benchmarks import gan_loops

    loss = gan_loops.LOSSES[recipe]
    monkeypatch.setitem(gan_loops.LOSSES, recipe, lambda *scores: [1.01 * value for value in loss(*scores)])
    with pytest.raises(AssertionError, match="bare against fit"):
        jobs.adversarial(recipe, 10, 8)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed (.[bench])")
def test_check_finds_a_translation_with_another_loss(monkeypatch):
    from benchmarks import torch_translation

    monkeypatch.setattr(torch_translation, "L1", 1.01 * torch_translation.L1)
    with pytest.raises(AssertionError, match="torch against fit"):
        jobs.translation("pix2pix", 16, 1, 2, jobs.TINY["pix2pix"])


@pytest.mark.parametrize("recipe", ["realnvp", "gated_pixelcnn"])
def test_check_finds_an_explicit_density_with_another_loss(recipe, monkeypatch):
    from benchmarks import explicit, explicit_jobs

    loss = explicit.LOSSES[recipe]
    monkeypatch.setitem(explicit.LOSSES, recipe, lambda *given: 1.001 * loss(*given))
    with pytest.raises(AssertionError, match="bare against fit"):
        explicit_jobs.jobs(fast=True)[f"bench-{recipe.replace('_', '-')}"].make()


def test_check_finds_a_model_that_computes_in_float32():
    from benchmarks import precision

    model = precision.model_of("vae", "float32")
    with pytest.raises(AssertionError, match="float32"):
        precision.check({"float32": model, "bfloat16": model}, np.zeros((2, 28, 28, 1), np.float32))


def test_check_finds_codes_with_another_loss(monkeypatch):
    from benchmarks import codes

    loss = codes.loss
    monkeypatch.setattr(codes, "loss", lambda *given: 1.001 * loss(*given))
    with pytest.raises(AssertionError, match="bare against fit"):
        codes.jobs(fast=True)["bench-vqvae"].make()


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed (.[bench])")
def test_the_generators_step_in_pytorch_makes_no_gradients_of_the_critics_weights(monkeypatch):
    """As in all other variants: they would be thrown away."""
    from benchmarks import jobs, torch_gan

    twin = torch_gan.Twin("dcgan", recipes.find("dcgan").model(jobs.SPEC, filters=2))
    loss, seen = torch_gan.Twin.generator_loss, []

    def watched(self, critic, fake):
        seen.append([p.requires_grad for p in self.critic.parameters()])
        return loss(self, critic, fake)

    monkeypatch.setattr(torch_gan.Twin, "generator_loss", watched)
    twin.trainer(np.zeros((8, *jobs.SPEC.image_shape), np.float32), 4)()
    assert len(seen) == 2 and not any(map(any, seen)) and all(p.requires_grad for p in twin.critic.parameters())


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed (.[bench])")
@pytest.mark.parametrize("name, found", [("decay", "codebook of torch"), ("revive", "codebook of torch"),
                                         ("rate", "weights after a step of torch")])
def test_check_finds_codes_with_another_step(name, found, monkeypatch):
    from benchmarks import codes, torch_codes

    class Changed(torch_codes.Twin):
        def __init__(self, *given):
            super().__init__(*given)
            if name == "rate":
                self.optimizer.param_groups[0]["lr"] *= 1.01
            else:
                setattr(self.network.quantizer, name, 0.0)

    monkeypatch.setattr(torch_codes, "Twin", Changed)
    with pytest.raises(AssertionError, match=found):
        codes.jobs(fast=True)["bench-vqvae"].make()


def test_samplers_that_differ_are_found(monkeypatch):
    from benchmarks import pixel_sampling

    draw = pixel_sampling.autoregressive.naive
    monkeypatch.setattr(pixel_sampling.autoregressive, "naive", lambda *given, **options: 1.0 - draw(*given, **options))
    with pytest.raises(AssertionError, match="values differ between the samplers"):
        pixel_sampling.variants("gated_pixelcnn", fast=True, batch_size=2)


def test_streaming_beside_memory(tmp_path, monkeypatch):
    from benchmarks import streaming
    from tfgen.data import stores

    monkeypatch.setattr(stores, "SHARE", stores.SHARE)  # which the benchmark sets
    counts = {"large": 3, "small": 1}
    large, small = (streaming.make(tmp_path / name, copies, 16, (16, 16, 3)) for name, copies in counts.items())
    # Links take no room; each image of the large set is one of the small set.
    assert (large / "train-00002.npy").stat().st_nlink == 3
    stores.SHARE = 0.0
    images = [data.load(folder).images("train")[:] for folder in (large, small)]
    np.testing.assert_array_equal(images[0], np.concatenate([images[1]] * 3))
    found = streaming.speeds(large, small, 1, 2, 4)
    assert found["streamed_over_held"]["median"] > 0 and streaming.memory_of_process()["peak_resident_gb"] > 0.1


def test_once_between_calls_the_slow_variant_once():
    calls = []
    wall, cpu = timing.once_between({name: lambda name=name: calls.append(name) for name in "as"}, 5)
    assert "".join(calls) == "aaa" + "s" + "aaaa" and len(wall["a"]) == 5
    assert wall["s"] == [wall["s"][0]] * 5 and cpu["s"] == [cpu["s"][0]] * 5


def test_interleave_rotates_and_excludes_the_warm_up():
    calls = []
    wall, cpu = timing.interleave({name: lambda name=name: calls.append(name) for name in "abc"}, 3)
    assert "".join(calls) == "abc" + "abc" + "acb" + "cab"
    assert all(len(wall[name]) == len(cpu[name]) == 3 for name in "abc")


def test_speedup_is_the_median_of_the_ratios_within_rounds():
    seconds = {"ours": [1.0, 2.0, 10.0], "peer": [2.0, 6.0, 40.0]}
    assert timing.speedup(seconds, "ours", "peer") == {"median": 3.0, "min": 2.0, "max": 4.0}


def test_floating_point_operations_of_a_step_are_those_of_its_products():
    from benchmarks import limits

    keras.utils.set_random_seed(0)
    model = tfgen.Autoencoder(networks.mlp.encoder((8, 8, 1), [], 300), networks.mlp.decoder(300, [], (8, 8, 1)))
    model.compile("sgd")
    rows = 50
    # Forward, the gradient of both kernels, and that of the codes: two operations per multiply-add.
    products = 2 * rows * 64 * 300 * (2 + 2 + 1)
    assert products < limits.step_flops(model, np.zeros((rows, 8, 8, 1), np.float32)) < 1.1 * products
    for limit in (limits.matrix_product(1e6, side=32), limits.wide_convolution(1e6, rows=1, side=4, channels=8)):
        assert limit.flops == pytest.approx(1e6, rel=0.1) and np.isfinite(limit()).all()


@pytest.mark.rotating
def test_a_profile_names_the_operations_of_a_step():
    from benchmarks import profiles

    found = profiles.profile("vae", 1)
    assert sum(found["kinds"].values()) == pytest.approx(1.0, abs=0.01)
    assert next(iter(found["kinds"])) == "convolutions" and set(found["kinds"]) <= {*profiles.KINDS, profiles.REST}
    assert any("Conv2D" in name for name in found["operations"])
    # Its table in RESULTS.md has a column for each.
    assert set(headlines.KINDS_OF_OPERATIONS) == {*profiles.KINDS, profiles.REST}


def test_the_record_of_profiles_has_the_recipes_and_settings_of_today():
    from benchmarks import profiles

    record = files.read_json(records.RESULTS / "profiles.json")
    assert set(record["table"]) == set(profiles.RECIPES) and record["budget"] == {
        recipe: {"settings": values, "batch_size": rows} for recipe, (values, rows, _) in profiles.RECIPES.items()}


def worker(log, name, warming=0.0, works=""):
    """A command line as those of the benchmarks, without their imports."""
    return [sys.executable, "-c", f"import sys, time; time.sleep({warming}); log = open({str(log)!r}, 'ab', buffering=0); "
            f"log.write(b'warm {name} '); print(1, flush=True); "
            f"[({works or 0}, log.write(b'{name} '), print('[2]', flush=True)) for _ in iter(sys.stdin.readline, '')]"]


def test_rounds_begin_when_all_workers_are_warm(tmp_path):
    commands = {name: (worker(tmp_path / "log", name, warming), {}) for name, warming in (("a", 0.0), ("b", 0.5))}
    assert timing.in_turns(commands, 2) == {"a": [[2], [2]], "b": [[2], [2]]}
    assert (tmp_path / "log").read_text() == "warm a warm b a b b a "


def test_a_worker_that_dies_is_said_in_one_line(tmp_path):
    for command in (["false", "1"], worker(tmp_path / "log", "a", works="sys.exit(1)")):
        with pytest.raises(Failure, match=f"^expected an answer of `{command[0]} .*`, received none: it ended with code 1"
                                          ", run it to see why$"):
            timing.in_turns({"a": (command, {})}, 2)


def test_a_worker_answers_every_line_once_it_is_warm(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("\n\n"))
    timing.answering(lambda: {"a": 1.5})
    assert capsys.readouterr().out == '"warm"\n{"a": 1.5}\n{"a": 1.5}\n'


def test_the_widest_instructions_of_the_processor(monkeypatch):
    opened = []

    def found(lines):
        monkeypatch.setattr("builtins.open", lambda path: opened.append(path) or io.StringIO(lines))
        instructions = machine.instructions()
        monkeypatch.undo()
        return instructions

    assert found("processor : 0\nflags : fpu avx2 avx512f\nflags : amx_tile\n") == "AVX-512"
    assert found("flags : avx2 avx512f avx512_vnni\n") == "AVX512-VNNI" and found("flags : avx2\n") == "AVX2"
    assert found("flags : fpu\n") == found("Features : neon\n") == found("") == "unknown"
    assert set(opened) == {"/proc/cpuinfo"}
    assert machine.described(rows=3).keys() == {"device", "cores", "instructions", "rows"}


def test_records_of_narrow_vectors_stand_beside_those_of_wide_ones(monkeypatch):
    for kind, end in (("AVX2", "-avx2"), ("AMX", ""), ("unknown", "")):
        monkeypatch.setattr(machine, "instructions", lambda kind=kind: kind)
        assert machine.record_name("bench-dcgan", 2) == f"bench-dcgan-2-cores{end}"
        made = {machine.record_name(name) for name in (*jobs.jobs(False), "bench-cores", "bench-threads", "bench-onednn")}
        assert "bench-vae" + end in made and made <= set(headlines.HEADLINES)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["threads", "onednn"])
def test_settings_are_measured_in_turns(name):
    from benchmarks import settings

    labels = list(settings.COMPARISONS[name].settings)[:2]
    one = dataclasses.replace(settings.COMPARISONS[name], recipes={"vae": (16, 4)},
                              settings={label: settings.COMPARISONS[name].settings[label] for label in labels})
    values = settings.compare(one, 2)
    assert values[f"over_usual vae {labels[0]}"] == 1 and all(rate > 0 for rate in values.values())
    assert {f"images_per_s vae {label}" for label in labels} < set(values)


def test_kinds_of_operations_by_their_names():
    """Reductions are sums and means, arithmetic of two arrays is not; what is added up is added up once."""
    from benchmarks import profiles

    found = profiles.by_kind({"Conv2DBackpropFilterWithBias": 4.0, "Conv2D": 1.0, "Max": 1.5, "ArgMax": 0.5, "Maximum": 2.0,
                              "MaxPool": 0.25, "Mul": 1.0})
    assert found == {"convolutions": 5.0, profiles.REST: 3.0, "sums and means": 2.0, "slices, padding, layout": 0.25}


@pytest.mark.slow
@pytest.mark.parametrize("measured", ["tfgen", "torch", "operations"])
def test_cores_are_measured_in_turns(measured):
    from benchmarks import cores

    if measured == "torch":
        pytest.importorskip("torch")
    found = cores.measure("dcgan", measured, 1, cores=(1,))[1][0]
    if measured == "operations":
        assert max(found, key=found.get) == "convolutions" and set(found) <= set(headlines.KINDS_OF_OPERATIONS)
    else:
        assert found > 0


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed (.[bench])")
def test_a_critic_in_jax():
    from benchmarks import jax_loop
    from tfgen.networks import dcgan

    critic = dcgan.critic((8, 8, 1), filters=2, norm="layer")
    x = np.random.default_rng(0).random((3, 8, 8, 1), np.float32)
    apply, weights = jax_loop.function(critic)
    np.testing.assert_allclose(apply(weights, x), critic(x), atol=1e-5)


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed (.[bench])")
@pytest.mark.parametrize("recipe", ["vae", "denoising"])
def test_check_finds_a_loss_in_jax_that_differs(recipe, monkeypatch):
    from benchmarks import jax_loop

    images = np.random.default_rng(1).random((3, 28, 28, 1), np.float32)
    entropy = jax_loop.cross_entropy
    monkeypatch.setattr(jax_loop, "cross_entropy", lambda *given: 1.001 * entropy(*given))
    with pytest.raises(AssertionError, match="jax against fit"):
        jobs.check(recipe, recipes.find(recipe).model(jobs.SPEC), images)
