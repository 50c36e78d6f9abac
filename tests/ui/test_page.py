"""The page without a browser: components of inputs and options, and what the events of each kind of tab give."""

import base64
import importlib.util
import io

import numpy as np
import pytest
from helpers import one_line
from PIL import Image

from tfgen.cli import lazy
from tfgen.verbs.table import FIELD_VERBS, KINDS, VERBS, Option, Text, verb_of

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("gradio") is None, reason="the extra 'ui' is not installed"),
    # In one process, so that the models are traced once, and gradio, which takes seconds, is imported there alone.
    pytest.mark.xdist_group("page"),
]


class Module(lazy.Lazy):
    """A module that is not imported when pytest asks what in this one are tests and fixtures."""

    __test__ = False

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return super().__getattr__(name)


gr, *modules = map(Module, ("gradio", *(f"tfgen.ui.{name}" for name in (
    "brush", "canvas", "controls", "found", "heat", "inputs", "looks", "outputs", "page", "plane", "sketch", "space",
    "wiring"))))
brush, canvas, controls, found, heat, inputs, looks, outputs, page, plane, sketch, space, wiring = modules


class Events:
    """The events of the tabs of a model."""

    def __init__(self, model, title):
        with gr.Blocks(analytics_enabled=False) as self.blocks:
            self.title, _, filled, verb = next(tab for tab in page.tabs_of(model.live) if tab[0] == title)
            with gr.Tab(title) as tab:
                filled(model, verb, tab.select)

    def __call__(self, output, *values, **given):
        """{label: value} of the event that shows `output`: of its values, or of the components' own but for those given."""
        event = next(one for one in self.blocks.fns.values() if output in [shown.label for shown in labelled(one.outputs)]
                     and not isinstance(one.outputs[0], gr.State))
        values = values or [given.get(getattr(one, "label", None), one.value) for one in event.inputs]
        made = event.fn(*values)
        return dict(zip([shown.label for shown in event.outputs], made if len(event.outputs) > 1 else [made], strict=True))


def labelled(components):
    return [one for one in components if getattr(one, "label", None)]


def test_every_kind_of_the_table_has_a_component():
    taken = {field.kind for verb in (*VERBS.values(), *FIELD_VERBS.values()) for field in verb.inputs}
    given = {verb.output.kind for verb in (*VERBS.values(), *FIELD_VERBS.values())}
    # Those have tabs of their own.
    assert taken - set(inputs.OF_KIND) == {"masks", "latents"} and given - set(outputs.OF_KIND) == {"maps"}
    assert set(inputs.OF_KIND) <= set(KINDS)


@pytest.mark.parametrize("option, kind, default, read", [
    (Option("float32", 6.0, 0.01, 6.0, "largest |z|"), "Slider", 6.0, 6.0),
    (Option("int64", 50, 1, 1000, "steps"), "Number", 50, 50),
    (Option("int64", 4, 1, 50, "visits"), "Slider", 4, 4),
    (Option("int64", 0, -1, 2**62, "seed"), "Number", 0, 0),
    (Option("int64", None, 0, 2, "class"), "Dropdown", "TURN", None),
    (Option("int64", None, 0, 999, "class"), "Dropdown", "TURN", None),
    # Of a server that tells no range.
    (Option("int64", None, -2**63, 2**63 - 1, ""), "Number", None, None),
    (Option("float32", None, -np.inf, np.inf, ""), "Number", 0, 0),
    (Text(("heun", "ddim"), 1, ("ddim",), "sampler"), "Dropdown", "ddim", "ddim")])
def test_components_of_options(option, kind, default, read):
    control = controls.of_option("an_option", option)
    component, = control.components
    default = controls.TURN if default == "TURN" else default
    assert isinstance(component, getattr(gr, kind)) and component.value == default and component.label == "An option"
    assert control.read(component.value) == read
    if kind == "Slider":
        assert (component.minimum, component.maximum) == (option.low, option.high)


def test_labels_have_the_names_of_classes():
    label = Option("int64", None, 0, 1, "class")
    choices = controls.of_option("label", label, ("cat", "dog")).components[0].choices
    assert choices == [("each in turn", controls.TURN), ("cat", 0), ("dog", 1)]
    assert controls.of_option("label", label, ("cat", "dog"), turn=False).components[0].value == 0
    made = {"label": controls.of_option("label", label), "steps": controls.of_option("steps", Option("int64", 5, 1, 9, ""))}
    assert controls.read_options(made, [controls.TURN, 7]) == {"steps": 7}


