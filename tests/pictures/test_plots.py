"""Plots: sizes, gaps, colours, and what they refuse."""

import warnings

import numpy as np
import pytest
from PIL import Image

from tfgen import pictures
from tfgen.errors import UserError
from tfgen.pictures import plots, scatter


def pixels(path):
    return np.asarray(Image.open(path))


@pytest.mark.rotating
@pytest.mark.parametrize("history, size", [
    ({"loss": [1.0]}, (4.8, 3.2)),
    ({"loss": [3.0, 2.0, float("nan"), 1.0], "val_loss": [2.5], "kl": [float("nan")] * 4, "val_only": [None, 1]},
     (12.0, 3.2)),
    ({name: np.linspace(1, 0, 200) for name in "abcd"}, (12.0, 5.9)),
    ({name: np.linspace(30, 0, 20) for name in ("loss", "kl", *(f"kl_{layer}" for layer in range(1, 13)))}, (12.0, 3.2)),
])
def test_curves_tolerates_gaps(tmp_path, history, size):
    plots.curves(tmp_path / "x.png", history)
    picture = pixels(tmp_path / "x.png")
    assert np.abs(np.array(picture.shape[1::-1]) - np.array(size) * 110).max() <= 1
    assert len(np.unique(picture.reshape(-1, picture.shape[-1]), axis=0)) > 10


def test_a_png_file_is_what_matplotlib_would_save(tmp_path):
    """It is written in one drawing less."""
    for name in ("ours", "theirs"):
        figure = plots.new_figure(3.0, 2.0)
        axes = figure.add_subplot()
        axes.plot([1.0, 1000.0], label="one")
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        if name == "ours":
            plots.write_figure(tmp_path / "ours.png", figure)
        else:
            figure.savefig(tmp_path / "theirs.png", dpi=figure.dpi)
    np.testing.assert_array_equal(pixels(tmp_path / "ours.png"), pixels(tmp_path / "theirs.png"))


def test_numbered_quantities_share_a_panel():
    names = ["loss", "kl_1", "val_loss", "kl_2", "val_kl_1", "val_kl_2", "critic_1", "depth_2", "depth_3"]
    shown = plots.panels_of(dict.fromkeys(names))
    assert list(shown) == ["loss", "kl_1 to kl_2, validation", "critic_1", "depth_2", "depth_3"]
    assert [row[:2] for row in shown["kl_1 to kl_2, validation"]] == [("1", "val_kl_1"), ("2", "val_kl_2")]
    assert list(plots.panels_of({"kl_1": [0], "kl_2": [0]})) == ["kl_1 to kl_2, train"]


@pytest.mark.parametrize("history", [{}, {"loss": []}, {"loss": ["a"]}])
def test_curves_says_what_it_expects(tmp_path, history):
    with pytest.raises(UserError, match="curves expects"):
        plots.curves(tmp_path / "x.png", history)


def test_names_that_the_font_or_the_encoding_lacks_are_drawn_all_the_same(tmp_path):
    names = ["caf\udce9", "日本語", "a$b$", "العربية"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scatter.scatter(tmp_path / "a.png", np.eye(4)[:, :2], np.arange(4), names, title="caf\udce9")
        plots.table(tmp_path / "b.png", names, names, np.eye(4), "日本\udce9")
        plots.curves(tmp_path / "c.png", {name: [1.0] for name in names})
        pictures.save_rows(tmp_path / "d.png", {name: np.zeros((2, 8, 8, 1)) for name in names})
    assert len(list(tmp_path.iterdir())) == 4


def test_values_between_gaps_are_marked():
    nan = float("nan")
    assert plots._marked(np.array([1, nan, 2, 3, nan, 4] + [nan] * 40)) == [0, 5]
    assert plots._marked(np.array([1.0, 2.0])) == [0, 1]


@pytest.mark.parametrize("classes, options, width", [
    (0, {}, 7.2), (10, {"circle": True, "title": "$5 codes", "class_names": ("zero", "x" * 40)}, 6.55 + 0.085 * 24),
    (5, {"class_names": ("a$b$c",)}, 6.55 + 0.085 * 7), (30, {}, 6.9 + 0.085 * 4), (60, {}, 6.55 + 0.085 * 2)])
def test_scatter_is_drawn(tmp_path, classes, options, width):
    points = np.random.default_rng(0).normal(size=(500, 2))
    points[7] = np.nan
    scatter.scatter(tmp_path / "x.png", points, np.arange(500) % classes if classes else None, **options)
    assert np.abs(np.array(pixels(tmp_path / "x.png").shape[:2]) - (616, 110 * width)).max() <= 1


def test_scatter_keeps_a_class_s_colour():
    np.testing.assert_array_equal(scatter._class_colours(np.array([3, 7]))[1],
                                  scatter._class_colours(np.arange(10))[7])
    for count in (10, 20, 40):
        assert len(np.unique(scatter._class_colours(np.arange(count)), axis=0)) == count


@pytest.mark.parametrize("points, labels, message", [
    (np.zeros((4, 3)), None, "project wider codes"), (np.zeros((4, 2)), [0, 1], "one label for each"),
    (np.full((4, 2), np.nan), None, "did training diverge")])
def test_scatter_says_what_it_expects(tmp_path, points, labels, message):
    with pytest.raises(UserError, match=message):
        scatter.scatter(tmp_path / "x.png", points, labels)


@pytest.mark.parametrize("equilibrium", [None, 0.5, 0.0])
@pytest.mark.parametrize("epochs", [1, 50])
def test_critic_draws_readings_around_the_equilibrium(tmp_path, equilibrium, epochs):
    real, fake = np.linspace(4, 0, epochs), np.linspace(-3, 0, epochs)
    plots.critic(tmp_path / "c.png", real, fake, equilibrium)
    assert pixels(tmp_path / "c.png").std() > 5


def test_critic_says_what_it_expects(tmp_path):
    with pytest.raises(UserError, match="at least one epoch"):
        plots.critic(tmp_path / "c.png", [], [])


def test_planes_and_paths_are_drawn(tmp_path):
    points = np.random.default_rng(0).random((50, 2), np.float32)
    scatter.planes(tmp_path / "planes.png", {"a": [("one", points), ("two", points)], "b": [("three", points)]}, points)
    scatter.paths(tmp_path / "paths.png", {"one": points, "other": points[:3]}, "ways", 2.0)
    assert all(pixels(tmp_path / f"{name}.png").std() > 5 for name in ("planes", "paths"))


def test_a_table_has_a_cell_a_value_and_says_what_it_expects(tmp_path):
    plots.table(tmp_path / "x.png", ["a", "b"], ["one", "two", "three"], [[1, 2, 3], [4, float("nan"), 6]], "t")
    picture = pixels(tmp_path / "x.png")
    assert picture.shape[1] > picture.shape[0] > 100 and len(np.unique(picture.reshape(-1, picture.shape[-1]), axis=0)) > 10
    with pytest.raises(UserError, match=r"expects values \(1, 2\), one per row and column, received \(1, 1\)"):
        plots.table(tmp_path / "x.png", ["a"], ["b", "c"], [[1]])
