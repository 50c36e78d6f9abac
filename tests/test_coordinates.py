"""Coordinates of grids and rays of cameras."""

import numpy as np

from tfgen import coordinates


def test_grids_have_the_centres_of_equal_cells():
    np.testing.assert_allclose(coordinates.grid((2, 3)), [[-0.5, -2 / 3], [-0.5, 0], [-0.5, 2 / 3],
                                                          [0.5, -2 / 3], [0.5, 0], [0.5, 2 / 3]], atol=1e-6)
    np.testing.assert_allclose(coordinates.grid((4,))[:, 0], [-0.75, -0.25, 0.25, 0.75])


def test_rays_of_a_camera_worked_by_hand():
    """A camera at (1, 2, 3) without rotation looks along -z; its pixel (0, 0) is at the left and above."""
    pose = np.eye(4, dtype="float32")
    pose[:3, 3] = 1.0, 2.0, 3.0
    rays = coordinates.rays_of_images(pose[None], (2, 4, 3), focal=2.0).numpy()
    assert rays.shape == (1, 2, 4, 6) and (rays[..., :3] == [1.0, 2.0, 3.0]).all()
    wanted = np.array([-1.5 / 2, 0.5 / 2, -1.0])
    np.testing.assert_allclose(rays[0, 0, 0, 3:], wanted / np.linalg.norm(wanted), rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(rays[..., 3:], axis=-1), 1.0, rtol=1e-6)
    # Turned by a quarter about y, the camera looks along -x.
    pose[:3, :3] = [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]
    turned = coordinates.rays_of_images(pose[None], (3, 3, 3), focal=2.0).numpy()
    np.testing.assert_allclose(turned[0, 1, 1, 3:], [-1, 0, 0], atol=1e-6)