def test_samples_are_those_of_the_seed_and_the_class(model_of):
    model = model_of("cgan")
    events = Events(model, "Sample")
    given = {"Seed": 3, "Images": 6, "Label": 2}
    seeds = (3 << 32) + np.arange(6)
    wanted = looks.sheet(model.live("sample", seeds, label=2))
    assert np.array_equal(events("Images", **given)["Images"], wanted)
    assert not np.array_equal(events("Images", **given | {"Label": 1})["Images"], wanted)
    assert not np.array_equal(events("Images", **given | {"Seed": 4})["Images"], wanted)


def test_latent_explorer(model_of):
    model = model_of("vae", latent_dim=2)
    events, picture = Events(model, "Latents"), model.images()[0][0]
    here = events("Decoded", picture, 0, 0)["Decoded"]
    assert np.array_equal(here, looks.single(model.live("reconstruct", picture[None])[0]))
    moved = events("Decoded", picture, 0, 1.5)["Decoded"]
    second = space.Space(model).axes[1]
    wanted = model.live("decode", model.live("encode", picture[None]) + 1.5 * second)[0]
    assert np.array_equal(moved, looks.single(wanted)) and not np.array_equal(moved, here)
    strip = events("Interpolation", 5, 6)["Interpolation"]
    ends = looks.sheet(model.live("sample", [5, *[6] * 7]), 8)
    # The first and the last image of the strip are the samples of the two seeds.
    width = ends.shape[1] // 8
    assert np.array_equal(strip[:, :width], ends[:, :width]) and np.array_equal(strip[:, -width:], ends[:, -width:])


def test_principal_components_by_hand():
    class Codes(space.Space):
        encodes, codes, size, shape = True, (np.array([[3.0, 1], [-3, 1], [0, 2], [0, 0]]), None), 2, (2,)

        def __init__(self):
            pass

    mean, axes, deviations = Codes().principal
    np.testing.assert_allclose(mean, [0, 1])
    np.testing.assert_allclose(axes, [[1, 0], [0, 1]], atol=1e-12)
    np.testing.assert_allclose(deviations, [18**0.5 / 3**0.5, 2**0.5 / 3**0.5])
    np.testing.assert_allclose(Codes().moved(np.array([1.0, 1.0]), [1, 0]), [1 + 6**0.5, 1], rtol=1e-6)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_few_codes_have_as_many_axes_as_there_are_sliders(count):
    class Codes(space.Space):
        encodes, size, shape = True, 8, (8,)
        codes = np.random.default_rng(0).normal(size=(count, 8)).astype(np.float32), None

        def __init__(self):
            pass

    here, latent = Codes(), np.zeros(8, np.float32)
    for index, amounts in enumerate(np.eye(space.AXES)):
        moved = here.moved(latent, amounts)
        assert moved.shape == (8,) and np.linalg.norm(moved) > 0.1, index
    ground = plane.Plane(here)
    assert ground.latents(ground.grid()).shape == (plane.SIDE**2, 8) and np.isfinite(ground.low).all()


def test_noise_keeps_its_norm(model_of):
    found_space = space.Space(model_of("flow_matching"))
    latent = found_space.of_seeds([1])[0]
    assert found_space.axes.shape == (space.AXES, *latent.shape)
    moved = found_space.moved(latent, [2.0, -1.0])
    assert np.linalg.norm(moved) == pytest.approx(np.linalg.norm(latent), rel=1e-5) and not np.allclose(moved, latent)


def test_plane(model_of):
    model = model_of("vae", latent_dim=2)
    here = plane.Plane(space.Space(model))
    np.testing.assert_allclose(here.at((-0.5, plane.PIXELS - 0.5)), here.low)
    np.testing.assert_allclose(here.at((plane.PIXELS - 0.5, -0.5)), here.high)
    # The codes themselves lie where they are drawn; row 0 of the grid is at the top.
    np.testing.assert_allclose(here.latents(here.points), here.codes, atol=1e-5)
    points = here.grid()
    assert points[0, 1] > points[-1, 1] and points[0, 0] < points[-1, 0] and len(points) == plane.SIDE**2
    made = Events(model, "Plane")("Decoded", plane.CODES, [0.5, -1.0])
    assert np.array_equal(made["Decoded"], looks.single(model.live("decode", [[0.5, -1.0]])[0]))
    assert made["Click on a point"].shape == (plane.PIXELS, plane.PIXELS, 3)


