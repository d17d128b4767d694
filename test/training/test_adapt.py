"""Adapting a network to a recording: what it starts from, what it ends as, and when it does not."""

import cv2
import numpy as np
import pytest
import torch
import yaml
from support import run_here, write_small_weights

from sosd_ros.labels import UNLABELLED
from training import adapt, evaluate
from training.adapting.blend import Blend, blend
from training.adapting.keep import Unlearned, write_answers
from training.adapting.verdict import why_not
from training.config import Config
from training.data.labelled_photographs import Photographs
from training.data.sets import data_set
from training.learning.run import open_run
from training.measuring.result import Result
from training.metrics import ConfusionMatrix, DepthErrors
from training.networks import trained

SIZE, FOCAL = (64, 96), 150.0
QUICK = [
    *("--device", "cpu", "--kept", "4", "--set", "data.workers=0", "--set", "batch_size=4"),
    *("--set", "epochs=3", "--set", "optimiser.learning_rate=1e-2"),
]


@pytest.fixture
def weights(tmp_path):
    """They answer about 2 m everywhere, as their own camera sees it."""
    return write_small_weights(tmp_path / "small.safetensors")


def write_drive(root, train, val, labels=False):
    """Eight frames to learn from whose depth is ``train`` metres, and eight whose it is ``val``."""
    random = np.random.default_rng(7)
    for split, metres in (("train", train), ("val", val)):
        names = [f"{split}{number}" for number in range(8)]
        for name in names:
            coarse = random.integers(0, 256, (8, 12, 3), np.uint8)
            depth = np.full(SIZE, 1000 * metres * random.uniform(0.95, 1.05), np.uint16)
            files = {"rgb": (".jpg", cv2.resize(coarse, SIZE[::-1])), "depth": (".png", depth)}
            if labels:
                files["label"] = (".png", np.ones(SIZE, np.uint8))
            for folder, (suffix, pixels) in files.items():
                (root / folder).mkdir(parents=True, exist_ok=True)
                assert cv2.imwrite(str(root / folder / f"{name}{suffix}"), pixels)
        (root / f"{split}.txt").write_text("\n".join(names))
    matrix = {"data": [FOCAL, 0, 47.5, 0, 0, FOCAL, 31.5, 0, 0, 0, 1, 0]}
    content = {"image_width": 96, "image_height": 64, "projection_matrix": matrix}
    (root / "camera.yaml").write_text(yaml.safe_dump(content))
    if labels:
        (root / "classes.yaml").write_text("classes: {sofa: {}, dragon: {}}")
    return root


def go(weights, data, out, *options):
    run_here(adapt, "--weights", weights, "--data", data, "--out", out, *QUICK, *options)


def test_what_is_better_is_written_with_its_camera_and_numbers(weights, tmp_path, capsys):
    """As a file that needs the folder no more, beside a page with both."""
    data = write_drive(tmp_path / "drive", train=6.0, val=6.0)
    out = tmp_path / "out"
    go(weights, data, out, "--old", data)
    said = capsys.readouterr().out
    assert f"wrote {out / 'adapted.safetensors'}" in said and "* better" in said
    after = trained.load(out / "adapted.safetensors")
    before = trained.load(weights)
    assert after.manifest.labels == before.manifest.labels
    assert after.manifest.metrics["images"] == 4 and "late, 4 images" in str(
        after.manifest.metrics["data"]
    )
    height, width = after.manifest.input_size
    assert after.manifest.focal_length == pytest.approx(
        FOCAL * (height / SIZE[0] * width / SIZE[1]) ** 0.5
    )
    assert before.manifest.licence in after.manifest.licence
    assert str(tmp_path) not in str(after.manifest)
    page = (out / "adapted.html").read_text()
    assert "written as adapted.safetensors" in page and page.count("<img") == 4 * 6
    assert "depth of 1 old pictures moves by" in page
    capsys.readouterr()
    record = ("--data", data, "--device", "cpu", "--workers", "0")
    run_here(evaluate, weights, "--on", "own", *record, "--against", out / "adapted.safetensors")
    assert "recordings of your own val, 8 images" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"last\.pt exists; choose another --out"):
        go(weights, data, out)


