"""The two parts of NYU Depth v2's training scenes."""

import shutil
from pathlib import Path

import pytest
from support import run_here

from training import train
from training.config import Data
from training.data import held_back
from training.data.errors import DataError
from training.data.nyuv2 import NYUv2
from training.networks import trained

HELD_BACK = held_back._FILE.read_text().split()


@pytest.fixture(scope="module")
def official_root(tmp_path_factory, nyuv2_root):
    """A folder that has the samples to hold back, and some that are to be fitted."""
    root = shutil.copytree(nyuv2_root, tmp_path_factory.mktemp("data") / "official")
    names = sorted({*HELD_BACK, "9001", "9002"})
    for folder, ending in (("rgb", "jpg"), ("depth", "png"), ("label40", "png")):
        for name in names:
            if not (link := root / folder / f"{name}.{ending}").exists():
                link.symlink_to(root / folder / f"0001.{ending}")
    (root / "train.txt").write_text("\n".join(names))
    return root


def test_the_parts_are_the_training_samples(official_root):
    """Each in one of them, in the order of the list."""
    train, fit, apart = (NYUv2(official_root, s).names for s in ("train", "fit", "held_back"))
    assert apart == HELD_BACK and fit == ["9001", "9002"]
    assert sorted(fit + apart) == train
    assert len(NYUv2(official_root, "held_back")) == 157
    assert NYUv2(official_root, "held_back")[156].image.shape == (60, 80, 3)


def test_other_samples_than_the_official_have_no_parts(nyuv2_root, official_root, tmp_path):
    """Names that happen to be the same are not taken for those rooms."""
    with pytest.raises(DataError, match=r"train.txt lacks 15\d of the 157 samples that split fit"):
        NYUv2(nyuv2_root, "fit")
    root = shutil.copytree(official_root, tmp_path / "copy", symlinks=True)
    (root / "train.txt").write_text("\n".join(HELD_BACK[1:]))
    with pytest.raises(DataError, match=f"lacks 1 of the 157 .*, {HELD_BACK[0]} first; .* or val"):
        NYUv2(root, "held_back")


def test_a_training_on_one_part_is_measured_on_the_other(official_root, tmp_path, monkeypatch):
    """Nothing of val is touched; so is its file by evaluate and export, if no split is given."""
    runs = []
    monkeypatch.setattr(train, "fit", lambda run, *_: runs.append(run))
    config = Path(__file__).parents[3] / "config" / "training" / "nyuv2_mtl.yaml"
    settings = ("data.split=fit", "data.size=[32,64]", "data.workers=0", "batch_size=2")
    network = ("network.backbone=mobilenetv4_conv_small", "network.pretrained=false")
    settings = [option for setting in (*settings, *network) for option in ("--set", setting)]
    arguments = ("--out", tmp_path / "run", "--data", official_root, "--device", "cpu")
    run_here(train, config, *arguments, *settings)
    [run] = runs
    assert run.validation.names == HELD_BACK
    assert len(run.batches) == 1
    manifest = trained.training_manifest(run.config)
    assert Data.model_validate(manifest.training["data"]).validation == "held_back"
