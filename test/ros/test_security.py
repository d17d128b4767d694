"""What the node asks of the machine and of the graph: no network, no files but its own, no more
topics and services than the SROS 2 policy allows.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import NamedTuple

import pytest
import rclpy
from lifecycle_msgs.msg import Transition
from robot import EAGER, FOR_PEOPLE, OF_SPREAD, OUTPUTS, RELIABLE, ROOT, Camera, NodeProcess

try:
    from vision_msgs.msg import LabelInfo
except ImportError:
    LabelInfo = None

POLICY = ROOT / "config" / "sros2" / "policy.xml"
COMPILED = ROOT / "sosd_ros" / "kernels" / "__pycache__"
AUDITED_NODE = ROOT / "test" / "ros" / "audited_node.py"


# The policy


def allowed(kind, right):
    """Full names of the policy's topics or services with a right."""
    profile = ElementTree.parse(POLICY).find("enclaves/enclave/profiles/profile")
    namespace, node = profile.get("ns"), profile.get("node")
    names = [
        expression.text
        for group in profile.findall(kind)
        if group.get(right) == "ALLOW"
        for expression in group
    ]
    below = {"~": f"{namespace}{node}", "/": "/"}
    return {below[name[0]] + name[1:] if name[0] in below else namespace + name for name in names}


def of_the_node(camera):
    """Names of what the node has in the graph, by the right that it takes."""
    names = {}
    for right, kind in (
        ("publish", "publisher"),
        ("subscribe", "subscriber"),
        ("reply", "service"),
        ("request", "client"),
    ):
        ask = getattr(camera.node, f"get_{kind}_names_and_types_by_node")
        names[right] = {name for name, _ in ask("sosd", "/")}
    return names


def use_compressed_images(camera):
    """Configure the node again, for image/compressed."""
    for transition in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP):
        assert camera.change_state(transition)
    assert camera.set_parameters(image_transport="compressed").successful
    for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
        assert camera.change_state(transition)


def test_the_policy_allows_what_the_node_uses_and_nothing_else(start_node, camera, sharp_weights):
    """Every topic and service of the running node, with either transport and simulated time."""
    expected = {
        "publish": allowed("topics", "publish") - (set() if LabelInfo else {"/sosd/label_info"}),
        "subscribe": allowed("topics", "subscribe"),
        "reply": allowed("services", "reply"),
        "request": allowed("services", "request"),
    }
    start_node(use_sim_time=True, weights=sharp_weights)
    camera.wait_until_active()
    for transport in ("image", "image/compressed"):
        if transport == "image/compressed":
            use_compressed_images(camera)
        absent = {"/image", "/image/compressed"} - {f"/{transport}"}
        here = expected | {"subscribe": expected["subscribe"] - absent}
        camera.wait(lambda here=here: of_the_node(camera) == here, f"{here} in the graph")


@pytest.fixture
def enforced(tmp_path, monkeypatch):
    """Security for this process and those that it starts, with keys and the shipped policy."""
    if not shutil.which("ros2"):
        pytest.skip("no ros2 command: it comes with a ROS 2, not from PyPI")
    keystore = tmp_path / "keystore"
    for arguments in (
        ["create_keystore", keystore],
        ["generate_artifacts", "-k", keystore, "-p", POLICY],
        ["create_enclave", keystore, "/test"],  # may do everything
    ):
        subprocess.run(["ros2", "security", *map(str, arguments)], check=True)
    rclpy.shutdown()
    try:
        with monkeypatch.context() as environment:
            environment.setenv("ROS_SECURITY_KEYSTORE", str(keystore))
            environment.setenv("ROS_SECURITY_ENABLE", "true")
            environment.setenv("ROS_SECURITY_STRATEGY", "Enforce")
            environment.setenv("ROS_SECURITY_ENCLAVE_OVERRIDE", "/test")
            rclpy.init()
            skip_without_security()
            environment.setenv("ROS_SECURITY_ENCLAVE_OVERRIDE", "/sosd")  # of nodes from here on
            yield
    finally:
        rclpy.shutdown()
        rclpy.init()


def skip_without_security():
    """The first node of a context makes the middleware's participant."""
    try:
        rclpy.create_node("probe").destroy_node()
    except Exception as error:  # RCLError, which is not public
        if "doesn't have the security libraries" not in str(error):
            raise
        pytest.skip("the middleware was built without security, like PyPI's")


def test_the_policy_is_enough_where_it_is_enforced(enforced, camera, start_node, sharp_weights):
    """Images are answered on every topic, diagnostics come, and the middleware denies nothing."""
    node = start_node(weights=sharp_weights)
    camera.wait_until_active()
    camera.listen(*OUTPUTS, *FOR_PEOPLE, *OF_SPREAD)
    camera.listen_diagnostics()
    assert node.end() == 0
    assert "Found security directory" in node.log
    assert "denied" not in node.log and "SECURITY Error" not in node.log


def test_a_topic_that_the_policy_lacks_is_refused_where_it_is_enforced(enforced, start_node):
    """A camera of another name: its topics are not the policy's, and the node says so."""
    node = start_node(cameras="['front']")
    camera = Camera()
    camera.wait(lambda: "cannot configure" in node.log, "a refusal")
    camera.close()
    assert "/sosd/front/depth" in node.log


# The machine