def test_what_is_not_better_is_refused(weights, tmp_path):
    """Here what is learned is not what is measured."""
    measured = trained.load(weights)
    data = write_drive(tmp_path / "drive", train=6.0, val=6.0)
    image = cv2.imread(str(data / "rgb" / "val7.jpg"))
    folder = adapt.own.read_folder(data, measured.manifest.labels)
    asked = measured.predictor("cpu", data_set(adapt.Config.model_validate(settings(folder)).data))
    [said] = asked.answers(torch.from_numpy(image)[None])
    right = float(said["depth"].detach().median())
    data = write_drive(tmp_path / "other", train=4 * right, val=right)
    out = tmp_path / "out"
    with pytest.raises(ValueError, match=r"depth is not better than before: on 4 frames .* shows"):
        go(weights, data, out)
    assert not (out / "adapted.safetensors").exists()
    assert "not written: depth is not better" in (out / "adapted.html").read_text()


def settings(folder, **network):
    return {
        "data": {"name": "own", "own": folder, "size": SIZE, "split": "fit"},
        "network": {"variant": "depth", "backbone": "mobilenetv4_conv_small"}
        | {"pretrained": False, "frozen_norms": True, **network},
        "strategy": "joint",
        "batch_size": 4,
    }


def test_it_starts_with_the_metres_of_before(weights, tmp_path):
    """Though the camera of its training is another one."""
    data = write_drive(tmp_path / "drive", train=3.0, val=3.0)
    before = trained.load(weights)
    folder = adapt.own.read_folder(data, before.manifest.labels)
    written = tmp_path / "config.yaml"
    written.write_text(adapt._configuration(before, folder, weights, tmp_path))
    config = adapt.config.load(written, ["data.workers=0"])
    seen = data_set(config.data)
    factor = trained.camera_factor(before, seen, config.data.size)
    own = [data / "rgb" / f"train{number}.jpg" for number in range(8)]
    write_answers(before, "cpu", own, [], factor, tmp_path / "before")
    run = open_run(config, tmp_path, "cpu", root=data)
    image = torch.from_numpy(run.validation[0].image)[None]
    [was] = before.predictor("cpu", seen).answers(image)
    now = run.trainer.network.eval()
    asked = trained.Predictor(now, seen, config.data.size, run.trainer.normalisation)
    [said] = asked.answers(image)
    torch.testing.assert_close(said["depth"], was["depth"], rtol=1e-3, atol=1e-3)
    assert factor != pytest.approx(1.0, abs=0.01)


def test_old_pictures_keep_depth_and_those_of_the_recording_classes_alone(weights, tmp_path):
    data = write_drive(tmp_path / "drive", train=3.0, val=3.0)
    before = trained.load(weights)
    own, *old = (data / "rgb" / f"{name}.jpg" for name in ("train0", "val0", "val1"))
    write_answers(before, "cpu", [own], old, 2.0, tmp_path / "kept")
    kept = Photographs(tmp_path / "kept", data_set(before.data))
    assert kept.names == ["own_train0", "old_val1"]
    (_, mine), (image, theirs) = kept
    assert (mine.spread > 1).all() and (theirs.spread == 0).all()
    [said] = before.predictor("cpu").answers(torch.from_numpy(image)[None], size=(240, 320))
    np.testing.assert_allclose(theirs.depth, 2 * said["depth"][0].detach().numpy(), atol=0.002)
    assert (mine.classes[..., 0] != UNLABELLED).all()
    [asked] = Unlearned(Photographs(tmp_path / "kept", data_set(before.data), "val"))
    [said] = before.predictor("cpu").answers(torch.from_numpy(asked.image)[None])
    np.testing.assert_allclose(asked.depth, 2 * said["depth"][0].detach().numpy(), rtol=0.02)


