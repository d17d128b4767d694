"""The tape measure in front of the real node, over DDS."""

from __future__ import annotations

import re
import signal
import threading
import time

import numpy as np
import pytest
import rclpy
from processes import ForkedProcess
from rclpy.context import Context
from robot import TIMEOUT, Camera, camera_info, node_for_a_file, picture, pixels, rgb
from std_msgs.msg import Header

from sosd_ros import commands
from sosd_ros.camera_info import intrinsics_of
from sosd_ros.labels import NYU40
from sosd_ros.lens import Lens
from sosd_ros.measure import __main__ as command
from sosd_ros.measure import listener
from sosd_ros.measure.reading import Measured, Reading
from sosd_ros.ros import messages

pytestmark = pytest.mark.usefixtures("middleware")
NUMBER = r"([\d.]+)"


@pytest.fixture(scope="module")
def node(middleware, tmp_path_factory, sharp_weights):
    """With weights that say how unsure they are; all is about 2 m away."""
    with node_for_a_file(tmp_path_factory, sharp_weights) as node:
        yield node


@pytest.fixture
def camera():
    camera = Camera()
    yield camera
    camera.close()


class Tape:
    """``python -m sosd_ros.measure`` as a process."""

    def __init__(self, folder, *arguments):
        self.out, self.err = folder / "stdout", folder / "stderr"
        program = ("-m", "sosd_ros.measure", *map(str, arguments))
        self.process = ForkedProcess(program, self.out, self.err)

    @property
    def said(self):
        return self.out.read_text() if self.out.exists() else ""

    @property
    def complained(self):
        return self.err.read_text() if self.err.exists() else ""


@pytest.fixture
def tape(tmp_path):
    """Start tape measures, which end with the test."""
    tapes = []

    def start(*arguments):
        folder = tmp_path / str(len(tapes))
        folder.mkdir()
        tapes.append(Tape(folder, *arguments))
        return tapes[-1]

    yield start
    for tape in tapes:
        tape.process.kill()


def play(camera, condition, what, info=None):
    """Send frames until something is true."""

    def sent():
        camera.send(rgb(camera.header(), picture()), info or camera_info())
        return camera.spin_until(condition, 0.05)

    camera.wait(sent, what)


def test_a_line_says_what_is_there(node, camera, tape):
    """What the topics say around that pixel, with the class by its name; Ctrl-C is no failure."""
    camera.wait_until_active()
    camera.listen("depth", "semantic", "confidence", "depth_uncertainty")
    live = tape("--at", "70,20")
    play(camera, lambda: re.search(r" \+- .*ray, [a-z ]+ \d+%, .*\n", live.said), "a whole line")
    live.process.send_signal(signal.SIGINT)
    assert live.process.wait(TIMEOUT) == 0
    assert live.complained == ""
    stamp = camera.send(rgb(camera.header(), picture()), camera_info())
    depth, labels, confidence, doubt = (
        pixels(message, np.float32 if message.encoding == "32FC1" else np.uint8)[18:23, 68:73]
        for message in camera.answers(stamp, "depth", "semantic", "confidence", "depth_uncertainty")
    )
    line = re.fullmatch(
        rf"70,20: {NUMBER} \+- {NUMBER} m along z, {NUMBER} m along the ray, ([a-z ]+) (\d+)%, "
        "depth_scale 1",
        live.said.splitlines()[-1],
    )
    assert line, live.said
    z, uncertainty, distance = map(float, line.groups()[:3])
    stretch = np.sqrt(1 + ((70 - 47.5) / 100) ** 2 + ((20 - 31.5) / 100) ** 2)
    assert z == pytest.approx(np.median(depth), abs=0.006)
    assert uncertainty == pytest.approx(np.median(doubt), abs=0.006)
    assert distance == pytest.approx(np.median(depth) * stretch, abs=0.006)
    label = np.bincount(labels.ravel()).argmax()
    assert line[4] == NYU40.names[label]
    assert float(line[5]) == pytest.approx(np.median(confidence[labels == label]) / 2.55, abs=0.6)


def test_the_factor_that_it_says_makes_distances_right(node, camera, tape):
    """Set on the node, the same distance asks for the same setting, and is answered as it is."""
    camera.wait_until_active()
    factors = []
    for answered in (r"is answered as", r"is answered as 3\.00 m"):
        once = tape("--true", "3")
        play(camera, lambda once=once: once.process.poll() is not None, "its end")
        assert once.process.poll() == 0, once.complained
        assert re.search(answered, once.said), once.said
        factors.append(float(re.search(f"ros2 param set /sosd depth_scale {NUMBER}", once.said)[1]))
        assert camera.set_parameters(depth_scale=factors[-1]).successful
    assert camera.set_parameters(depth_scale=1.0).successful
    assert factors[0] > 1.1 and factors[1] == pytest.approx(factors[0], rel=0.01)