def test_plane_of_wide_codes(model_of):
    here = plane.Plane(space.Space(model_of("autoencoder", latent_dim=4)))
    again = (here.latents(here.points) - here.origin) @ here.axes.T
    np.testing.assert_allclose(again, here.points, atol=1e-4)


def test_strokes_in_the_models_pixels():
    layer = np.zeros((32, 32, 4), np.uint8)
    layer[:, 16:] = (255, 0, 0, 255)
    strokes = canvas.of_layer(layer, (8, 8, 1))
    assert strokes.shape == (8, 8, 4) and canvas.of_layer(0 * layer, (8, 8, 1)) is None
    assert np.array_equal(canvas.covered(strokes, (8, 8)), np.arange(8)[None].repeat(8, 0) >= 4)
    # A colour stays what it is where strokes end.
    np.testing.assert_allclose(strokes[0, 3:, :3], np.tile([1.0, 0, 0], (5, 1)), atol=1e-2)
    assert not canvas.covered(None, (8, 8)).any()
    # A picture's address is read as the strokes' is.
    again = canvas.of_address(canvas.address(np.full((8, 8, 1), 0.6, np.float32)), (8, 8, 1))
    np.testing.assert_allclose(again, np.broadcast_to([0.6, 0.6, 0.6, 1.0], (8, 8, 4)), atol=1e-6)
    large, other = io.BytesIO(), io.BytesIO()
    Image.new("1", (2000, 2000)).save(large, "png")
    Image.new("L", canvas.size_of((8, 8, 1))).save(other, "bmp")
    for file, words in ((large, "of 400x400 pixels, as the canvas, received 2000x2000"), (other, "as a PNG file")):
        sent = canvas.PNG + base64.b64encode(file.getvalue()).decode()
        one_line([words, "load the page again"], canvas.of_address, sent, (8, 8, 1))
    one_line(["expected strokes as a PNG file", "load the page again"], canvas.of_address, "data:image/png;base64,xyz",
             (8, 8, 1))


def test_the_class_of_the_chosen_picture_is_where_the_options_begin(model_of):
    """Of blobs with the labels 0, 1, 2, 0, ...: the second and then one's own picture, whose class is not known."""
    model = model_of("conditional_vae")
    with gr.Blocks() as blocks:
        control = inputs.OF_KIND["images"](model, verb_of(model.live, "reconstruct"))
        made = controls.of_options(model, verb_of(model.live, "reconstruct"), control.label)
    assert control.label.value == 0 and made["label"].components[0].value == 0
    choose = next(one for one in blocks.fns.values() if one.outputs == [*control.components, control.label])
    picture, label = choose.fn(*[one.value for one in choose.inputs], gr.SelectData(None, {"index": 4, "value": None}))
    assert np.array_equal(picture, model.images()[0][4]) and label == 1
    follow = next(one for one in blocks.fns.values() if one.outputs == made["label"].components)
    assert follow.fn(2) == 2 and follow.fn(None) == gr.skip() == follow.fn(7)
    control.label.value = 2
    with gr.Blocks():
        again = controls.of_options(model, verb_of(model.live, "reconstruct"), control.label)
    assert again["label"].components[0].value == 2


def test_completion_keeps_what_is_not_painted(model_of):
    model = model_of("made")
    events, shape = Events(model, "Complete"), model.live.image_shape
    x = model.images()[0][0]
    painted = np.zeros((*shape[:2], 4), np.float32)
    painted[:, 6:] = 1.0
    options = [option.default for option in model.live.options["complete"].values()]
    made = events("Complete", x, "the lower half", painted, 1, 2, *options)["Complete"]
    masks = np.zeros((2, 8, 8), np.float32)
    masks[:, :4, :6] = 1.0
    wanted = model.live("complete", np.stack([x, x]), masks, (1 << 32) + np.arange(2))
    assert np.array_equal(made, looks.sheet(wanted, widest=560))
    assert not np.array_equal(made, events("Complete", x, "the lower half", painted, 2, 2, *options)["Complete"])
    assert not np.array_equal(made, events("Complete", x, "everything", painted, 1, 2, *options)["Complete"])


