"""Networks from weights files and checkpoints."""

import pytest
import torch
from support import write_small_weights

from sosd_ros import weights
from sosd_ros.labels import NYU40, LabelSet
from sosd_ros.network import SOSDNet
from training.config import Config
from training.data import cityscapes, nyuv2
from training.networks import checkpoint, trained

SMALL_RUN = {
    "data": {"name": "nyuv2", "size": [32, 64]},
    "network": {"backbone": "mobilenetv4_conv_small", "pretrained": False},
    "epochs": 3,
}


def network(seed, classes=40):
    torch.manual_seed(seed)
    return SOSDNet("esosd", "mobilenetv4_conv_small", classes)


def write_checkpoint(path, **changes):
    config = Config.model_validate(SMALL_RUN).model_dump(mode="json")
    content = {"config": config, "epoch": 2, "network": network(0).state_dict(), "ema": None}
    checkpoint.save(content | changes, path)
    return path


def same(ours, theirs):
    return all(
        torch.equal(tensor, theirs.state_dict()[name]) for name, tensor in ours.state_dict().items()
    )


def test_a_weights_file_is_as_the_robot_reads_it(small_weights):
    """Half precision and all, with the SHA-256 that tells it from every other."""
    loaded, file = trained.load(small_weights), weights.read(small_weights)
    assert same(loaded.network, weights.build_network(file))
    assert not loaded.network.training
    assert loaded.manifest == file.manifest
    assert loaded.origin == f"sha256 {file.sha256}"


@pytest.mark.parametrize("ema", [False, True])
def test_a_checkpoint_gives_the_moving_average_if_it_has_one(tmp_path, ema):
    """Or else the parameters themselves."""
    average = network(1)
    path = write_checkpoint(tmp_path / "last.pt", ema=average.state_dict() if ema else None)
    loaded = trained.load(path)
    assert same(loaded.network, average if ema else network(0))
    assert not loaded.network.training
    assert loaded.origin == "epoch 2 of 3"
    assert loaded.manifest == trained.training_manifest(Config.model_validate(SMALL_RUN))
    assert loaded.data == Config.model_validate(SMALL_RUN).data


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"name": "nyuv2", "size": (240, 320)}, nyuv2.data_set()),
        ({"name": "nyuv2", "size": (240, 320), "classes": 13}, nyuv2.data_set(13)),
        ({"name": "cityscapes", "size": (256, 512)}, cityscapes.data_set((256, 512))),
    ],
)
def test_the_manifest_speaks_of_the_data_set(data, expected):
    """Classes, unit of depth and licence; the focal length is in pixels of the network's input."""
    manifest = trained.training_manifest(Config.model_validate(SMALL_RUN | {"data": data}))
    assert manifest.labels == expected.labels
    assert manifest.depth == expected.depth
    assert manifest.licence == expected.licence
    height, width = data["size"]
    camera = expected.camera
    scale = (width / camera.width * height / camera.height) ** 0.5
    assert manifest.focal_length == pytest.approx(camera.focal * scale)
    assert weights.Manifest.from_json(manifest.to_json()) == manifest
    own = Config.model_validate(SMALL_RUN | {"data": data | {"licence": "Ours."}})
    assert trained.training_manifest(own).licence == "Ours."


@pytest.mark.parametrize(
    "data",
    [
        {"name": "nyuv2", "size": (64, 96)},
        {"name": "nyuv2", "size": (64, 96), "classes": 13},
        {"name": "cityscapes", "size": (64, 96)},
    ],
)
@pytest.mark.parametrize("told", [True, False])
def test_the_data_set_is_found_by_the_configuration_or_by_the_classes(tmp_path, data, told):
    """What a manifest does not say of its training, its classes tell."""
    manifest = trained.training_manifest(Config.model_validate(SMALL_RUN | {"data": data}))
    path = write_small_weights(
        tmp_path / "w.safetensors",
        labels=manifest.labels,
        training=manifest.training if told else {},
    )
    found = trained.load(path).data
    assert (found.name, found.classes, found.size) == (
        data["name"],
        data.get("classes"),
        data["size"],
    )


