"""docs/your-robot.md from its first command to its last: of a recording to what the node loads."""

import importlib
import json
import re
import shlex
import shutil

import numpy as np
import pytest
import yaml
from processes import ROOT
from std_msgs.msg import String
from support import SMALL, run_here, write_small_weights

pytest.importorskip("rosbags", reason="no rosbags: install the extra 'bags'")

import recorded

PAGE = (ROOT / "docs" / "your-robot.md").read_text()
SECOND = 10**9
CLASSES = ["floor", "pallet", "ceiling"]
# So that it takes seconds: a small network, few pictures and few epochs.
CPU = ["--device", "cpu"]
SETTINGS = ["data.workers=0", "epochs=2", "batch_size=4"]
NETWORK = [f"network.variant={SMALL.variant}", f"network.backbone={SMALL.backbone}"]
QUICK = {
    "record": [],
    "adapt": [*CPU, "--weights", "nyuv2_sosd_lite2_sharp.safetensors", "--kept", "5"],
    "evaluate": [*CPU, "--workers", "0"],
    "prepare": [],
    "train": CPU,
    "export": CPU,
}
SET = {
    "adapt": SETTINGS,
    "train": [*SETTINGS, *NETWORK, "data.size=[64, 96]", "evaluate_every=1"],
}


def drive():
    """What a robot sees that turns in a room: depth is 2.3 m, where small weights say 2 m."""
    random = np.random.default_rng(1)
    for number in range(40):
        time = (1 + number) * SECOND
        coarse = random.integers(0, 256, (4, 6, 3), np.uint8)
        image = np.kron(coarse, np.ones((16, 16, 1), np.uint8))
        depth = np.full((64, 96), 2300 + number, np.uint16)
        yield "/camera/color/image_raw", time, recorded.image(time, image)
        yield "/camera/color/camera_info", time, recorded.camera_info(time)
        yield "/camera/depth", time, recorded.image(time, depth, "16UC1")


def annotate(folder):
    """CVAT's file of ten images: a floor below a ceiling, on eight to learn from and two others."""
    names = [(folder / f"{split}.txt").read_text().split() for split in ("train", "val")]
    images = "".join(
        f'<image name="{name}.jpg" width="96" height="64">'
        '<box label="ceiling" xtl="0" ytl="0" xbr="96" ybr="32"/>'
        '<box label="floor" xtl="0" ytl="32" xbr="96" ybr="64"/></image>'
        for name in [*names[0][:8], *names[1][:2]]
    )
    return f"<annotations>{images}</annotations>"


def commands(first, last):
    """Those of training on the page between two sections."""
    part = PAGE[PAGE.index(first) : PAGE.index(last) if last else None]
    for line in re.findall(r"^python -m training\.(.*)$", part, re.M):
        name, *words = shlex.split(line)
        if not {"nyuv2", "data/nyuv2"} & {*words}:  # which tests do not have
            settings = [word for one in SET.get(name, []) for word in ("--set", one)]
            yield name, [*words, *QUICK[name], *settings]


def go(first, last):
    for name, words in commands(first, last):
        run_here(importlib.import_module(f"training.{name}"), *words)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the commands are typed."""
    recorded.write(tmp_path / "drive", drive())
    write_small_weights(tmp_path / "nyuv2_sosd_lite2_sharp.safetensors")
    (tmp_path / "photographs").mkdir()
    for path in sorted((ROOT / "resource" / "demo").glob("*.jpg"))[:5]:
        shutil.copy(path, tmp_path / "photographs")
    classes, training = re.findall(r"^```yaml\n((?:classes|data):.*?)^```", PAGE, re.M | re.S)
    (tmp_path / "mine.yaml").write_text(classes)
    (tmp_path / "mine_training.yaml").write_text(training)
    assert [*yaml.safe_load(classes)["classes"]] == CLASSES
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_page_leads_from_a_recording_to_weights_that_the_node_loads(folder, start_node, camera):
    go("## From a recording", "## Learn from it")
    (folder / "annotations.xml").write_text(annotate(folder / "data" / "drive"))
    go("## Classes of your own", None)

    said = camera.listen_latched(String, "/sosd/label_info/json")
    for weights, labels in (("runs/drive/adapted", [*SMALL.labels.names]), ("mine", CLASSES)):
        node = start_node(weights=folder / f"{weights}.safetensors")
        camera.wait_until_active()
        camera.wait(lambda: said, "label info")
        assert json.loads(said.pop().data)["names"] == labels
        camera.listen("depth", "semantic")
        assert node.end() == 0, node.log
