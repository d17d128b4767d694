"""The live view: what of arrays and of messages comes to a browser."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import urllib.request

import numpy as np
import pytest
from processes import ROOT, free_ports

pytest.importorskip("rerun", reason="no rerun-sdk: install the extra 'view'")

import rerun as rr

from docs import pictures
from sosd_ros.camera import Intrinsics
from sosd_ros.labels import LabelSet
from sosd_ros.view.scene import LONGEST, Frame, Scene
from sosd_ros.view.server import serving

ORANGE, MAGENTA, LIME = (250, 128, 20), (255, 0, 255), (0, 255, 0)
LABELS = LabelSet(("wall", "floor"), (MAGENTA, LIME))
FIGURES = {
    "latency total p50 [ms]": "20.0",
    "latency total p95 [ms]": "30.0",
    "output rate [Hz]": "15.00",
    "state": "active",
}


def frame(height=64, width=96, **others):
    """An orange wall 2 m away, the lower half of which is floor; its left edge has no depth."""
    camera = Intrinsics(100.0, 100.0, (width - 1) / 2, (height - 1) / 2, width, height)
    x, y = camera.rays()
    depth = np.full((height, width), 2.0, np.float32)
    depth[:, :8] = np.nan
    labels = np.zeros((height, width), np.uint8)
    labels[height // 2 :] = 1
    whole = {
        "labels": labels,
        "confidence": np.full((height, width), 200, np.uint8),
        "uncertainty": np.linspace(0.1, 0.5, height * width, dtype=np.float32).reshape(height, -1),
    }
    image = np.full((height, width, 3), ORANGE, np.uint8)
    points = np.stack([x * depth, y * depth, depth], axis=-1)
    return Frame(camera, image, points, **(whole | others))


def logged(*frames, labels=LABELS):
    """What a stream has after frames and figures."""
    stream = rr.RecordingStream("test")
    recorded = stream.memory_recording()
    scene = Scene(stream)
    if labels:
        scene.classes(labels)
    for seconds, shown in enumerate(frames):
        scene.frame(shown, float(seconds))
    scene.figures(FIGURES, 5.0)
    return recorded.drain_as_bytes()


def entities(data):
    """The paths of all that is logged."""
    return set(re.findall(rb"/(?:[a-z_0-9]+/)*[a-z_0-9]+", data))


def test_every_answer_and_every_figure_is_logged():
    """Of the figures those that are plotted."""
    found = entities(logged(frame()))
    shown = ("world/camera", "world/camera/image", "world/points", "depth", "classes")
    shown += ("classes/names", "legend", "confidence", "uncertainty")
    shown += ("latency/latency_total_p50", "latency/latency_total_p95", "rate/output_rate")
    assert {f"/{path}".encode() for path in shown} <= found
    assert b"/rate/input_rate" in found  # its colour, which is no data


def test_what_the_network_does_not_answer_has_no_place():
    nothing = dict.fromkeys(("labels", "confidence", "uncertainty"))
    data = logged(frame(**nothing), labels=None)
    assert not {b"/classes", b"/legend", b"/confidence", b"/uncertainty"} & entities(data)
    assert b"/depth" in entities(data)


def test_large_images_cost_little_more_than_small_ones():
    """Of an image twice as wide as the view shows, every second pixel is logged."""
    small = len(logged(frame(240, LONGEST)))
    assert len(logged(frame(480, 2 * LONGEST))) < 1.2 * small


def test_the_page_is_served_on_one_address_alone():
    """rerun would listen on all of them."""
    port = free_ports()
    with serving("127.0.0.1", port) as server:
        assert urllib.request.urlopen(server.page).status == 200
        listening = subprocess.run(["ss", "-ltnH"], capture_output=True, text=True).stdout
        for number in (port, port + 1):
            assert re.findall(rf"\s(\S+):{number}\s", listening) == ["127.0.0.1"]
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1)


def test_a_port_that_is_taken_is_named():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        said = (
            rf"nothing can be served on 127\.0\.0\.1, port {port}: .*in use; choose another --port"
        )
        with pytest.raises(ValueError, match=said), serving("127.0.0.1", port):
            pass


def test_without_a_port_two_views_are_served_beside_each_other():
    """As two demos on one machine are; and Prometheus has 9090."""
    with serving("127.0.0.1", None) as first, serving("127.0.0.1", None) as second:
        assert first.page != second.page and first.data != second.data
        for server in (first, second):
            assert urllib.request.urlopen(server.page).status == 200


def test_a_port_beyond_the_last_is_refused():
    said = r"nothing can be served on 127\.0\.0\.1, port 65536: ports end at 65535"
    with pytest.raises(ValueError, match=said), serving("127.0.0.1", 65536):
        pass


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "localhost", "robot"])
def test_a_host_that_is_no_address_of_a_machine_is_refused(host):
    """Browsers have to name the same, which is what keeps other pages from the data."""
    said = f"--host is {host}, expected the IP address"
    with pytest.raises(ValueError, match=said), serving(host, None):
        pass


def test_the_server_ends_with_whoever_started_it():
    """Killed as well, so that nobody finds the port taken by a server that nobody feeds."""
    port = free_ports()
    program = (
        "from sosd_ros.view.server import serving\n"
        f"with serving('127.0.0.1', {port}):\n    print('up', flush=True)\n    input()"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout.readline() == "up\n"
    with socket.create_connection(("127.0.0.1", port)) as connected:
        connected.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert connected.recv(1)
        owner.send_signal(signal.SIGKILL)
        owner.communicate()
        while connected.recv(1 << 16):  # until the server's end closes it
            pass


@pytest.mark.skipif(
    not pictures.has_browser(), reason="no Chromium, or no playwright: install the extra 'test'"
)
def test_a_browser_draws_it(tmp_path):
    """The image and its cloud in the image's colour, the classes in theirs, each in its place."""
    with (
        serving("127.0.0.1", free_ports()) as server,
        pictures.browser_page(720, 480) as page,
    ):
        stream = rr.RecordingStream("test")
        stream.connect_grpc(server.data)
        scene = Scene(stream)
        scene.classes(LABELS)
        scene.frame(frame(), 0.0)
        scene.figures(FIGURES, 0.0)
        stream.flush()
        page.goto(f"{server.page}&renderer=webgl")

        def is_drawn(pixels):
            left, right = np.split(pixels, 2, axis=1)
            cloud, image = (pictures.share(half, ORANGE, within=60) for half in (left, right))
            classes = [pictures.share(right, colour) for colour in (MAGENTA, LIME)]
            return min(cloud, image, *classes) > 0.005

        try:
            pictures.drawn(page, is_drawn)
        finally:
            page.screenshot(path=tmp_path / "view.png")
            print(tmp_path / "view.png")
            stream.disconnect()
