"""Which module may import which: what keeps the network and the training free of ROS."""

import re
import subprocess
import sys
from graphlib import TopologicalSorter

import pytest
from processes import ROOT

from docs import drawing
from docs.drawing import imported

ROS = {
    "ament_index_python",
    "builtin_interfaces",
    "cuda_buffer",
    "diagnostic_msgs",
    "lifecycle_msgs",
    "rcl_interfaces",
    "rclpy",
    "sensor_msgs",
    "std_msgs",
    "tf2_ros",
    "vision_msgs",
}


def imported_below(folder):
    return {name for path in (ROOT / folder).rglob("*.py") for name in imported(path)}


def tops(names):
    return {name.split(".")[0] for name in names}


def test_the_network_stands_on_torch_and_timm_alone():
    """No ROS, no files, no NumPy."""
    third_party = tops(imported_below("sosd_ros/network")) - {"sosd_ros"}
    assert third_party <= {
        "torch",
        "timm",
        "itertools",
        "math",
        "typing",
        "collections",
        "contextlib",
        "argparse",
        "__future__",
    }


CORE = (
    "network",
    "engine",
    "kernels",
    "camera",
    "camera_info",
    "clouds",
    "lens",
    "labels",
    "stamps",
    "weights",
    "colours",
    "contact_sheet",
    "device",
    "installed",
    "encodings",
    "outputs",
    "poses",
    "reasons",
    "recorded_cameras",
    "recordings",
    "scale",
    "egomotion",
    "steady",
)
SHARED = (
    "ahead",
    "atomic",
    "commands",
    "many",
    "progress",
    "share",
)  # what commands have in common
TOOLS = (
    "answering",
    "demo",
    "view",
    "infer",
    "bag",
    "measure",
    "doctor",
    "benchmark",
    "checks",
    "build",
    "testbed",
)
# What of sosd_ros may be imported by whom, apart from itself.
MAY_IMPORT = {
    "network": (),
    "kernels": (),
    "camera": (),
    "lens": ("camera",),
    "labels": (),
    "reasons": (),
    "installed": (),
    "scale": (),
    "egomotion": ("kernels",),
    "steady": ("egomotion", "kernels", "labels"),
    "encodings": (),
    "stamps": (),
    "poses": (),
    "clouds": ("encodings", "scale"),
    "camera_info": ("camera", "encodings", "lens", "stamps"),
    "outputs": ("engine", "kernels", "labels", "lens"),
    "recordings": ("atomic", "reasons"),
    "recorded_cameras": ("camera_info", "encodings", "lens", "recordings"),
    "device": ("reasons",),
    "weights": ("network", "labels", "atomic", "reasons"),
    "colours": ("labels",),
    "contact_sheet": ("colours", "labels"),
    "engine": (
        *("network", "kernels", "camera", "device", "labels", "weights", "atomic", "reasons"),
        "installed",
    ),
    "ros": (*CORE, *SHARED),
    **dict.fromkeys(TOOLS, (*CORE, *SHARED, "ros", *TOOLS)),
    **dict.fromkeys(SHARED, SHARED),
    "many": (*SHARED, "reasons"),
    "training": (
        "network",
        "engine",
        "camera",
        "camera_info",
        "clouds",
        "colours",
        "device",
        "encodings",
        "labels",
        "lens",
        "poses",
        "weights",
        "reasons",
        "recorded_cameras",
        "recordings",
        "scale",
        "stamps",
        "steady",
        *SHARED,
    ),
}


def rooms(folder):
    """The folders and files side by side in sosd_ros, by name."""
    return {path.stem: path for path in (ROOT / folder).iterdir() if path.stem != "__init__"}


def imported_by(path):
    return imported_below(path) if path.is_dir() else set(imported(path))


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_arrows_point_one_way(room):
    """From the training and the node to the core, from tools to all of sosd_ros, never back."""
    path = ROOT / "training" if room == "training" else rooms("sosd_ros")[room]
    names = [name.split(".") for name in imported_by(path)]
    used = {name[1] for name in names if name[0] == "sosd_ros" and len(name) > 1}
    assert used & rooms("sosd_ros").keys() - {room} <= set(MAY_IMPORT[room])
    assert room == "training" or not any(name[0] == "training" for name in names)


# The same within training, from a configuration up to a command; no command imports another.
COMMANDS = (
    "adapt",
    "calibrate",
    "evaluate",
    "export",
    "prepare",
    "quantise",
    "record",
    "report",
    "results",
    "teach",
    "train",
)
LAYERS = {
    "distributed": (),
    "metrics": (),
    "strategies": ("distributed",),
    "config": ("strategies",),
    "data": ("distributed", "config"),
    "networks": ("metrics", "config", "data"),
    "measuring": ("distributed", "metrics", "config", "data", "networks"),
    "learning": (
        *("distributed", "metrics", "strategies", "config", "data"),
        *("networks", "measuring"),
    ),
    "pages": (),
    "recording": ("data", "networks", "pages"),
    "adapting": ("data", "networks", "measuring", "pages"),
    "options": (),  # of commands
}
IN_TRAINING = LAYERS | dict.fromkeys(COMMANDS, tuple(LAYERS))