def test_through_a_lens_that_bends_rays_it_measures_along_those(node, camera, tape):
    """If the node leaves the image as it is."""
    info = camera_info(focal=40.0)
    info.distortion_model, info.d = "equidistant", [0.1, 0.0, 0.0, 0.0]
    camera.wait_until_active()
    assert camera.set_parameters(rectified="rays").successful
    live = tape("--at", "90,10")
    play(camera, lambda: "along the ray" in live.said, "a line", info)
    assert camera.set_parameters(rectified="assumed").successful
    x, y = (ray[10, 90] for ray in Lens(intrinsics_of(info), "equidistant", (0.1,)).rays())
    said = re.search(rf": {NUMBER}.* m along z, {NUMBER} m along the ray", live.said)
    z, distance = map(float, said.groups())
    assert distance / z == pytest.approx(np.sqrt(1 + x * x + y * y), rel=0.02)


def test_a_pixel_outside_the_image_ends_it(node, camera, tape):
    camera.wait_until_active()
    lost = tape("--at", "96,0")
    play(camera, lambda: lost.process.poll() is not None, "its end")
    assert lost.process.poll() == 1
    assert lost.complained.startswith("error: the pixel 96,0 lies outside the image of 96x64;")


class ComplaintError(Exception):
    """What a listener complains of at last."""


def complaint(listener, words):
    """Wait for a sentence of a listener that never hears an image; before, it may say others."""
    deadline = time.monotonic() + TIMEOUT

    def say(sentence):
        if words in sentence or time.monotonic() > deadline:
            raise ComplaintError(sentence)

    with pytest.raises(ComplaintError) as said:
        listener.next(say)
    return str(said.value)


@pytest.fixture
def impatient(monkeypatch):
    """Make listeners that say often why nothing comes."""
    context = Context()
    rclpy.init(context=context)
    listeners = []

    def make(*arguments):
        listeners.append(listener.Listener(context, *arguments))
        return listeners[-1]

    monkeypatch.setattr(listener, "PATIENCE", 0.2)
    yield make
    for made in listeners:
        made.close()
    rclpy.shutdown(context=context)


def test_without_a_node_it_says_so(impatient):
    said = complaint(impatient("robot/eyes"), "no node")
    assert said.startswith("no node /robot/eyes is heard: start it, or name it with --node;")