def test_spoiled_images():
    image, erased = np.full((4, 4, 1), 0.25, np.float32), np.eye(4, dtype=bool)
    made = brush.spoiled(image, erased, 0.1)
    assert (made[erased] == 0.5).all() and 0.05 < np.std(made[~erased] - 0.25) < 0.2
    assert np.array_equal(brush.spoiled(image, ~erased & erased, 0), image)


def test_reconstruction_of_what_is_left(model_of):
    model = model_of("denoising")
    events, x = Events(model, "Reconstruct"), model.images()[0][0]
    made = events("Reconstruction", x, None, 0.3)
    spoiled = brush.spoiled(x, np.zeros((8, 8), bool), 0.3)
    assert np.array_equal(made["Given"], looks.single(spoiled))
    assert np.array_equal(made["Reconstruction"], looks.single(model.live("reconstruct", spoiled[None])[0]))


def test_sketch_pad(model_of):
    model = model_of("pix2pix")
    events, x = Events(model, "Translate"), model.sources()[0]
    strokes = np.zeros((*x.shape[:2], 4), np.float32)
    options = [option.default for option in model.live.options["translate"].values()]
    before = events("Translate", x, None, *options)["Translate"]
    assert np.array_equal(before, looks.single(model.live("translate", x[None])[0], canvas.PIXELS))
    strokes[2:4, :, 0] = strokes[2:4, :, 3] = 1.0
    drawn = sketch.drawn_on(x, strokes, False)
    assert (drawn[2:4] == [1.0, 0, 0]).all() and np.array_equal(drawn[4:], x[4:])
    assert not np.array_equal(events("Translate", x, strokes, *options)["Translate"], before)


def test_sketched_lines_are_black_and_white():
    strokes = np.zeros((1, 3, 4), np.float32)
    strokes[0, :, :3], strokes[0, :, 3] = 0.9, (0.2, 0.5, 1.0)
    assert sketch.drawn_on(np.zeros((1, 3, 1), np.float32), strokes, True).ravel().tolist() == [0, 1, 1]


def test_heat_maps(model_of):
    model = model_of("ae_anomaly")
    events, x = Events(model, "Heat maps"), model.images()[0][0]
    heat_map = model.live("anomaly_map", x[None])[0]
    seen = {"map": heat_map, "image": x, "highest": float(heat_map.max()), "line": ""}
    label = "Pixels above the threshold"
    none = events(label, seen, float(heat_map.max()))[label]
    assert np.array_equal(none, looks.single(np.repeat(x, 3, -1)))
    some = events(label, seen, float(np.median(heat_map)))[label]
    coloured = (some.max(-1) - some.min(-1) > 0)[::52, ::52]
    assert np.array_equal(coloured, heat_map > np.median(heat_map))


def test_colours_begin_at_the_threshold():
    x, map_ = np.full((1, 3, 1), 0.5, np.float32), np.array([[1.0, 2.1, 4.0]])
    made = heat.coloured(x, map_, 2.0, 4.0)
    np.testing.assert_allclose(made[0, 0], 0.5)
    np.testing.assert_allclose(made[0, 2], 0.25 * 0.5 + 0.75 * np.array([1.0, 0, 0]), atol=1e-6)
    assert made[0, 1, 2] < 0.5


def test_codes_change_one_by_one(model_of):
    model = model_of("vqvae")
    events = Events(model, "Codes")
    codes = model.live("encode", model.images()[0][:1])[0].astype(np.int64)
    made = events("Decoded", codes)
    assert np.array_equal(made["Decoded"], looks.single(model.live("decode", codes[None])[0], 400))
    changed = codes.copy()
    changed.flat[0] = (codes.flat[0] + 1) % 8
    again = events("Decoded", changed)["Codes: click on one"]
    assert not np.array_equal(again, made["Codes: click on one"])
    assert looks.on_grid(np.arange(5)).tolist() == [[0, 1, 2], [3, 4, 0]]


def test_a_field_is_magnified(model_of):
    model = model_of("siren")
    verb = verb_of(model.live, "decode")
    with gr.Blocks():
        read = inputs.of_coordinates(model, verb).read
    grid = read(1, 1, 0, 0)
    assert grid.shape == (1, 64, 2) and grid.min() == -1 and grid.max() == 1
    near = read(4, 2, 0.5, -0.25)[0].reshape(16, 16, 2)
    np.testing.assert_allclose(near[0, 0], [0.25, -0.5])
    np.testing.assert_allclose(near[-1, -1], [0.75, 0.0])
    shown = Events(model, "Decode")("Signal", 1, 2, 0, 0)["Signal"]
    assert shown.shape == (560, 560, 3)