@pytest.mark.parametrize("room", IN_TRAINING)
def test_a_training_goes_one_way(room):
    """From a configuration to a weights file, and not back."""
    names = [name.split(".") for name in imported_by(rooms("training")[room])]
    used = {name[1] for name in names if name[0] == "training" and len(name) > 1}
    assert used & rooms("training").keys() - {room} <= set(IN_TRAINING[room])


def test_no_file_of_the_training_leads_back_to_itself():
    """Within its room neither."""
    files = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path
        for path in (ROOT / "training").rglob("*.py")
    }
    arrows = {module: files.keys() & set(imported(path)) for module, path in files.items()}
    TopologicalSorter(arrows).prepare()  # raises CycleError, with the circle


def test_every_room_has_its_arrows():
    for folder, known in (
        ("sosd_ros", MAY_IMPORT.keys() - {"training"}),
        ("training", IN_TRAINING),
    ):
        python = {name for name, path in rooms(folder).items() if path.is_dir() or path.suffix}
        assert python - {"__pycache__"} == set(known)


def test_commands_of_the_training_lie_at_its_top():
    """And what lies there else is no command."""
    commands = {
        path.parent if path.name == "__main__.py" else path.with_suffix("")
        for path in (ROOT / "training").rglob("*.py")
        if '__name__ == "__main__"' in path.read_text()
    }
    assert commands == {ROOT / "training" / name for name in COMMANDS}


def test_only_the_node_and_the_tools_import_ros():
    """The rest is imported and tested on a machine without it; share.py asks where files are."""
    users = {room for room, path in rooms("sosd_ros").items() if tops(imported_by(path)) & ROS}
    assert users - {"share"} <= {"ros", *TOOLS}
    assert not tops(imported_below("training")) & ROS


def test_the_kernels_stand_on_numba_alone():
    """And only there is anything compiled by it."""
    third_party = tops(imported_below("sosd_ros/kernels")) - set(sys.stdlib_module_names)
    assert third_party <= {"numba", "llvmlite", "numpy", "sosd_ros"}
    users = {room for room, path in rooms("sosd_ros").items() if "numba" in tops(imported_by(path))}
    assert users == {"kernels"}


def printed(program):
    """The words that a Python program prints, in a process that has imported nothing before."""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_the_engine_is_imported_without_runtimes_that_may_be_missing():
    """ONNX Runtime, OpenVINO and TensorRT are loaded by those who choose them.

    ROS never is, nor by the training, not even by way of another module.
    """
    optional = ["onnx", "onnxruntime", "onnxscript", "openvino", "tensorrt", "rclpy", "cv2"]
    optional += ["sosd_ros.engine.fused"]  # which needs Triton
    program = (
        "import sys, sosd_ros.engine\n"
        f"print([name for name in {optional} if name in sys.modules])\n"
        "import training.train\n"
        "print([name for name in sys.modules if name.startswith('rclpy')])"
    )
    assert printed(program) == ["[]", "[]"]


def test_what_takes_long_to_import_waits_until_it_is_needed():
    """Who only listens needs no torch, and timm and torch's compiler wait until a network is made.

    They take seconds, on a robot's computer many. The node, which makes one, has them at its start.
    """
    pytest.importorskip("rclpy", reason="no ROS")
    program = (
        "import sys\n"
        "def found(*names): print([name for name in names if name in sys.modules])\n"
        "import sosd_ros.measure.__main__, sosd_ros.view.__main__\n"
        "found('torch')\n"
        "import sosd_ros.engine, sosd_ros.demo.__main__, sosd_ros.bag.__main__\n"
        "import training.train, training.evaluate, training.record, training.adapt\n"
        "found('timm', 'torchvision', 'torch._dynamo')"
    )
    assert printed(program) == ["[]", "[]"]


def test_the_map_names_files_that_are_there():
    """Those of docs/architecture.md, in the words of its sections."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    named = set(re.findall(r"`([a-z_0-9/]+\.[a-z]+)`", page))
    places = [ROOT, ROOT / "sosd_ros", ROOT / "training", ROOT / "training" / "strategies"]
    assert len(named) >= 30
    assert not [name for name in named if not any((place / name).is_file() for place in places)]


def test_every_module_has_its_room_on_the_map():
    """But for the packages' own files, which are empty."""
    homeless = {name for name in drawing.modules() if drawing.room_of(name) is None}
    assert homeless == {"sosd_ros.__init__"}