@pytest.fixture
def ends_in_order():
    """Signals end this process as they end a command, while the test lasts."""
    kept = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    commands.end_in_order()
    yield
    for each, handler in kept.items():
        signal.signal(each, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_waits_until_a_message_is_taken(
    node, camera, impatient, ends_in_order, number
):
    """Within rclpy it would become a RuntimeError."""
    camera.wait_until_active()
    heard, taken = impatient("/sosd"), []

    def interrupt(values):
        signal.raise_signal(number)
        taken.append(values)

    heard.on_health = interrupt
    with pytest.raises(KeyboardInterrupt):
        heard.messages(print)
    assert taken


def test_where_no_depth_comes_it_says_what_the_node_says(node, camera, impatient):
    """Such as that no image comes."""
    camera.wait_until_active()
    said = complaint(impatient("/sosd"), "no image")
    assert said.startswith("sosd: camera: no image ")


def test_cameras_that_the_node_has_not_are_named(node, camera, impatient):
    """While images come, so that all else is well."""
    camera.wait_until_active()
    is_over = threading.Event()

    def play():
        while not is_over.wait(0.05):
            camera.send(rgb(camera.header(), picture()), camera_info())

    player = threading.Thread(target=play)
    player.start()
    try:
        said = complaint(impatient("/sosd", "front"), "--camera")
    finally:
        is_over.set()
        player.join()
    assert said.startswith("/sosd does not publish /sosd/front/depth: name one of its cameras")


def test_what_is_wrong_is_said_once(impatient, monkeypatch):
    """And again only if something else was wrong in between."""
    tape, said = impatient("robot/eyes"), []
    wrong = iter(["no node", "no node", "no depth", "no depth", "no node"])
    monkeypatch.setattr(tape, "_trouble", lambda: next(wrong))
    with pytest.raises(StopIteration):
        tape.next(said.append)
    assert said == ["no node", "no depth", "no node"]


# Lines, and what is asked


def line(z=2.0, uncertainty=0.125, label=3, confidence=0.875, scale=""):
    reading = Reading((5, 6), z, 1.5 * z, uncertainty, label, confidence)
    return command.line_of(reading, {3: "bed"}.get, 1.25, scale)


def test_a_line_has_what_is_known():
    far = "5,6: 2.00 +- 0.12 m along z, 3.00 m along the ray"
    assert line() == f"{far}, bed 88%, depth_scale 1.25"
    assert line(confidence=np.nan) == f"{far}, bed, depth_scale 1.25"
    assert line(uncertainty=np.nan, label=None) == (
        "5,6: 2.00 m along z, 3.00 m along the ray, depth_scale 1.25"
    )
    assert line(z=np.inf) == "5,6: beyond max_depth, bed 88%, depth_scale 1.25"
    assert line(scale="no scale: x") == f"{far}, bed 88%, depth_scale 1.25, no scale: x"
    assert line(z=np.nan).startswith("5,6: no depth: nearer than min_depth, too uncertain, or")


def test_what_the_node_says_of_an_estimated_scale():
    """Nothing, why there is none, or the factor with its spread and evidence."""
    values = {
        "scale factor": "0.7420",
        "scale shift [m]": "0.000",
        "scale spread [%]": "3.1",
        "scale points": "640",
        "scale frames": "12",
        "scale applied": "false",
        "scale not renewed": "",
    }
    said = "scale 0.7420 +- 3.1% by 640 points in 12 frames, not applied"
    assert listener.scale_of(values) == said
    shifted = listener.scale_of(values | {"scale shift [m]": "-0.21", "scale applied": "true"})
    assert shifted == "scale 0.7420 and -0.21 m +- 3.1% by 640 points in 12 frames, applied"
    none = listener.scale_of(values | {"scale factor": "", "scale not renewed": "too few"})
    assert none == "no scale: too few"
    assert listener.scale_of({"received": "1"}) == ""


def test_while_an_estimate_is_applied_there_is_nothing_to_calibrate(node, camera, tape):
    camera.wait_until_active()
    assert camera.set_parameters(scale__apply=True).successful
    lost = tape("--true", "3")
    play(camera, lambda: lost.process.poll() is not None, "its end")
    assert camera.set_parameters(scale__apply=False).successful
    assert lost.process.poll() == 1
    assert "error: the node's scale.apply is true" in lost.complained


def test_distances_are_asked_for_until_there_is_none(monkeypatch, capsys):
    """What is no distance is asked for again; the end of the input is the end as well."""
    for ends in ([""], []):
        entered = iter(["1.5", "far", "-2", " 3 ", *ends])

        def enter(prompt, entered=entered):
            try:
                return next(entered)
            except StopIteration:
                raise EOFError from None

        monkeypatch.setattr("builtins.input", enter)
        assert list(command.asked()) == [1.5, 3]
        said = capsys.readouterr().err.splitlines()
        assert said == [f"the distance is {t!r}, expected a number above 0" for t in ("far", "-2")]


def lines(*answers, scale=1.0):
    """What a calibration says of (true, answered) distances."""
    given = iter([Measured(answered, answered - 0.1, answered + 0.1) for _, answered in answers])
    return list(
        command.calibrate("/eyes", iter([t for t, _ in answers]), lambda: (next(given), scale))
    )


def test_what_to_set_takes_account_of_what_is_set():
    """Answers of 2 m at a scale of 0.5 that should be 3 m: 0.75."""
    first, _, setting = lines((3, 2.0), scale=0.5)
    assert first == "3 m is answered as 2.00 m (1.90 to 2.10 in 10 frames): factor 1.500"
    assert setting == "    ros2 param set /eyes depth_scale 0.750"


def test_distances_that_disagree_are_told():
    """Beyond a fifth."""
    *_, last = lines((1, 1.0), (2, 2.0), (3, 2.4))
    assert last.startswith("but single distances ask for 1.000 to 1.250, so no one factor mends")
    assert "makes 3 distances, which stray by 0%, right:" in lines((1, 1), (2, 2), (3, 3))[-2]


def test_a_place_without_depth_is_passed_over():
    """If there is no other, there is nothing to set."""
    answers = iter([ValueError("there is depth in 0 of 10 frames"), Measured(2.0, 2.0, 2.0)])

    def measure():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer, 1.0

    said = list(command.calibrate("/eyes", iter([1.0, 2.0]), measure))
    assert said[0] == "there is depth in 0 of 10 frames"
    assert said[-1] == "    ros2 param set /eyes depth_scale 1.000"
    with pytest.raises(ValueError, match="nothing was measured"):
        list(command.calibrate("/eyes", iter([]), measure))


@pytest.mark.parametrize("text", ["320", "320x240", "-1,2", "1,2,3", "a,b"])
def test_a_pixel_that_is_none_is_refused_with_the_form_that_it_should_have(text, capsys):
    with pytest.raises(SystemExit):
        command.command_line().parse_args([f"--at={text}"])
    assert f"is {text!r}, expected COLUMN,ROW such as 320,240" in capsys.readouterr().err


def test_millimetres_are_metres():
    """Of nodes with depth_encoding 16UC1; there 0 is no depth."""
    depth = np.array([[1.234, np.nan], [0.5, np.inf]], np.float32)
    metres = listener._metres(messages.depth_message_mm(Header(), depth))
    np.testing.assert_allclose(metres, [[1.234, np.nan], [0.5, np.nan]], rtol=1e-6)
    np.testing.assert_array_equal(listener._metres(messages.depth_message(Header(), depth)), depth)
