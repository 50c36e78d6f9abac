"""Synthetic surface defects: crops of photographs of brick, grass and gravel with drawn defects, in MVTec AD's layout.

Needs scikit-image, which ships the three 512x512 photographs. Each is divided into stripes, so that crops of different
splits share no pixel; crops of one split may overlap.
"""

import functools

import numpy as np

from tfgen import pictures
from tfgen.errors import UserError

PHOTOGRAPH_PIXELS, CROP_PIXELS = 512, 64
STRIPES = {"train": ((0, 64), (192, 320), (448, 512)), "validation": ((64, 128), (384, 448)),
           "test": ((128, 192), (320, 384))}
# Textures of pasted pieces: they must be visible on the background.
FOREIGN = {"brick": ("grass", "gravel"), "grass": ("brick",), "gravel": ("brick",)}
ROW, COLUMN = np.mgrid[:CROP_PIXELS, :CROP_PIXELS].astype(float)


@functools.cache
def photograph(texture):
    """float (PHOTOGRAPH_PIXELS, PHOTOGRAPH_PIXELS) in [0, 1].

    Raises:
        UserError: without scikit-image.
    """
    try:
        from skimage import data as samples
    except ImportError:
        raise UserError("expected scikit-image, received none: pip install 'tfgen[apps]'") from None
    return getattr(samples, texture)() / 255.0


def crop(texture, part, random):
    """A random crop (CROP_PIXELS, CROP_PIXELS) of a photograph from the stripes of split `part`."""
    low, high = STRIPES[part][random.integers(len(STRIPES[part]))]
    top, left = random.integers(0, PHOTOGRAPH_PIXELS - CROP_PIXELS + 1), random.integers(low, high - CROP_PIXELS + 1)
    return photograph(texture)[top:top + CROP_PIXELS, left:left + CROP_PIXELS]


def turned(image, texture, random):
    """A random rotation by 0 or 90 degrees with reflections; brick is only reflected, which keeps its courses horizontal."""
    quarter = random.integers(2) if texture != "brick" else 0
    return np.rot90(image, quarter)[::random.choice((-1, 1)), ::random.choice((-1, 1))]


def scratch(image, texture, part, random):
    """Draws a curved scratch, 28 to 46 pixels long and 2 to 4 wide, nearly white or black; returns (image, mask)."""
    while True:
        start, angle, length = random.uniform(4, CROP_PIXELS - 4, 2), random.uniform(0, 2 * np.pi), random.uniform(28, 46)
        along = np.array([np.sin(angle), np.cos(angle)])
        if np.all(np.abs(start + length * along - CROP_PIXELS / 2) < CROP_PIXELS / 2 - 4):
            break
    bend = random.uniform(-8, 8) * along[::-1] * (1, -1)
    t = np.linspace(0, 1, 200)[:, None]
    points = start + t * length * along + 2 * t * (1 - t) * bend
    away = np.min(np.hypot(ROW[..., None] - points[:, 0], COLUMN[..., None] - points[:, 1]), axis=-1)
    cover = np.clip(random.uniform(1.5, 2.2) - away, 0, 1)
    return image + random.uniform(0.75, 0.95) * cover * (random.choice((0.0, 1.0)) - image), cover > 0.25


def stain(image, texture, part, random):
    """Draws a soft-edged blotch of radius 7 to 12 pixels that darkens or brightens by 60 to 80 %; returns (image, mask)."""
    (row, column), radius = random.uniform(14, CROP_PIXELS - 14, 2), random.uniform(7, 12)
    angle = np.arctan2(ROW - row, COLUMN - column)
    radius *= 1 + sum(random.uniform(-0.2, 0.2) * np.cos(k * angle + random.uniform(0, 2 * np.pi)) for k in (2, 3))
    cover = 1 / (1 + np.exp((np.hypot(ROW - row, COLUMN - column) - radius) / 1.2))
    return image + random.uniform(0.6, 0.8) * cover * (random.choice((0.05, 0.9)) - image), cover > 0.25


def paste(image, texture, part, random):
    """Pastes a piece of another texture with sides of 14 to 24 pixels and changed brightness; returns (image, mask)."""
    height, width = random.integers(14, 25, 2)
    top, left = random.integers(3, CROP_PIXELS - height - 3), random.integers(3, CROP_PIXELS - width - 3)
    at, mask, image = np.s_[top:top + height, left:left + width], np.zeros((CROP_PIXELS, CROP_PIXELS), bool), image.copy()
    image[at] = random.choice((0.6, 1.6)) * crop(random.choice(FOREIGN[texture]), part, random)[:height, :width]
    mask[at] = True
    return image, mask


DEFECTS = {"scratch": scratch, "stain": stain, "paste": paste}


def write(folder, texture, part, seed, counts):
    """Writes the data set of a texture in MVTec AD's layout, unless it exists.

    Args:
        folder: output folder; use one per texture, part and seed.
        texture: `brick`, `grass` or `gravel`.
        part: `validation` or `test`: the stripes of the test crops. Training and validation crops use their own stripes.
        seed: seed of crops and defects.
        counts: numbers of normal crops in train, validation and test, and of crops per kind of defect.
    """
    random, last = np.random.default_rng(seed), f"ground_truth/{list(DEFECTS)[-1]}/{counts[3] - 1:04}_mask"
    if (folder / f"{last}.png").exists():
        return

    def save(name, image):
        pictures.save_image(folder / f"{name}.png", np.clip(image, 0, 1))

    for split, source, count in zip(("train", "validation", "test"), ("train", "validation", part), counts):
        for index in range(count):
            image = crop(texture, source, random)
            save(f"{split}/good/{index:04}", turned(image, texture, random) if split == "train" else image)
    for kind, draw in DEFECTS.items():
        for index in range(counts[3]):
            image, mask = draw(crop(texture, part, random), texture, part, random)
            save(f"test/{kind}/{index:04}", image)
            save(f"ground_truth/{kind}/{index:04}_mask", mask.astype(float))
