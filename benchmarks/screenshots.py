"""Screenshots of `tfgen ui` for the README, in headless Chromium.

    python -m benchmarks.screenshots saved_models --to docs/pictures --shot fashion_pix2pix/Translate \
      --shot fashion_dalle/Sample --shot fashion_vae/Latents --shot boots_ae_anomaly/"Heat maps"

Each shot is MODEL/TAB and becomes MODEL.png, at most 300 kB. On a sketch pad it draws a shirt, on a plane it clicks.
Needs `pip install 'tfgen[ui-test]'` and a Chromium on the PATH.
"""

import io
import pathlib
import shutil
from typing import Annotated

import typer
from PIL import Image

from tfgen.errors import UserError
from tfgen.ui import found, page

LARGEST = 300_000  # bytes
# Lines through points (x, y), shares of the canvas.
SHIRT = [[(.36, .11), (.11, .29), (.21, .46), (.29, .39), (.29, .86), (.68, .86), (.68, .39), (.75, .46), (.86, .29),
          (.61, .11), (.46, .21), (.36, .11)]]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--no-first-run"]


def draw(tab, lines):
    """Draws lines on the visible canvas."""
    box = tab.locator(".canvas canvas").locator("visible=true").first.bounding_box()
    for line in lines:
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in line]
        tab.mouse.move(*places[0])
        tab.mouse.down()
        for place in places[1:]:
            tab.mouse.move(*place, steps=12)
        tab.mouse.up()


def shot(tab, model, title, several, wait):
    """Opens a tab and uses it; PNG bytes of the page."""
    if several:
        tab.get_by_role("tab", name=model, exact=True).click()
    tab.locator("button[role=tab]", has_text=title).locator("visible=true").last.click()
    tab.locator(".picture img, .ranked img").locator("visible=true").first.wait_for()
    tab.wait_for_timeout(wait)
    if title == "Translate":
        tab.locator("button", has_text="Blank sheet").locator("visible=true").click()
        tab.wait_for_timeout(wait)
        draw(tab, SHIRT)
    if title == "Plane":
        tab.locator("label", has_text="what points decode to").locator("visible=true").click()
        tab.wait_for_timeout(wait)
        tab.locator("#plane img").locator("visible=true").click(position={"x": 330, "y": 180})
    tab.wait_for_timeout(wait)
    tab.mouse.move(0, 0)
    return tab.screenshot(full_page=True)


def main(models: Annotated[pathlib.Path, typer.Argument(help="What `tfgen ui` takes.")],
         shots: Annotated[list[str], typer.Option("--shot", help="MODEL/TAB; may be repeated.")],
         to: Annotated[pathlib.Path, typer.Option(help="Folder of the pictures.")] = pathlib.Path("docs/pictures"),
         width: Annotated[int, typer.Option(help="Of the page, pixels.")] = 1280,
         wait: Annotated[float, typer.Option(help="Seconds that each step takes at most.")] = 5.0):
    """Writes MODEL.png for each shot."""
    from playwright.sync_api import sync_playwright

    if CHROMIUM is None:
        raise UserError("expected a Chromium on the PATH, received none: apt-get install chromium")
    known = found.find(models)
    shown, url = page.start(known)
    to.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        tab = browser.new_page(viewport={"width": width, "height": 640})
        tab.set_default_timeout(300_000)
        tab.goto(url)
        for one in shots:
            model, _, title = one.partition("/")
            file = to / f"{model}.png"
            picture = Image.open(io.BytesIO(shot(tab, model, title, len(known) > 1, 1000 * wait)))
            picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)
            size = file.stat().st_size
            print(f"wrote {file}: {picture.size[0]} x {picture.size[1]}, {size / 1000:.0f} kB")
            if size > LARGEST:
                raise UserError(f"expected at most {LARGEST // 1000} kB, received {size // 1000} kB: a smaller --width")
        browser.close()
    shown.close(verbose=False)


if __name__ == "__main__":
    typer.run(main)
