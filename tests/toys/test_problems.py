import time

import numpy as np
import pytest

from tfgen.errors import UserError
from tfgen.toys import problems, systems


def test_draws_have_the_mixture_s_statistics():
    mixture = problems.grid()
    points = mixture.draw(20000, 3)
    assert points.dtype == np.float32 and points.shape == (20000, 2)
    nearest = np.linalg.norm(points[:, None] - mixture.centres[None], axis=-1).argmin(1)
    counts = np.bincount(nearest, minlength=25)
    # Four standard deviations of a binomial count.
    assert np.abs(counts - 800).max() < 4 * np.sqrt(800 * 0.96)
    assert (points - mixture.centres[nearest]).std(0) == pytest.approx([0.05, 0.05], rel=0.02)
    assert points.std(0).mean() == pytest.approx(mixture.scale, rel=0.02) == pytest.approx(np.sqrt(8.0), rel=0.02)


def test_the_mixture_covers_itself():
    for mixture in (problems.ring(), problems.grid(), problems.ring(5, 2.0, 0.02)):
        found = mixture.coverage(mixture.draw(2500, 1))
        assert found["modes"] == len(mixture.centres)
        assert found["high_quality"] == pytest.approx(1 - np.exp(-4.5), abs=0.01)


def test_coverage_by_hand():
    mixture = problems.ToyMixture([[0, 0], [10, 0], [0, 10]], 1.0)
    points = [[0, 0], [0, 2.9], [1, 1], [2, 0], [10, 3.1], [9, 0], [5, 5], [np.nan, 0]]
    found = mixture.coverage(points)
    assert found["counts"].tolist() == [4, 1, 0] and found["modes"] == 2 and found["high_quality"] == 5 / 8
    assert mixture.coverage(points, share=0.5)["modes"] == 1
    assert mixture.coverage(points, radius=3.2)["counts"].tolist() == [4, 2, 0]
    assert mixture.coverage([[50.0, 50.0]]) | {"counts": None} == {"modes": 0, "high_quality": 0.0, "counts": None}


def test_batch_k_is_a_function_of_seed_and_k():
    mixture = problems.ring()
    first = [batch.numpy() for batch in mixture.stream(30, 4, chunk=2).take(5)]
    again = [batch.numpy() for batch in mixture.stream(30, 4, chunk=5).take(5)]
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(next(iter(mixture.stream(30, 4).skip(3))), first[3])
    np.testing.assert_array_equal(np.concatenate(first), mixture.draw(150, 4))
    assert first[0].shape == (30, 2) and mixture.stream(30, 4).element_spec.shape == (30, 2)
    assert np.abs(first[0] - next(iter(mixture.stream(30, 5)))).max() > 0.1


def test_rings_and_grids_lie_where_the_papers_have_them():
    ring, grid = problems.ring(), problems.grid()
    np.testing.assert_allclose(ring.centres[:3], [[1, 0], [np.sqrt(0.5)] * 2, [0, 1]], atol=1e-6)
    assert ring.sigma == 0.01 and grid.sigma == 0.05
    assert sorted(map(tuple, grid.centres.tolist())) == [(x, y) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)]


def test_slanted_faces_are_bright_on_the_main_diagonal():
    faces = problems.slanted_faces(500, 1)
    assert faces.shape == (500, 2, 2, 1) and faces.dtype == np.float32
    bright, dark = faces[:, [0, 1], [0, 1], 0], faces[:, [0, 1], [1, 0], 0]
    assert 0.75 <= bright.min() < 0.77 and 0.98 < bright.max() <= 1 and 0 <= dark.min() < 0.02 and 0.23 < dark.max() <= 0.25
    np.testing.assert_array_equal(faces[:10], problems.slanted_faces(10, 1))
    assert abs(np.corrcoef(faces.reshape(500, 4).T) - np.eye(4)).max() < 0.2


@pytest.mark.parametrize("wrong, message", [
    (lambda: problems.ToyMixture([[1, 2, 3]], 1.0), "centres"), (lambda: problems.ToyMixture([[1, 2]], 0.0), "sigma > 0"),
    (lambda: problems.ring().draw(3, -1), "seed expects"),
    (lambda: problems.ring().coverage(np.zeros((0, 2))), "coverage expects"),
])
def test_mistakes_are_told(wrong, message):
    with pytest.raises(UserError, match=message):
        wrong()


def test_minmax_steps_do_what_theory_says():
    lengths = [np.linalg.norm(path, axis=1) for path in problems.minmax_paths(100, 0.2).values()]
    out, around, ahead, optimistic, average = lengths
    # Simultaneous steps grow by sqrt(1 + rate^2) each; the cures come home.
    np.testing.assert_allclose(out, np.sqrt(2) * 1.04 ** (np.arange(101) / 2))
    assert 1.2 < around.min() and around.max() < 1.7
    assert max(ahead[-1], optimistic[-1], average[-1]) < 0.25


def test_a_training_keeps_the_samples_of_its_moments(monkeypatch):
    monkeypatch.setattr(systems, "STEPS_BETWEEN_SAMPLES", 2)
    model, kept = systems.train("gan", problems.ring(), 6, moments=[2], samples=5)
    assert {step: made.shape for step, made in kept.items()} == {2: (5, 2), 6: (5, 2)}
    assert int(model.optimizer.iterations) == 6


@pytest.mark.slow
@pytest.mark.parametrize("seed", [10, 11, 12])
@pytest.mark.parametrize("name", ["wgan_gp", "sngan"])
def test_the_grid_is_covered_within_two_cpu_minutes(name, seed):
    start = time.process_time()
    model, _ = systems.train(name, problems.grid(), seed=seed)
    busy = time.process_time() - start
    found = problems.grid().coverage(model.sample(np.arange(2500) + 10**6))
    assert found["modes"] >= 24 and found["high_quality"] >= 0.9 and busy < 120
