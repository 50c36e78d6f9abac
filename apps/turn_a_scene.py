"""A scene learned from 100 views of known poses by a NeRF, and turned: PSNR on held-out views, and an animation.

    python apps/turn_a_scene.py           # 6 minutes on one core
    python apps/turn_a_scene.py --fast    # tiny networks and views, seconds

The scene (three balls and a block on a chequered plate, with shadows and highlights, before white) is computed here by
intersecting rays with the shapes. Cameras lie on a hemisphere at a distance of 4. Budget: CPU time of this process in
training, one thread for TensorFlow's operations, without tracing the step. The number of steps is fixed, so that a run can
be repeated; it was chosen to end within the budget. Figures are of the test views, which chose no setting.
"""

import os

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import math  # noqa: E402
import pathlib  # noqa: E402
from typing import Annotated  # noqa: E402

import keras  # noqa: E402
import numpy as np  # noqa: E402
import typer  # noqa: E402
from PIL import Image  # noqa: E402

from tfgen import coordinates, data, files, metrics, pictures, recipes  # noqa: E402
from tfgen.figures import records  # noqa: E402
from tfgen.runs import budget  # noqa: E402
from tfgen.verbs.live import Live  # noqa: E402

MINUTES, STEPS, RAYS = 10, 3000, 1024
VALUES = {"units": 64, "hidden_layers": 4, "coarse_samples": 24, "fine_samples": 24, "position_frequencies": 6,
          "direction_frequencies": 2, "near": 2.6, "far": 5.6, "learning_rate": 3e-3, "cosine_decay": True}
TINY = {"units": 8, "hidden_layers": 2, "coarse_samples": 6, "fine_samples": 6}
COUNTS = {"train": 100, "validation": 10, "test": 10}
DISTANCE, FIELD_OF_VIEW, SUPERSAMPLING = 4.0, math.radians(43.6), 3
MARKS = {"PSNR of test views, dB": 28.0}

# Balls: centre, radius, colour. The block: two opposite corners, colour. The plate: height, radius.
BALLS = (((0.0, -0.45, 0.05), 0.55, (0.85, 0.25, 0.2)), ((0.62, 0.45, -0.15), 0.35, (0.2, 0.55, 0.8)),
         ((-0.6, 0.55, -0.2), 0.3, (0.95, 0.75, 0.2)))
BLOCK = (-0.95, -0.25, -0.5), (-0.45, 0.2, 0.25), (0.3, 0.7, 0.4)
PLATE = -0.5, 1.25
LIGHT = np.array([0.45, -0.3, 0.84]) / np.linalg.norm([0.45, -0.3, 0.84])


def hits(origins, directions):
    """The first surface that each of R rays meets: (distance or inf, number of the shape, normal), (R,), (R,) and (R, 3)."""
    distance, shape, normal = np.full(len(origins), np.inf), np.full(len(origins), -1), np.zeros_like(origins)

    def meet(number, t, met, normals):
        nearer = met & (t > 1e-4) & (t < distance)
        distance[nearer], shape[nearer], normal[nearer] = t[nearer], number, normals[nearer]

    with np.errstate(divide="ignore", invalid="ignore"):
        for number, (centre, radius, _) in enumerate(BALLS):
            offset = origins - centre
            half = np.sum(offset * directions, 1)
            discriminant = half**2 - np.sum(offset**2, 1) + radius**2
            t = -half - np.sqrt(np.maximum(discriminant, 0.0))
            meet(number, t, discriminant > 0, (offset + t[:, None] * directions) / radius)
        crossings = [(np.array(corner) - origins) / directions for corner in BLOCK[:2]]
        enter, leave = np.minimum(*crossings), np.maximum(*crossings)
        axis = enter.argmax(1)
        facing = -np.sign(directions) * np.eye(3)[axis]
        meet(len(BALLS), enter.max(1), enter.max(1) < leave.min(1), facing)
        t = (PLATE[0] - origins[:, 2]) / directions[:, 2]
        inside = np.sum((origins + t[:, None] * directions)[:, :2] ** 2, 1) < PLATE[1] ** 2
        meet(len(BALLS) + 1, t, inside, np.broadcast_to([0.0, 0.0, 1.0], origins.shape))
    return distance, shape, normal


def seen(rays):
    """Colours (R, 3) in [0, 1] of rays (R, 6): diffuse and ambient light, shadows, highlights on the balls, white behind."""
    rays = rays.astype(float)
    colours, distance = np.ones((len(rays), 3)), hits(rays[:, :3], rays[:, 3:])[0]
    rays = rays[met := np.isfinite(distance)]
    directions = rays[:, 3:]
    distance, shape, normal = hits(rays[:, :3], directions)
    points = rays[:, :3] + distance[:, None] * directions
    base = np.array([colour for *_, colour in (*BALLS, BLOCK)] + [(0.0, 0.0, 0.0)])[shape]
    striped = (shape == 0) & (np.sin(14 * points[:, 2] + 3 * points[:, 0]) > 0)
    base[striped] = 0.95, 0.9, 0.85
    dark = np.floor(2.5 * points[:, :2]).sum(1) % 2 == 0
    base[shape == len(BALLS) + 1] = np.where(dark[:, None], (0.35, 0.35, 0.45), (0.85, 0.85, 0.9))[shape == len(BALLS) + 1]
    lit = np.isinf(hits(points + 1e-3 * normal, np.broadcast_to(LIGHT, points.shape))[0])
    mirrored = directions - 2.0 * np.sum(directions * normal, 1, keepdims=True) * normal
    diffuse = np.maximum(normal @ LIGHT, 0) * lit
    highlight = np.maximum(mirrored @ LIGHT, 0) ** 30 * lit * (shape < len(BALLS))
    colours[met] = np.clip(base * (0.35 + 0.65 * diffuse)[:, None] + 0.35 * highlight[:, None], 0.0, 1.0)
    return colours


