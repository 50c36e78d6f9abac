"""Synthetic surface defects: crops of photographs of brick, grass and gravel with drawn defects, in MVTec AD's layout.

Needs scikit-image, which ships the three 512x512 photographs. Two stripes of each are for training, where crops may
overlap. The rest is divided into cells that do not overlap and are assigned to the other parts at random, so that these are
exchangeable, however light and perspective change across the photograph.
"""

import functools

import numpy as np

from tfgen import pictures
from tfgen.errors import UserError, require

PHOTOGRAPH_PIXELS, CROP_PIXELS = 512, 64
# Columns of the training crops.
TRAINING = ((64, 128), (384, 448))
# (top, left) of the cells, in the columns between.
CELLS = [(top, left) for top in range(0, PHOTOGRAPH_PIXELS, CROP_PIXELS) for left in range(0, PHOTOGRAPH_PIXELS, CROP_PIXELS)
         if not any(low <= left < high for low, high in TRAINING)]
# Numbers of cells by which settings are chosen, of which thresholds are, and on which detectors are measured.
PARTS = {"selection": 6, "calibration": 26, "test": 16}
# Textures of pasted pieces: they must be visible on the background. Their order is part of the seeds.
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


def generator(texture, *numbers):
    """Random numbers that no two textures share."""
    return np.random.default_rng([*numbers, list(FOREIGN).index(texture)])


def cells(texture, part, seed):
    """(top, left) of the cells of a part, int (N, 2), in random order.

    A seed divides the cells that are not of selection at random between calibration and test, those of each texture anew.
    Those of selection are random, too, but the same for every seed: no defect by which settings are chosen, with whatever
    seed, lies on a test cell of any.
    """
    places, chosen = np.random.default_rng(0).permutation(CELLS), PARTS["selection"]
    if part == "selection":
        return places[:chosen]
    others = generator(texture, seed, 1).permutation(places[chosen:])
    return others[:PARTS["calibration"]] if part == "calibration" else others[PARTS["calibration"]:]


def cell(texture, place):
    """The crop (CROP_PIXELS, CROP_PIXELS) of a photograph whose top and left are `place`."""
    top, left = place
    return photograph(texture)[top:top + CROP_PIXELS, left:left + CROP_PIXELS]


def crop(texture, random):
    """A random crop for training."""
    low, high = TRAINING[random.integers(len(TRAINING))]
    return cell(texture, (random.integers(0, PHOTOGRAPH_PIXELS - CROP_PIXELS + 1),
                          random.integers(low, high - CROP_PIXELS + 1)))


def turned(image, texture, random):
    """A random rotation by 0 or 90 degrees with reflections; brick is only reflected, which keeps its courses horizontal."""
    quarter = random.integers(2) if texture != "brick" else 0
    return np.rot90(image, quarter)[::random.choice((-1, 1)), ::random.choice((-1, 1))]


def scratch(image, foreign, random):
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


def stain(image, foreign, random):
    """Draws a soft-edged blotch of radius 7 to 12 pixels that darkens or brightens by 60 to 80 %; returns (image, mask)."""
    (row, column), radius = random.uniform(14, CROP_PIXELS - 14, 2), random.uniform(7, 12)
    angle = np.arctan2(ROW - row, COLUMN - column)
    radius *= 1 + sum(random.uniform(-0.2, 0.2) * np.cos(k * angle + random.uniform(0, 2 * np.pi)) for k in (2, 3))
    cover = 1 / (1 + np.exp((np.hypot(ROW - row, COLUMN - column) - radius) / 1.2))
    return image + random.uniform(0.6, 0.8) * cover * (random.choice((0.05, 0.9)) - image), cover > 0.25


def paste(image, foreign, random):
    """Pastes a piece of `foreign` with sides of 14 to 24 pixels and changed brightness; returns (image, mask)."""
    height, width = random.integers(14, 25, 2)
    top, left = random.integers(3, CROP_PIXELS - height - 3), random.integers(3, CROP_PIXELS - width - 3)
    at, mask, image = np.s_[top:top + height, left:left + width], np.zeros((CROP_PIXELS, CROP_PIXELS), bool), image.copy()
    row, column = random.integers(CROP_PIXELS - height + 1), random.integers(CROP_PIXELS - width + 1)
    image[at] = random.choice((0.6, 1.6)) * foreign[row:row + height, column:column + width]
    mask[at] = True
    return image, mask


DEFECTS = {"scratch": scratch, "stain": stain, "paste": paste}


def defective(kind, image, foreign, random):
    """(image with a defect, mask): drawn again until it is seen whole, with none of its pixels at the crop's border.

    Args:
        kind: of `DEFECTS`.
        image: (CROP_PIXELS, CROP_PIXELS) in [0, 1].
        foreign: a crop of another texture, of which a piece may be pasted.
        random: NumPy generator.
    """
    while True:
        made, mask = DEFECTS[kind](image, foreign, random)
        if not mask[[0, -1]].any() and not mask[:, [0, -1]].any():
            return made, mask


def write(folder, texture, part, seed, counts):
    """Writes the data set of a texture in MVTec AD's layout, unless it exists.

    Its validation split has cells of the part `calibration`; its test split those of `part`, as they are, and with each kind
    of defect, all of them once before any twice.

    Args:
        folder: output folder; use one per texture, part and seed.
        texture: `brick`, `grass` or `gravel`.
        part: `selection` or `test`: the cells of the test split, and those that pasted pieces are of.
        seed: seed of the cells' parts, crops and defects.
        counts: numbers of images in train, validation and normal test, and of images per kind of defect.

    Raises:
        UserError: more normal images than cells; a folder with more images than `counts`, which were written for others.
    """
    most = PARTS["calibration"], PARTS[part]
    require(all(count <= cells for count, cells in zip(counts[1:3], most, strict=True)),
            f"expected at most {most} images in validation and normal test, received {tuple(counts[1:3])}: no cell is to be "
            "in a split twice")
    random = generator(texture, seed, 2 + list(PARTS).index(part))
    wanted = dict(zip(("train/good", "validation/good", "test/good"), counts)) | dict.fromkeys(
        (f"test/{kind}" for kind in DEFECTS), counts[3])
    there = {name: len(list((folder / name).glob("*.png"))) for name in wanted}
    require(all(there[name] <= count for name, count in wanted.items()),
            f"expected at most {wanted} images in {folder}, found {there}, which were written for other numbers: remove the "
            "folder or give another")
    if there == wanted and (folder / f"ground_truth/{list(DEFECTS)[-1]}/{counts[3] - 1:04}_mask.png").exists():
        return

    def save(name, image):
        pictures.save_image(folder / f"{name}.png", np.clip(image, 0, 1))

    own = cells(texture, part, seed)
    for index in range(counts[0]):
        save(f"train/good/{index:04}", turned(crop(texture, random), texture, random))
    for split, places in (("validation", cells(texture, "calibration", seed)[:counts[1]]), ("test", own[:counts[2]])):
        for index, place in enumerate(places):
            save(f"{split}/good/{index:04}", cell(texture, place))
    for kind in DEFECTS:
        places = [place for _ in range(0, counts[3], len(own)) for place in random.permutation(own)]
        for index, place in enumerate(places[:counts[3]]):
            foreign = cell(random.choice(FOREIGN[texture]), random.choice(own))
            image, mask = defective(kind, cell(texture, place), foreign, random)
            save(f"test/{kind}/{index:04}", image)
            save(f"ground_truth/{kind}/{index:04}_mask", mask.astype(float))
