"""Where the files that come with the package are: weights, configuration, sample frames."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_CHECKOUT = Path(__file__).parents[1]
# Above lib/python3.*/site-packages, where colcon and pip install.
_PREFIX = Path(os.path.normpath(_CHECKOUT / ".." / ".." / ".."))


def share(*parts: str) -> Path:
    """A file under ``share/sosd_ros``, or its original where the package runs from a checkout.

    ``weights`` and ``demo`` are installed from ``resource/``, everything else from the folder of
    the same name.
    """
    if (_CHECKOUT / "package.xml").is_file():
        inside = ("resource",) if parts[0] in ("weights", "demo") else ()
        return _CHECKOUT.joinpath(*inside, *parts)
    installed = _PREFIX / "share" / "sosd_ros"
    if (installed / "package.xml").is_file():
        return installed.joinpath(*parts)
    from ament_index_python.packages import get_package_share_directory

    return Path(get_package_share_directory("sosd_ros"), *parts)


DEFAULT_WEIGHTS = "nyuv2_sosd_lite2_sharp.safetensors"


def sample_frames() -> np.ndarray:
    """The frames that the demo plays, (12, 480, 640, 3) uint8 RGB.

    Raises:
        ValueError: if one of them cannot be read.
    """
    import cv2  # which, like NumPy, those who only ask where files are need not have
    import numpy as np

    frames = []
    for path in sorted(share("demo").glob("*.jpg")):
        bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if bgr is None:
            raise ValueError(f"{path} cannot be read as a JPEG file; install the package again")
        frames.append(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))
    return np.stack(frames)