def camera(azimuth, elevation):
    """Pose (4, 4) of a camera at these angles, in radians, that looks at the origin."""
    back = np.array([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)])
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.stack([right, np.cross(back, right), back, DISTANCE * back], axis=1)
    return pose


def focal_of(size):
    """Focal length in pixels of square views of a size."""
    return size / 2 / math.tan(FIELD_OF_VIEW / 2)


def views(poses, size):
    """True views (N, size, size, 3), float32: means over SUPERSAMPLING x SUPERSAMPLING rays per pixel."""
    fine = size * SUPERSAMPLING
    rays = coordinates.rays_of_images(poses, (fine, fine, 3), focal_of(fine)).numpy()
    made = seen(rays.reshape(-1, 6)).reshape(len(poses), size, SUPERSAMPLING, size, SUPERSAMPLING, 3)
    return made.mean((2, 4)).astype("float32")


def scene(counts, size):
    """The dataset: views from random places on a hemisphere, evenly distributed, between 9 and 69 degrees of elevation."""
    random = np.random.default_rng(0)
    poses = {split: np.stack([camera(random.uniform(0, 2 * np.pi), np.arcsin(random.uniform(0.15, 0.93)))
                              for _ in range(count)]) for split, count in counts.items()}
    return data.posed({split: views(shots, size) for split, shots in poses.items()}, poses, focal_of(size), "scene")


def measure(dataset, steps, values, folder):
    """Trains the model; writes scene.keras and its cost as scene.json to `folder`."""
    model, cost = budget.train_for_budget(None, recipes.find("nerf"), dataset, RAYS, values, steps=steps)
    model.save(folder / "scene.keras")
    files.write_json(folder / "scene.json", cost | {"parameters": model.count_params()})


def turn(live, size, frames, path):
    """Writes an animation: a turn around the scene, true views at the left and renderings at the right."""
    poses = np.stack([camera(2 * np.pi * frame / frames, math.radians(30)) for frame in range(frames)])
    pairs = np.concatenate([views(poses, size), live("render", poses, batch_size=1)], axis=2)
    shown = [Image.fromarray(np.rint(255 * pair).astype("uint8")).resize((6 * size, 3 * size), Image.Resampling.BICUBIC)
             for pair in pairs]
    with files.written_aside(path) as aside:
        shown[0].save(aside, format="GIF", save_all=True, append_images=shown[1:], duration=150, loop=0)


def main(
    folder: Annotated[pathlib.Path, typer.Option(help="where model and figures are kept")] = pathlib.Path("runs/scene"),
    again: Annotated[bool, typer.Option("--again", help="train a model that was trained before, too")] = False,
    fast: Annotated[bool, typer.Option(help="tiny networks and views, seconds; no record is written")] = False,
):
    """Trains a NeRF on views of the scene, measures it on held-out ones and turns it."""
    size, frames, steps, values, counts = 64, 24, STEPS, VALUES, COUNTS
    if fast:
        size, frames, steps, values, counts = 8, 3, 20, VALUES | TINY, {"train": 8, "validation": 2, "test": 2}
    dataset = scene(counts, size)
    folder.mkdir(parents=True, exist_ok=True)
    if again or not (folder / "scene.json").exists():
        measure(dataset, steps, values, folder)
    row, live = files.read_json(folder / "scene.json"), Live(keras.models.load_model(folder / "scene.keras"))
    truth = dataset.views["test"]
    made = live("render", dataset.poses["test"], batch_size=1)
    found = metrics.similarity(made, truth)
    # All white: what is behind the scene.
    background = metrics.similarity(np.ones_like(truth), truth)
    figures = {"psnr_db nerf": found["psnr_db"], "psnr_db background": background["psnr_db"],
               "ssim nerf": found["ssim"], "ssim background": background["ssim"]}
    place = folder if fast else records.RESULTS / "pictures"
    pictures.save_rows(place / "turn_a_scene.png", {"held-out view": truth[:6], "rendering": made[:6],
                                                    "difference": np.abs(truth - made)[:6]})
    turn(live, size, frames, place / "turn_a_scene.gif")
    if not fast:
        records.record(
            "turn_a_scene", figures, title=f"NeRF of a scene from {counts['train']} views of known poses, held-out views",
            command="python apps/turn_a_scene.py", seeds=[0], picture="turn_a_scene.gif", marks=MARKS,
            budget={"cpu_minutes": row["cpu_minutes"], "threads": 1, "without": "tracing", "steps": row["steps"]},
            data={"name": "scene of apps/turn_a_scene.py", "views": counts, "size": [size, size]},
            training=row, published="none for this scene")
    print(f"PSNR of {counts['test']} held-out views {figures['psnr_db nerf']:.2f} dB, all background "
          f"{figures['psnr_db background']:.2f}; {row['steps']} steps, {row['cpu_minutes']} CPU minutes of {MINUTES}")
    print(f"wrote {place / 'turn_a_scene.gif'}")
    return figures


if __name__ == "__main__":
    typer.run(main)
