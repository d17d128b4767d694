"""The pinhole camera: focal correction, rays and back-projection, on plain arrays.

Frames follow the optical convention of REP 103: x to the right, y down, z forward. The centre of
the top left pixel lies at (0, 0), as in OpenCV and ``sensor_msgs/CameraInfo``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

USUAL_SIZE = (480, 640)  # (height, width) of a camera's images, where nothing else is known


@dataclass(frozen=True)
class Intrinsics:
    """Focal lengths and principal point, in pixels of an image of ``width`` x ``height``.

    Attributes:
        centre: x and y of the optical centre in the frame of the points, in metres. It is not 0
            where the frame is that of another camera of the same image plane, as of a stereo pair.

    Raises:
        ValueError: if a focal length or a size is not positive, or a number is not finite.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int
    centre: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        numbers = (self.fx, self.fy, self.cx, self.cy)
        if not all(math.isfinite(n) for n in numbers) or min(self.fx, self.fy) <= 0:
            raise ValueError(
                f"the camera's intrinsics fx={self.fx:g}, fy={self.fy:g}, cx={self.cx:g}, "
                f"cy={self.cy:g} are unusable: focal lengths must be positive and all numbers "
                "finite; calibrate the camera or fix its CameraInfo"
            )
        if min(self.width, self.height) <= 0:
            raise ValueError(
                f"the camera's image size {self.width}x{self.height} is unusable: width and "
                "height must be positive; fix its CameraInfo"
            )

    @property
    def focal(self) -> float:
        """The one focal length of eq. 3, sqrt(fx fy), in pixels."""
        return math.sqrt(self.fx * self.fy)

    def resized(self, width: int, height: int) -> Intrinsics:
        """The same camera after its image has been resized to ``width`` x ``height``.

        Resizing maps the pixel *edges* onto each other, so that a pixel centre ``u`` goes to
        ``(u + 0.5) * scale - 0.5``.
        """
        sx, sy = width / self.width, height / self.height
        return Intrinsics(
            fx=self.fx * sx,
            fy=self.fy * sy,
            cx=(self.cx + 0.5) * sx - 0.5,
            cy=(self.cy + 0.5) * sy - 0.5,
            width=width,
            height=height,
            centre=self.centre,
        )

    def rays(self) -> tuple[np.ndarray, np.ndarray]:
        """The points at depth 1, from the optical centre: x/z and y/z of the pixels, float32.

        Without distortion, one depends on the column alone, (1, width), and the other on the row,
        (height, 1): they broadcast to the image.
        """
        x = (np.arange(self.width, dtype=np.float64) - self.cx) / self.fx
        y = (np.arange(self.height, dtype=np.float64) - self.cy) / self.fy
        return x.astype(np.float32)[None], y.astype(np.float32)[:, None]

    def project(self, points: np.ndarray) -> np.ndarray:
        """Where points are seen.

        Args:
            points: (..., 3) in metres from the optical centre: x right, y down, z forward.

        Returns:
            (..., 2) float64, the column and the row, of which some may lie beside the image; NaN
            for points that are not in front of the camera.
        """
        x, y, z = np.moveaxis(np.asarray(points, np.float64), -1, 0)
        z = np.where(z > 0, z, np.nan)
        return np.stack([self.fx * x / z + self.cx, self.fy * y / z + self.cy], axis=-1)


def focal_correction(camera_focal: float, training_focal: float) -> float:
    """What a depth answered by the network is multiplied by to be the depth for this camera.

    An object of size X at depth Z covers f X / Z pixels. A network that learned at focal length
    ``training_focal`` and looks through ``camera_focal`` sees it as if at Z * training / camera.
    Both are in pixels *at the network's input size*; f = sqrt(fx fy), as in eq. 3.
    """
    return camera_focal / training_focal