class Audit(NamedTuple):
    """What the node asked of the machine.

    Attributes:
        folder: of its log, its output and this record.
        events: what Python code asked for after its imports: name and arguments.
        written: files that were open for writing at the end, by whatever code.
        tcp: its sockets of that kind.
    """

    folder: Path
    events: list[list[str]]
    written: set[Path]
    tcp: set[str]


def written_files(process):
    """Paths of the regular files that a process has open for writing."""
    paths = set()
    for descriptor in (process / "fd").iterdir():
        flags = (process / "fdinfo" / descriptor.name).read_text().split("flags:")[1].split()[0]
        path = descriptor.readlink()
        if int(flags, 8) & os.O_ACCMODE != os.O_RDONLY and path.is_file():
            paths.add(path)
    return paths


def tcp_sockets(process):
    """Those of a process, as the names of their descriptors."""
    lines = "".join((process / "net" / table).read_text() for table in ("tcp", "tcp6"))
    inodes = {f"socket:[{fields[9]}]" for fields in map(str.split, lines.splitlines())}
    return inodes & {str(descriptor.readlink()) for descriptor in (process / "fd").iterdir()}


@pytest.fixture(scope="module")
def audit(tmp_path_factory, small_weights):
    """Of a node that was configured, answered an image on every topic and ended.

    The first one of all compiles the kernels and keeps them beside their source; it is another.
    """
    if not any(COMPILED.glob("*.nbc")):
        audited_node(tmp_path_factory.mktemp("compiling"), small_weights)
    return audited_node(tmp_path_factory.mktemp("audit"), small_weights)


def audited_node(folder, small_weights):
    camera = Camera()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HOME", str(folder))
        environment.setenv("ROS_LOG_DIR", str(folder / "log"))
        node = NodeProcess(
            folder / "output",
            (AUDITED_NODE, folder / "record"),
            weights=small_weights,
            device="cpu",
            **EAGER,
            **RELIABLE,
        )
    try:
        camera.wait_until_active()
        camera.listen(*OUTPUTS, *FOR_PEOPLE)
        process = Path("/proc", str(node.process.pid))
        written, tcp = written_files(process), tcp_sockets(process)
        assert node.end() == 0
    finally:
        node.process.kill()
        camera.close()
    events = [json.loads(line) for line in (folder / "record").read_text().splitlines()]
    return Audit(folder, events, written, tcp)


def test_python_code_only_opens_files_for_reading(audit):
    """No socket, no process, and nothing made, renamed or removed."""
    allowed_events = {"open", "os.listdir", "os.scandir", "pickle.find_class"}
    assert {name for name, *_ in audit.events} <= allowed_events
    flags = [int(arguments[2]) for name, *arguments in audit.events if name == "open"]
    assert flags and all(value & os.O_ACCMODE == os.O_RDONLY for value in flags)


def test_no_pickle_is_read_but_of_its_own_compiled_code(audit):
    """Numba's, which lies beside the source as Python's own does, and holds types alone."""
    modules = {module for name, module, *_ in audit.events if name == "pickle.find_class"}
    assert {module.split(".")[0] for module in modules} <= {"builtins", "copyreg", "numba"}
    opened = [Path(arguments[0]) for name, *arguments in audit.events if name == "open"]
    compiled = [path for path in opened if path.suffix in (".nbi", ".nbc")]
    assert {path.parent for path in compiled} == {COMPILED}


def test_packages_and_the_given_weights_are_all_that_is_read(audit, small_weights):
    """After the imports, which also read the machine's own files."""
    packages = {ROOT, Path(sys.prefix), Path(sys.base_prefix), *map(Path, filter(None, sys.path))}
    paths = {Path(arguments[0]) for name, *arguments in audit.events if name == "open"}
    others = {path for path in paths if not any(map(path.is_relative_to, packages))}
    assert others == {small_weights}


def test_the_log_is_all_that_is_written(audit):
    """ROS's own file, beside standard output; the rest is the middleware's shared memory."""
    others = {path for path in audit.written if not path.is_relative_to("/dev/shm")}
    [log] = others - {audit.folder / "output", audit.folder / "record"}
    assert log.parent == audit.folder / "log"


def test_no_tcp_socket_is_opened(audit):
    """Neither a connection nor an ear; DDS speaks over UDP and shared memory."""
    assert not audit.tcp


def in_a_network_of_its_own(*command):
    """Run a command where there is no network but the loopback; the finished process."""
    shell = 'ip link set lo up && exec "$@"'
    namespace = ["unshare", "--map-root-user", "--net", "sh", "-c", shell, "sh"]
    return subprocess.run([*namespace, *command], capture_output=True, text=True, cwd=ROOT)


def test_no_network_is_needed(tmp_path, monkeypatch):
    """The audited node answers with nothing but the loopback, and nothing downloaded before."""
    if not (shutil.which("unshare") and in_a_network_of_its_own("true").returncode == 0):
        pytest.skip("no namespaces here: unshare or ip is missing, or the kernel forbids it")
    monkeypatch.setenv("HOME", str(tmp_path))
    interfaces = in_a_network_of_its_own("ip", "-brief", "link").stdout.splitlines()
    assert [line.split()[0] for line in interfaces] == ["lo"]
    test = f"{__file__}::{test_python_code_only_opens_files_for_reading.__name__}"
    pytest_here = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", test]
    finished = in_a_network_of_its_own(*pytest_here)
    assert finished.returncode == 0 and "1 passed" in finished.stdout, finished.stdout