def test_a_camera_looks_at_the_origin():
    for around, above in ((0.3, 0.5), (4.0, -1.0)):
        pose = inputs.camera(around, above, 3.0)
        np.testing.assert_allclose(pose[:3, :3].T @ pose[:3, :3], np.eye(3), atol=1e-6)
        # The camera looks along its -z axis, from a distance of 3.
        np.testing.assert_allclose(pose[:3, 3] - 3.0 * pose[:3, 2], 0, atol=1e-6)
        assert np.linalg.det(pose[:3, :3]) == pytest.approx(1) and pose[2, 1] > 0


def test_values_are_ranked(model_of):
    model = model_of("ae_anomaly")
    made = Events(model, "Score")("Score, highest first", model.images()[0][3])["Score, highest first"]
    scores = [float(line.removesuffix(" *")) for _, line in made]
    assert scores == sorted(scores, reverse=True) and len(scores) == 13 and sum(" *" in line for _, line in made) == 1


def test_sheets_fit_the_page():
    for count, shape in ((64, (28, 28, 1)), (1, (8, 8, 3)), (16, (128, 64, 3)), (3, (300, 300, 1))):
        sheet = looks.sheet(np.zeros((count, *shape), np.float32))
        assert sheet.shape[1] <= max(looks.WIDEST, 3 * 300 + 10) and sheet.dtype == np.uint8
    assert looks.single(np.zeros((8, 8, 1), np.float32)).shape == (416, 416, 3)


def test_errors_are_one_line(capsys):
    def wrong():
        raise ValueError("first\nsecond")

    with pytest.raises(gr.Error) as caught:
        wiring.answered(wrong)()
    assert caught.value.message == "internal (ValueError): first second" and not caught.value.print_exception
    assert capsys.readouterr().err == "tfgen ui: internal (ValueError): first second\n"


def test_models_of_a_folder(tmp_path):
    for path in ("a/1/saved_model.pb", "b/run.json", "c/notes.txt", "d/2/nothing"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text("")
    assert list(found.find(tmp_path)) == ["a", "b", "d"]
    assert list(found.find(tmp_path / "a")) == ["a"] and list(found.find(tmp_path / "a" / "1")) == ["1"]
    assert found.find("http:/127.0.0.1:1/vae")["vae"].address == "http://127.0.0.1:1/vae"
    one_line(["tfgen export", str(tmp_path / "c")], found.find, tmp_path / "c")
    one_line(["tfgen export"], found.find, tmp_path / "missing")


def test_pictures_to_choose_from_without_the_data(model_of):
    """Those that an export has kept, unless samples of the model are more; of a run, samples."""
    model = found.Model("vae", None)
    model.live, model.about, model.data = model_of("vae").live, {}, None
    kept = np.stack([np.full((8, 8, 1), value, np.float32) for value in (0.0, 0.5, 1.0)])
    assert (model.images(2)[0] == model.live("sample", np.arange(2))).all() and model.pictures == {}
    model.images.cache_clear()
    model.pictures = {"images": kept, "labels": np.array([4, 2, 7]), "sources": kept[::-1]}
    images, labels = model.images(2)
    assert (images == kept[:2]).all() and labels.tolist() == [4, 2] and (model.sources(2) == kept[:0:-1]).all()
    assert len(model.images(5)[0]) == 5 and model.images(5)[1] is None


def test_own_pictures_are_read_as_training_data_is(model_of, tmp_path):
    from PIL import Image

    Image.fromarray(np.full((20, 12, 3), (255, 0, 0), np.uint8)).save(tmp_path / "red.png")
    model = model_of("pix2pix", title="edges", about={"data": {"pairs": "edges"}})
    assert sketch.pairing_of(model) == "edges"
    source, target = (model.read(tmp_path / "red.png", kind) for kind in ("sources", "images"))
    assert source.shape == (8, 8, 3) and np.allclose(source, [1, 0, 0]) and np.allclose(target, 76 / 255)
    assert not model.read_paired(tmp_path / "red.png", "edges").any()
    (tmp_path / "text.png").write_text("text")
    one_line(["text.png"], model.read, tmp_path / "text.png", "images")