@pytest.mark.parametrize(
    ("learned", "share", "moved"), [(1.04, 1.0, 0.04), (1.1, 0.4, 0.04), (2.0, 0.2, 0.2)]
)
def test_as_much_is_taken_over_as_leaves_old_pictures_alone(
    weights, tmp_path, learned, share, moved
):
    """Here depth of everything has grown by a factor."""
    data = write_drive(tmp_path / "drive", train=3.0, val=3.0)
    before, after = trained.load(weights), trained.load(weights)
    old = sorted((data / "rgb").glob("val*.jpg"))
    write_answers(before, "cpu", [], old, 1.0, tmp_path / "kept")
    pictures = Unlearned(Photographs(tmp_path / "kept", data_set(before.data), "val"))
    after.network.scale_depth(learned)
    chosen = blend(before.network, after, pictures, data_set(before.data), "cpu")
    assert (chosen.share, chosen.pictures) == (share, 2)
    assert chosen.moved == pytest.approx(moved, abs=0.003)
    image = torch.from_numpy(pictures[0].image)[None]
    [[was], [now]] = (model.predictor("cpu").answers(image) for model in (before, after))
    factor = 1 + share * (learned - 1)
    torch.testing.assert_close(now["depth"], factor * was["depth"], rtol=1e-4, atol=1e-4)


def measured(depth, pixels=0):
    """Of four images whose depth is 2 m, and of whose ten pixels some are of the right class."""
    errors, classes = DepthErrors(), ConfusionMatrix(2)
    for _ in range(4):
        errors.add(np.array([depth]), np.array([2.0]))
        classes.add(np.arange(10) >= pixels, np.zeros(10, np.uint8))
    return Result(("a", "b", "c", "d"), {"depth": errors, "semantic": classes})


@pytest.mark.parametrize(
    ("after", "moved", "reason"),
    [
        (measured(2.2, pixels=5), None, None),
        (measured(2.2, pixels=6), 0.05, None),
        (measured(2.6, pixels=9), 0.0, "depth is not better than before: on 4 frames"),
        (measured(2.2, pixels=4), 0.0, "classes are worse than before: mIoU is 0.200 and was 0.2"),
        (measured(2.2, pixels=5), 0.06, "of 9 old pictures moves by 6.0%, expected 5% at most"),
    ],
)
def test_why_a_network_does_not_take_the_place_of_what_it_was(after, moved, reason):
    chosen = None if moved is None else Blend(0.2, moved, 9)
    said = why_not(after, measured(2.5, pixels=5), chosen)
    assert said is None if reason is None else reason in said


def test_labels_of_the_folder_count_by_their_names(weights, tmp_path):
    data = write_drive(tmp_path / "drive", train=3.0, val=3.0, labels=True)
    learned = trained.load(weights).manifest.labels
    folder = adapt.own.read_folder(data, learned)
    assert folder.classes == learned and folder.tasks == ("depth", "semantic")
    opened = data_set(Config.model_validate(settings(folder)).data).open(data, "late")
    assert opened.names == ["val4", "val5", "val6", "val7"]
    assert (opened[0].labels == UNLABELLED).all()  # dragon is no class that is learned
    (data / "classes.yaml").write_text("classes: {dragon: {}, sofa: {}}")
    opened = data_set(Config.model_validate(settings(folder)).data).open(data, "early")
    assert (opened[0].labels == learned.names.index("sofa")).all()
    assert opened.names == ["val0", "val1", "val2", "val3"]


def test_held_norms_learn_nothing_of_a_mini_batch(tmp_path):
    data = write_drive(tmp_path / "drive", train=3.0, val=3.0)
    folder = adapt.own.read_folder(data)
    content = settings(folder)
    content["data"] |= {"workers": 0, "crop": (32, 64)}
    run = open_run(Config.model_validate(content), tmp_path, "cpu", root=data)
    norms = {k: v.clone() for k, v in run.trainer.network.state_dict().items() if "running" in k}
    (batch, *_) = run.batches.epoch(0)
    assert batch.images.shape == (4, 32, 64, 3)
    run.trainer.step(batch, 0, 0, 1e-3)
    now = run.trainer.network.state_dict()
    assert norms and all(torch.equal(now[name], value) for name, value in norms.items())


def test_a_network_without_labels_is_refused(tmp_path):
    weights = write_small_weights(tmp_path / "depth.safetensors", variant="depth")
    data = write_drive(tmp_path / "drive", train=3.0, val=3.0)
    with pytest.raises(ValueError, match=r"answers depth, depth as metres; expected a network of"):
        go(weights, data, tmp_path / "out")