def test_unknown_classes_are_refused(tmp_path):
    """There is no truth to measure them by."""
    labels = LabelSet(("cat", "dog"), ((1, 2, 3), (4, 5, 6)))
    path = write_small_weights(tmp_path / "pets.safetensors", labels=labels)
    with pytest.raises(weights.WeightsError, match=r"pets\.safetensors .* 2 classes, cat first"):
        trained.load(path)


def test_a_training_that_this_version_does_not_know_is_refused(tmp_path):
    """Naming the file and what is not known."""
    training = {"data": {"name": "nyuv2", "sound": True}}
    path = write_small_weights(tmp_path / "w.safetensors", training=training)
    with pytest.raises(weights.WeightsError, match=r"w\.safetensors .*sound.*the version that"):
        trained.load(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"config": SMALL_RUN | {"sound": True}},
        {"config": {**SMALL_RUN, "network": {"backbone": "no_such_backbone"}}},
        {"network": network(0, classes=3).state_dict()},
    ],
)
def test_a_checkpoint_that_does_not_fit_is_named_in_one_sentence(tmp_path, changes):
    """A setting, a backbone or parameters that this version cannot use."""
    path = write_checkpoint(tmp_path / "old.pt", **changes)
    with pytest.raises(checkpoint.CheckpointError, match=r"old\.pt does not fit") as error:
        trained.load(path)
    assert "\n" not in str(error.value) and len(str(error.value)) < 600


@pytest.mark.parametrize("name", ["gone.safetensors", "gone.pt"])
def test_a_file_that_is_not_there_is_named(tmp_path, name):
    """Of either kind."""
    with pytest.raises(ValueError, match=f"{name} does not exist"):
        trained.load(tmp_path / name)


def test_any_other_file_is_refused(tmp_path):
    """By its name, unread."""
    with pytest.raises(ValueError, match=r"x\.onnx is neither a \.safetensors weights file nor"):
        trained.load(tmp_path / "x.onnx")


def test_a_network_starts_from_another(tmp_path):
    """With all of its parameters and statistics."""
    started = network(1)
    path = write_checkpoint(tmp_path / "last.pt")
    trained.copy_into(started, trained.load(path), path)
    assert same(started, network(0))


def test_a_network_of_another_kind_is_no_start(tmp_path):
    """The sentence says what the file has."""
    path = write_checkpoint(tmp_path / "last.pt")
    with pytest.raises(ValueError, match=r"last\.pt, with esosd on mobilenetv4_conv_small for 40"):
        trained.copy_into(network(1, classes=13), trained.load(path), path)


def test_classes_that_are_known_keep_what_is_known_of_them(tmp_path):
    """In whatever order; others start anew, and all else is as it was."""
    path = write_checkpoint(tmp_path / "last.pt")
    names = ("pallet", NYU40.names[3], NYU40.names[0])
    started, fresh = network(1, classes=3), network(1, classes=3)
    trained.copy_into(started, trained.load(path), path, names)
    one, other = started.state_dict(), network(0).state_dict()
    for key, parameter in one.items():
        if key.startswith(trained.CLASSIFIER):
            assert torch.equal(parameter[0], fresh.state_dict()[key][0])
            assert torch.equal(parameter[1:], other[key][[3, 0]])
        else:
            assert torch.equal(parameter, other[key])


def test_metres_do_not_start_what_answers_their_logarithm(tmp_path):
    """No tensor would tell: it would answer their exponential."""
    path = tmp_path / "w.safetensors"
    loaded = trained.load(write_small_weights(path))
    changes = (("depth_form", "log"), ("padding", "replicate"), ("output_stride", 16))
    for name, value in changes:
        other = SOSDNet("esosd", "mobilenetv4_conv_small", 40, **{name: value})
        with pytest.raises(ValueError, match=rf"with {name} '?\w+'?, but network\.{name} is"):
            trained.copy_into(other, loaded, path)
