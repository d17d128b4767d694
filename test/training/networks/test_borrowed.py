"""Models of transformers as teachers: tiny ones with random weights, made and loaded offline."""

import numpy as np
import pytest
import torch

pytest.importorskip("transformers", reason="install the extra 'teachers'")

import transformers

from sosd_ros.labels import NYU40
from training.networks.borrowed import FARTHEST, open_depth, open_labels, tied

SIZE = (48, 64)
SEED = 4


def picture(height=48, width=64):
    print(f"seed {SEED}")
    return np.random.default_rng(SEED).integers(0, 255, (height, width, 3), np.uint8)


def save(folder, model, processor):
    torch.manual_seed(SEED)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)


def processor():
    return transformers.ViTImageProcessor(size={"height": 56, "width": 56})


def depth_anything(folder, **options):
    backbone = transformers.Dinov2Config(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=56,
        patch_size=14,
        out_features=["stage1", "stage2"],
        reshape_hidden_states=False,
    )
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=16,
        reassemble_factors=[2, 1],
        neck_hidden_sizes=[8, 8],
        fusion_hidden_size=8,
        patch_size=14,
        head_hidden_size=4,
        **options,
    )
    return save(folder, transformers.DepthAnythingForDepthEstimation(config), processor())


def segformer(folder, names):
    config = transformers.SegformerConfig(
        depths=[1, 1, 1, 1],
        hidden_sizes=[8, 8, 8, 8],
        num_attention_heads=[1, 1, 1, 1],
        decoder_hidden_size=8,
        id2label=dict(enumerate(names)),
        label2id={name: i for i, name in enumerate(names)},
    )
    return save(folder, transformers.SegformerForSemanticSegmentation(config), processor())


def mask2former(folder, names):
    backbone = transformers.SwinConfig(
        image_size=64,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 1, 1],
        window_size=4,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    config = transformers.Mask2FormerConfig(
        backbone_config=backbone,
        feature_size=32,
        mask_feature_size=32,
        hidden_dim=32,
        encoder_feedforward_dim=8,
        dim_feedforward=8,
        encoder_layers=1,
        decoder_layers=2,
        num_attention_heads=1,
        num_queries=5,
        id2label=dict(enumerate(names)),
        label2id={name: i for i, name in enumerate(names)},
    )
    return save(folder, transformers.Mask2FormerForUniversalSegmentation(config), processor())


@pytest.fixture
def classes(tmp_path):
    """What two datasets call the same."""
    path = tmp_path / "classes.yaml"
    path.write_text("wall: wall\nfloor, flooring: floor\nrug: floor\n")
    return path


THEIRS = ["wall", "floor, flooring", "rug", "sky"]


@pytest.mark.parametrize("make", [segformer, mask2former])
def test_classes_are_ours_and_what_is_left_is_none(tmp_path, classes, make):
    model = open_labels(make(tmp_path / "model", THEIRS), classes, NYU40, "cpu")
    with torch.inference_mode():
        scores = model.answer(picture(), SIZE)
        everything = torch.eye(4)
        theirs = type(model)("", model.model, model.processor, everything).answer(picture(), SIZE)
    assert scores.shape == (40, *SIZE)
    torch.testing.assert_close(theirs.sum(0), torch.ones(SIZE), atol=1e-4, rtol=0)
    wall, floor = NYU40.names.index("wall"), NYU40.names.index("floor")
    torch.testing.assert_close(scores[wall], theirs[0])
    torch.testing.assert_close(scores[floor], theirs[1] + theirs[2])
    assert scores.sum(0).max() < 1 and scores.count_nonzero(dim=(1, 2)).count_nonzero() == 2


@pytest.mark.parametrize(
    ("said", "meaning"), [("metric", "metric"), ("relative", "inverse"), (None, "inverse")]
)
def test_depth_means_what_the_configuration_says(tmp_path, said, meaning):
    options = {"depth_estimation_type": said} if said else {}
    model = open_depth(depth_anything(tmp_path / "model", **options), "cpu")
    assert model.meaning == meaning
    with torch.inference_mode():
        answer = model.answer(picture(), SIZE)
    assert answer.shape == SIZE and answer.isfinite().all()
    assert open_depth(model.name, "cpu", "metric").meaning == "metric"


def test_what_cannot_be_loaded_is_named(tmp_path, classes):
    with pytest.raises(ValueError, match=r"nowhere cannot be loaded as a teacher: .*; name a"):
        open_depth(str(tmp_path / "nowhere"), "cpu")
    folder = segformer(tmp_path / "model", THEIRS)
    with pytest.raises(ValueError, match="cannot be loaded as a teacher"):
        open_depth(folder, "cpu")


def test_a_pickle_is_not_read(tmp_path):
    folder = depth_anything(tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").unlink()
    (tmp_path / "model" / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ValueError, match="cannot be loaded as a teacher"):
        open_depth(folder, "cpu")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sofa: wall", r"has 'sofa', but .*model have no such class; they have wall, floor, floo"),
        ("wall: mars", r"has 'mars', but the teachers have no such class"),
        ("", "holds no lines of the form"),
        ("{", "cannot be read"),
    ],
)
def test_classes_that_nobody_has_are_refused(tmp_path, text, words):
    (tmp_path / "odd.yaml").write_text(text)
    folder = segformer(tmp_path / "model", THEIRS)
    with pytest.raises(ValueError, match=words):
        open_labels(folder, tmp_path / "odd.yaml", NYU40, "cpu")


def scene():
    """True metres, and what a model says of their inverse."""
    random = np.random.default_rng(SEED)
    metres = random.uniform(0.5, 8.0, (60, 80)).astype(np.float32)
    return metres, (7.0 / metres + 3.0).astype(np.float32), random


def test_relative_depth_is_tied_to_metres_by_a_few_of_them():
    metres, relative, random = scene()
    known = np.where(random.uniform(size=metres.shape) < 0.05, metres, np.nan)
    np.testing.assert_allclose(tied(relative, known), metres, rtol=1e-3)


def test_a_fifth_of_wrong_metres_does_not_turn_it():
    metres, relative, random = scene()
    wrong = np.where(random.uniform(size=metres.shape) < 0.2, 1.5, metres)
    found = tied(relative, wrong.astype(np.float32))
    assert np.median(np.abs(found / metres - 1)) < 0.02


def test_where_nothing_ties_it_nothing_is_answered():
    metres, relative, _ = scene()
    assert tied(relative, np.full_like(metres, np.nan)) is None
    assert tied(-relative, metres) is None
    far = tied(relative, metres * 100)
    assert np.isnan(far).any() and np.nanmax(far) <= FARTHEST
