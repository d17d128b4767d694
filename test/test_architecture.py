"""Which module may import which: what keeps the network and the training free of ROS."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROS = {
    "ament_index_python",
    "builtin_interfaces",
    "diagnostic_msgs",
    "lifecycle_msgs",
    "rcl_interfaces",
    "rclpy",
    "sensor_msgs",
    "std_msgs",
    "vision_msgs",
}


def imports(path):
    """Absolute names of all modules that a file imports."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, node.module) if node.module else base)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def imported_below(folder):
    return {name for path in (ROOT / folder).rglob("*.py") for name in imports(path)}


def tops(names):
    return {name.split(".")[0] for name in names}


def test_the_network_stands_on_torch_and_timm_alone():
    """No ROS, no files, no NumPy."""
    third_party = tops(imported_below("sosd_ros/network")) - {"sosd_ros"}
    assert third_party <= {
        "torch",
        "timm",
        "math",
        "typing",
        "collections",
        "contextlib",
        "argparse",
        "__future__",
    }


@pytest.mark.parametrize("folder", ["sosd_ros/network", "sosd_ros/engine", "training"])
def test_the_core_knows_nothing_of_ros(folder):
    """It is imported and tested on a machine without ROS."""
    assert not tops(imported_below(folder)) & ROS


def test_training_uses_the_robots_side_and_never_the_other_way():
    """Of sosd_ros only the core, with the engine, which exports are for."""
    assert "training" not in tops(imported_below("sosd_ros"))
    used = {
        name.split(".")[1] for name in imported_below("training") if name.startswith("sosd_ros.")
    }
    core = {"network", "weights", "labels", "camera", "engine"}
    assert used <= core | {"atomic", "options", "progress"}  # and what all commands share


def test_only_the_node_and_the_commands_use_rclpy():
    """Everything else takes and gives arrays or messages; parameters.py only names the type."""
    users = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "sosd_ros").rglob("*.py")
        if "rclpy" in tops(imports(path))
    }
    names = ("node", "autostart", "bond", "topics", "parameters", "process", "generations")
    the_node = {f"sosd_ros/{name}.py" for name in names}
    assert {user for user in users if user.count("/") == 1} <= the_node
    assert {user.split("/")[1] for user in users - the_node} <= {"demo", "checks", "benchmark"}


def test_the_engine_stands_on_network_weights_camera_and_kernels():
    """Arrays in, arrays out."""
    used = {name.split(".")[1] for name in imported_below("sosd_ros/engine") if "sosd_ros." in name}
    assert used <= {"network", "weights", "camera", "engine", "kernels"}


def test_the_kernels_stand_on_numba_alone():
    """And only there is anything compiled by it."""
    own = tops(imports(ROOT / "sosd_ros/kernels.py")) - set(sys.stdlib_module_names)
    assert own <= {"numba", "llvmlite", "numpy"}
    users = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "sosd_ros").rglob("*.py")
        if "numba" in tops(imports(path))
    }
    assert users == {"sosd_ros/kernels.py"}


def test_the_engine_is_imported_without_runtimes_that_may_be_missing():
    """ONNX Runtime, OpenVINO and TensorRT are loaded by those who choose them; ROS never is."""
    optional = ["onnx", "onnxruntime", "onnxscript", "openvino", "tensorrt", "rclpy", "cv2"]
    program = (
        f"import sys, sosd_ros.engine\nprint([name for name in {optional} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
