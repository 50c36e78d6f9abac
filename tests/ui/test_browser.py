"""The page in headless Chromium: every tab shows a picture that its control changes; no errors, nothing from other hosts."""

import importlib.util
import os
import urllib.parse

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("gradio") is None, reason="the extra 'ui' is not installed"),
    pytest.mark.skipif(importlib.util.find_spec("playwright") is None, reason="the extra 'ui-test' is not installed"),
]
# Milliseconds: functions are traced when they are first called.
PATIENCE = int(os.environ.get("TFGEN_PATIENCE", 60)) * 1000


@pytest.fixture(scope="module")
def address(model_of):
    """The URL of a page of tiny models, one for each kind of tab."""
    from tfgen.ui import page

    models = [model_of("cgan"), model_of("vae", latent_dim=2), model_of("pix2pix"), model_of("made"),
              model_of("ae_anomaly"), model_of("vqvae"), model_of("siren")]
    shown, url = page.start({model.name: model for model in models})
    yield url
    shown.close(verbose=False)


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright

    from benchmarks.screenshots import CHROMIUM, FLAGS

    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Tab:
    """A tab of a model in the browser.

    Attributes:
        page: Playwright's page.
        errors: lines of the console that are errors.
        hosts: hosts that were asked for something.
    """

    def __init__(self, browser, url):
        self.page, self.errors, self.hosts = browser.new_page(viewport={"width": 1280, "height": 900}), [], set()
        self.page.set_default_timeout(PATIENCE)
        self.page.on("console", lambda line: self.errors.append(line.text) if line.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.hosts.add(urllib.parse.urlsplit(request.url).hostname))
        self.page.goto(url)

    def open(self, model, title):
        self.page.get_by_role("tab", name=model, exact=True).click()
        self.visible("button[role=tab]", has_text=title).last.click()
        self.visible(".picture img, .ranked img").first.wait_for()

    def visible(self, selector, **settings):
        return self.page.locator(selector, **settings).locator("visible=true")

    def pictures(self):
        """Addresses of all visible pictures of outputs; they are names of their content."""
        return [one.get_attribute("src") for one in self.visible(".picture img, .ranked img").all()]

    def changes(self, act):
        """Whether the pictures of the tab change after `act`."""
        before = self.settled()
        act()
        for _ in range(PATIENCE // 250):
            self.page.wait_for_timeout(250)
            if (now := self.pictures()) and now != before:
                return True
        return False

    def settled(self):
        """The pictures, once they no longer change."""
        last = None
        while (now := self.pictures()) != last or not now:
            last = now
            self.page.wait_for_timeout(1000)
        return now

    def field(self, label):
        return self.visible("input[type=number]").and_(self.page.get_by_label(label))

    def draw(self, start=(0.3, 0.3), end=(0.7, 0.6)):
        """A stroke on the canvas, from and to shares of its sides."""
        self.visible(".canvas canvas").first.scroll_into_view_if_needed()
        box = self.visible(".canvas canvas").first.bounding_box()
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        self.page.mouse.move(*places[1], steps=8)
        self.page.mouse.up()


@pytest.fixture
def tab(chromium, address):
    made = Tab(chromium, address)
    yield made
    errors, hosts = made.errors, made.hosts
    made.page.close()
    assert not errors and hosts <= {"127.0.0.1", None, ""}


def set_number(tab, label, value):
    field = tab.field(label).first
    field.fill(str(value))
    field.press("Enter")


def test_samples(tab):
    tab.open("cgan", "Sample")
    assert tab.changes(lambda: set_number(tab, "Seed", 7))
    assert tab.changes(lambda: set_number(tab, "Images", 5))
    assert tab.changes(lambda: tab.visible("button", has_text="New seed").click())

    def choose():
        tab.page.get_by_label("Label").locator("visible=true").first.click()
        tab.page.get_by_role("option", name="2", exact=True).click()

    assert tab.changes(choose)


def test_latents_and_plane(tab):
    tab.open("vae", "Latents")
    assert tab.changes(lambda: set_number(tab, "Component 1", 2))
    assert tab.changes(lambda: set_number(tab, "To seed", 9))
    assert tab.changes(lambda: tab.visible(".strip .thumbnail-lg").nth(3).click())
    tab.open("vae", "Plane")
    assert tab.changes(lambda: tab.visible("#plane img").click(position={"x": 120, "y": 150}))
    assert tab.changes(lambda: tab.visible("label", has_text="what points decode to").last.click())


def test_noise_and_brush(tab):
    tab.open("vae", "Reconstruct")
    assert tab.changes(lambda: set_number(tab, "Noise", 0.5))
    assert tab.changes(tab.draw)


def test_encode_and_values(tab):
    tab.open("vae", "Encode")
    assert tab.changes(lambda: tab.visible(".strip .thumbnail-lg").nth(4).click())
    tab.open("vae", "Log prob")
    assert tab.changes(lambda: tab.visible(".strip .thumbnail-lg").nth(4).click())


def test_sketch_pad_and_own_picture(tab, tmp_path):
    from PIL import Image

    tab.open("pix2pix", "Translate")
    assert tab.changes(lambda: tab.visible("button", has_text="Blank sheet").click())
    assert tab.changes(tab.draw)
    Image.new("RGB", (40, 30), (200, 30, 90)).save(tmp_path / "own.png")
    assert tab.changes(lambda: tab.page.locator("input[type=file]").first.set_input_files(tmp_path / "own.png"))


def test_completion(tab):
    tab.open("made", "Complete")
    assert tab.changes(lambda: set_number(tab, "Seed", 5))
    asked = []
    tab.page.on("request", lambda request: asked.append(request.url) if request.method == "POST" else None)
    assert tab.changes(lambda: tab.draw((0.2, 0.1), (0.8, 0.2)))
    # A stroke is sent once, and answered once.
    assert [urllib.parse.urlsplit(url).path.rpartition("/")[2] for url in asked] == ["join", "join"]
    assert tab.changes(lambda: tab.visible("button", has_text="Undo").click())


def test_heat_maps(tab):
    tab.open("ae_anomaly", "Heat maps")
    assert tab.changes(lambda: set_number(tab, "Threshold", 0))
    assert tab.changes(lambda: tab.visible(".strip .thumbnail-lg").nth(2).click())


def test_codes_and_fields(tab):
    tab.open("vqvae", "Codes")
    set_number(tab, "Code", 3)
    assert tab.changes(lambda: tab.visible("#codes img").click(position={"x": 30, "y": 30}))
    tab.open("siren", "Decode")
    assert tab.changes(lambda: set_number(tab, "Zoom", 3))


def test_a_wrong_file_is_one_line_on_the_page(tab, tmp_path):
    (tmp_path / "text.png").write_text("text")
    tab.open("vae", "Encode")
    tab.page.locator("input[type=file]").first.set_input_files(tmp_path / "text.png")
    said = tab.visible(".toast-body").first
    said.wait_for()
    assert "text.png" in said.inner_text() and "Traceback" not in said.inner_text()
