"""Photographs that teachers label, and a training that learns from them."""

import dataclasses
import json
import math
import shutil
from collections.abc import Callable
from types import SimpleNamespace
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import torch
from support import run_here, write_small_weights
from tiny_training import assert_same_batch, trainer, write_config

from sosd_ros.labels import NYU13, UNLABELLED
from sosd_ros.network import Output
from training import teach, train
from training.config import Loss, load
from training.data import labelled_photographs, nyuv2
from training.data.errors import DataError
from training.data.files import read_colour
from training.data.labelled_photographs import SIZE, Mix, Photographs, files
from training.data.loader import Batch, TrainingBatches
from training.data.sets import data_set
from training.learning import soft_losses
from training.learning.losses import losses
from training.learning.run import open_run
from training.measuring.protocol import Protocol
from training.networks import checkpoint, teachers
from training.networks.predictor import View

DATA = nyuv2.data_set()
SMALL_SIZE = (32, 64)
NAN = math.nan
WEIGHTS = Loss(log_depth=0.5, squared_depth=0.1, scale_invariant=1, gradient=0.5)


def write_photograph(path, seed, size=(90, 120)):
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC))


@pytest.fixture
def photographs(tmp_path):
    """As ``prepare photographs`` writes them."""
    root = tmp_path / "photographs"
    for number in range(3):
        write_photograph(root / "rgb" / f"photo{number}.jpg", number)
    (root / "train.txt").write_text("photo0\nphoto1\nphoto2\n")
    return root


@pytest.fixture
def run_label(small_weights, photographs, tmp_path, monkeypatch):
    """The command, with teachers by whom a picture need not show a room: theirs are random."""
    monkeypatch.setattr(teachers, "_LEAST_ROOM", 0)

    def run(*teachers, out="labelled", scales="1"):
        options = ("--photographs", photographs, "--out", tmp_path / out, "--scales", scales)
        run_here(teach, *(teachers or [small_weights]), *options, "--device", "cpu")
        return tmp_path / out

    return run


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def answers(teacher, image, **protocol):
    return teachers.open_teachers([teacher], Protocol(**protocol).views(), "cpu").answer(
        image, SIZE
    )


def test_labels_are_the_mean_over_teachers_mirror_images_and_scales(
    run_label, small_weights, tmp_path, capsys
):
    """A teacher and its twin say what it says alone, up to the steps of the files."""
    twin = write_small_weights(tmp_path / "twin.safetensors")
    root = run_label(small_weights, twin, scales="1,1.5")
    assert "3 photographs with labels" in capsys.readouterr().out
    image, answer = Photographs(root, DATA)[1]
    alone = answers(small_weights, image, flip=True, scales=(1.0, 1.5))
    assert np.mean(answer.classes == alone.classes) > 0.999
    np.testing.assert_allclose(answer.scores, alone.scores, atol=0.5 / 255 + 1e-6)
    np.testing.assert_allclose(answer.depth, alone.depth, atol=0.00051)
    np.testing.assert_allclose(answer.spread, alone.spread, atol=0.5 / 250 + 1e-6)


def test_depth_is_the_geometric_mean_and_spread_that_of_its_logarithm(small_weights, photographs):
    """Over a picture and its mirror image; the scores are the plain mean."""
    image = read_colour(photographs / "rgb" / "photo1.jpg")
    plain = answers(small_weights, image)
    mirrored = answers(small_weights, np.ascontiguousarray(image[:, ::-1]))
    depths = np.stack([plain.depth, mirrored.depth[:, ::-1]])
    both = answers(small_weights, image, flip=True)
    assert not np.allclose(depths[0], depths[1])
    np.testing.assert_allclose(both.depth, np.exp(np.log(depths).mean(0)), rtol=1e-4)
    np.testing.assert_allclose(both.spread, np.log(depths).std(0), atol=1e-4)
    assert (both.scores[..., 0] <= np.maximum(plain.scores, mirrored.scores[:, ::-1])[..., 0]).all()


def test_teachers_in_bfloat16_say_almost_the_same(small_weights, photographs):
    image = read_colour(photographs / "rgb" / "photo1.jpg")
    exactly = teachers.open_teachers([small_weights], [View()], "cpu")
    exact = exactly.answer(image, SIZE)
    quick = exactly._replace(bfloat16=True).answer(image, SIZE)
    assert quick.depth.dtype == np.float32 and (quick.depth != exact.depth).any()
    np.testing.assert_allclose(quick.depth, exact.depth, rtol=0.05)


def test_a_picture_in_which_teachers_see_no_room_is_left_out(run_label, monkeypatch, tmp_path):
    monkeypatch.setattr(teachers, "_LEAST_ROOM", 1.0)
    root = run_label()
    assert (root / "train.txt").read_text() == ""
    assert not (root / "rgb").exists()


def test_labelling_that_was_stopped_goes_on_to_the_same_files(run_label, monkeypatch):
    whole = contents(run_label(out="whole"))
    write_png, written = labelled_photographs.write_png, []

    def stopping(path, pixels):
        written.append(path)
        if len(written) == 6:
            raise KeyboardInterrupt
        write_png(path, pixels)

    monkeypatch.setattr(labelled_photographs, "write_png", stopping)
    with pytest.raises(KeyboardInterrupt):
        run_label()
    root = run_label()
    assert contents(root) == whole
    assert [path.stem for path in written] == ["photo0"] * 4 + ["photo1"] * 6 + ["photo2"] * 4


def test_of_several_folders_each_is_labelled_by_the_same_teachers(
    run_label, small_weights, photographs, tmp_path, monkeypatch, capsys
):
    """As it is alone; a folder that is labelled already is left as it is."""
    opened, really = [], teach.open_teachers
    monkeypatch.setattr(teach, "open_teachers", lambda *a, **o: opened.append(a) or really(*a, **o))
    more = tmp_path / "more"
    write_photograph(more / "rgb" / "photo3.jpg", seed=3)
    (more / "train.txt").write_text("photo3\n")
    arguments = [small_weights, "--scales", "1", "--device", "cpu", "--out", tmp_path / "both"]
    run_here(teach, *arguments, "--photographs", photographs, more)
    assert len(opened) == 1
    whole = contents(tmp_path / "both" / "photographs")
    assert whole == contents(run_label())
    assert (tmp_path / "both" / "more" / "train.txt").read_text() == "photo3\n"
    capsys.readouterr()
    (more / "train.txt").write_text("photo3\nphoto4\n")
    write_photograph(more / "rgb" / "photo4.jpg", seed=4)
    run_here(teach, *arguments, "--photographs", photographs, more)
    assert "both/photographs is there already" in capsys.readouterr().err
    assert contents(tmp_path / "both" / "photographs") == whole
    assert (tmp_path / "both" / "more" / "train.txt").read_text() == "photo3\nphoto4\n"


def test_other_teachers_or_views_do_not_go_on_where_these_began(
    run_label, small_weights, photographs, tmp_path
):
    run_label()
    with pytest.raises(DataError, match=r"was begun with scales \[1.0\], not \[1.0, 2.0\]"):
        run_label(scales="1,2")
    with pytest.raises(DataError, match="was begun with teachers"):
        run_label(small_weights, small_weights)
    with pytest.raises(ValueError, match="is the folder of photographs itself"):
        run_label(out=photographs)


def test_who_cannot_teach_is_refused(run_label, small_weights, tmp_path):
    semantic = write_small_weights(tmp_path / "semantic.safetensors", variant="semantic")
    with pytest.raises(ValueError, match=r"semantic.safetensors is no teacher: it must answer"):
        run_label(semantic)
    groups = write_small_weights(tmp_path / "groups.safetensors", labels=NYU13)
    with pytest.raises(ValueError, match=r"groups.safetensors answers other classes than"):
        run_label(small_weights, groups)


def test_a_photograph_of_another_shape_is_refused(run_label, photographs):
    write_photograph(photographs / "rgb" / "photo1.jpg", 1, (90, 90))
    with pytest.raises(DataError, match=r"photo1.jpg is 90x90, but photographs must be 4 wide"):
        run_label()


def write_labelled(root, count=3, size=(60, 80)):
    """Known answers: class column // 40 with .6, 30 with .3, 31 with .05; depth a ramp."""
    columns = np.tile(np.arange(SIZE[1]), (SIZE[0], 1))
    classes = np.stack([columns // 40, np.full(SIZE, 30), np.full(SIZE, 31)], -1).astype(np.uint8)
    scores = np.broadcast_to(np.array([153, 77, 13], np.uint8), classes.shape)
    depth = (1000 + 10 * columns).astype(np.uint16)
    spread = np.where(columns < 80, 200, 10).astype(np.uint8)
    names = [f"photo{number}" for number in range(count)]
    for number, name in enumerate(names):
        paths = files(root, name)
        write_photograph(paths.image, number, size)
        for path, part in zip(paths[1:], (classes, scores, depth, spread), strict=True):
            path.parent.mkdir(exist_ok=True)
            assert cv2.imwrite(str(path), part[..., ::-1] if part.ndim == 3 else part)
    (root / "train.txt").write_text("".join(f"{name}\n" for name in names))
    (root / "meta.json").write_text(json.dumps({"classes": DATA.labels.names}))
    return root


@pytest.fixture(scope="module")
def labelled_root(tmp_path_factory):
    return write_labelled(tmp_path_factory.mktemp("labelled"))


@pytest.fixture
def labelled(labelled_root):
    return Photographs(labelled_root, DATA)


def test_soft_labels_and_depth_move_with_the_picture(labelled):
    """Under scale, padding, flip and another size: the class tells the column, and so the depth."""
    data = dataclasses.replace(DATA, scales=(0.5, 1.0, 1.7), chance=1.0)
    for seed in range(12):
        sample = labelled.augmented(0, (48, 64), data, np.random.default_rng(seed))
        assert sample.image.shape == (48, 64, 3) and sample.soft.shape == (48, 64, 4)
        inside = sample.labels != 255
        assert inside.sum() > 500
        column = sample.labels * 40.0 + 20
        assert np.isnan(sample.depth[~inside]).all()
        known = np.isfinite(sample.depth)
        # Teachers spread over the first 80 columns: two classes.
        assert (sample.labels[known] >= 2).all() and (sample.labels[inside & ~known] <= 2).all()
        factor = sample.depth[known] / (1 + 0.01 * column[known])
        assert factor.max() / factor.min() < 1.25
        assert set(np.unique(sample.soft[inside][:, 0])) == {30}
        assert set(np.unique(sample.soft[inside][:, 1])) == {31}
        # Of .6, .3 and .05 nothing is left: renormalised.
        np.testing.assert_array_equal(np.unique(sample.soft[inside][:, 2:], axis=0), [[81, 14]])


def test_truth_stride_thins_out_soft_labels_too(labelled):
    data = dataclasses.replace(DATA, truth_stride=2)
    sample = labelled.augmented(0, (48, 64), data, np.random.default_rng(0))
    assert sample.image.shape == (48, 64, 3)
    assert sample.labels.shape == sample.depth.shape == sample.soft.shape[:2] == (24, 32)


def test_a_folder_that_is_not_whole_is_refused(tmp_path):
    root = write_labelled(tmp_path / "labelled")
    (root / "spread" / "photo1.png").unlink()
    with pytest.raises(DataError, match=r"names 1 files that do not exist(.|\n)*photo1.png"):
        Photographs(root, DATA)
    (root / "train.txt").unlink()
    with pytest.raises(DataError, match="wrote to its end"):
        Photographs(root, DATA)


def test_photographs_of_other_classes_are_refused(labelled_root):
    with pytest.raises(DataError, match="has 40 classes, wall first, which are not the 13"):
        Photographs(labelled_root, nyuv2.data_set(13))


@pytest.mark.parametrize(("size", "share", "expected"), [(4, 0.5, 2), (6, 0.34, 2), (16, 0.75, 12)])
def test_photographs_are_spread_over_a_mini_batch_and_all_come_before_one_comes_again(
    size, share, expected
):
    mix = Mix(size, 7, share, seed=3)
    batches = [[mix.photograph(batch, place) for place in range(size)] for batch in range(14)]
    for batch in batches:
        assert sum(photograph is not None for photograph in batch) == mix.in_batch == expected
        halves = batch[: size // 2], batch[size // 2 :]
        first, second = (sum(it is not None for it in half) for half in halves)
        assert abs(first - second) <= 1
    drawn = [it for batch in batches for it in batch if it is not None]
    for start in range(0, len(drawn) - 6, 7):
        assert sorted(drawn[start : start + 7]) == list(range(7))
    assert drawn[:7] != drawn[7:14]


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_a_share_of_none_or_all_is_refused(share):
    with pytest.raises(ValueError, match=f"photographs_share {share} of batch_size 4"):
        Mix(4, 7, share, seed=0)


def batches(root, labelled, workers=0, data=DATA, **options):
    options = {"photographs": labelled, "photographs_share": 0.5, **options}
    return TrainingBatches(
        data.open(root, "train"), data, SMALL_SIZE, 4, seed=5, workers=workers, **options
    )


def test_an_epoch_is_one_of_the_true_data(nyuv2_root, labelled):
    """Two of its four samples in each of two mini-batches, and photographs between them."""
    mixed = batches(nyuv2_root, labelled)
    assert len(mixed) == 2
    drawn = []
    for epoch in (0, 1):
        made = list(mixed.epoch(epoch))
        for batch in made:
            assert batch.photograph.tolist() == [name.startswith("photo") for name in batch.names]
            assert batch.photograph.sum() == 2 and batch.soft.shape == (4, *SMALL_SIZE, 4)
            assert not batch.soft[~batch.photograph].any()
        own = [name for batch in made for name in batch.names if not name.startswith("photo")]
        assert sorted(own) == ["0001", "0002", "0003", "0004"]
        drawn += [name for batch in made for name in batch.names if name.startswith("photo")]
    # Three photographs in eight places of two epochs: all come before one comes again.
    assert sorted(drawn[:3]) == sorted(drawn[3:6]) == ["photo0", "photo1", "photo2"]


def test_mixed_batches_are_the_same_whoever_makes_them_and_from_wherever(nyuv2_root, labelled):
    """Workers, processes, and a start in the middle of an epoch."""
    whole = [list(batches(nyuv2_root, labelled).epoch(epoch)) for epoch in (0, 1)]
    (rest,) = batches(nyuv2_root, labelled).epoch(1, start=1)
    assert_same_batch(rest, whole[1][1])
    for one, other in zip(whole[0], batches(nyuv2_root, labelled, workers=2).epoch(0), strict=True):
        assert_same_batch(one, other)
    parts = [batches(nyuv2_root, labelled, rank=rank, processes=2).epoch(0) for rank in (0, 1)]
    for batch, first, second in zip(whole[0], *parts, strict=True):
        assert_same_batch(batch.split(2)[0], first)
        assert_same_batch(batch.split(2)[1], second)


def test_samples_are_mixed_with_their_like(nyuv2_root, labelled):
    """With CutMix photographs get parts of photographs, soft labels and all."""
    kinds = (DATA, dataclasses.replace(DATA, cutmix=1.0))
    plain, mixed = (next(batches(nyuv2_root, labelled, data=kind).epoch(0)) for kind in kinds)
    assert torch.equal(mixed.photograph, plain.photograph)
    for number, is_photograph in enumerate(plain.photograph):
        assert not torch.equal(mixed.images[number], plain.images[number])
        if is_photograph:  # of which the second has another camera
            assert mixed.depth[number].isnan().sum() > plain.depth[number].isnan().sum()
        else:
            assert not mixed.soft[number].any()


def test_a_soft_label_costs_the_mean_over_its_classes():
    """.5, .3 and .2 of the classes 0, 1 and 2; an unlabelled pixel costs nothing."""
    logits = torch.tensor([[1.0, 0.0], [0.0, 0.0], [-1.0, 0.0]]).view(1, 3, 1, 2)
    labels = torch.tensor([[[0, 255]]], dtype=torch.uint8)
    shares = torch.tensor([1, 2, 76, 51], dtype=torch.uint8).expand(1, 1, 2, 4)
    cost = -logits[0, :, 0, 0].log_softmax(0)
    expected = (128 * cost[0] + 76 * cost[1] + 51 * cost[2]) / 255
    assert math.isclose(soft_losses.semantic_sum(logits, labels, shares), expected, rel_tol=1e-6)


def test_depth_of_photographs_counts_up_to_a_factor():
    truth = torch.tensor([[[1.0, 2.0, 4.0, NAN]], [[1.0, 2.0, 4.0, 8.0]]])
    depth = (3 * torch.nan_to_num(truth, 5)).requires_grad_()
    loss = soft_losses.log_depth_sum(depth, truth)
    loss.backward()
    assert loss.item() < 1e-6 and depth.grad.isfinite().all()
    fixed = soft_losses.log_depth_sum(depth, truth, scale_free=False)
    assert math.isclose(fixed.item(), 7 * math.log(3), rel_tol=1e-6)
    bent = torch.tensor([[[1.0, 2.0, 8.0, 9.0]], [[NAN] * 4]])
    assert math.isclose(
        soft_losses.log_depth_sum(
            torch.nan_to_num(bent, 1), truth * torch.tensor([1, NAN])[:, None, None]
        ),
        math.log(2),
        rel_tol=1e-6,
    )


def test_true_samples_of_a_mixed_batch_cost_what_they_cost_alone():
    """Beside a photograph without any label or depth."""
    torch.manual_seed(0)
    depth, logits = 1 + torch.rand(2, 4, 4), torch.randn(2, 40, 4, 4)
    truth = torch.stack([1 + torch.rand(4, 4), torch.full((4, 4), NAN)])
    labels = torch.stack([torch.randint(0, 40, (4, 4)), torch.full((4, 4), 255)]).byte()
    images = torch.empty(2)
    output = Output(depth, logits, (torch.empty(0), torch.empty(0)))
    plain = losses(output, Batch(images, truth, labels), weights=WEIGHTS)
    mixed = Batch(
        images, truth, labels, (), torch.zeros(2, 4, 4, 4).byte(), torch.tensor([False, True])
    )
    for task, loss in losses(output, mixed, weights=WEIGHTS).items():
        torch.testing.assert_close(loss, plain[task])


def test_what_teachers_say_is_learned(nyuv2_root, labelled):
    """Losses on a mixed batch fall, and so do those on its photographs."""
    learner = trainer(loss={"log_depth": 1.0})
    (batch, _) = batches(nyuv2_root, labelled).epoch(0)

    photographs = batch.photograph[:, None, None]
    taught = batch._replace(
        depth=batch.depth.masked_fill(~photographs, NAN),
        labels=batch.labels.masked_fill(~photographs, 255),
    )
    before = trainer(loss={"log_depth": 1.0}).step(taught, 0, 0, 3e-3)
    seen = [learner.step(batch, iteration, 0, 3e-3) for iteration in range(12)]
    after = learner.step(taught, 12, 0, 3e-3)
    for task in ("depth", "semantic"):
        assert seen[-1][task] < 0.8 * seen[0][task]
        assert after[task] < 0.9 * before[task]


def test_a_configuration_names_the_folder(nyuv2_root, labelled_root, tmp_path):
    """And ``train`` refuses one that is not there, by name, before it makes a network."""
    data = {"size": SMALL_SIZE, "workers": 0, "photographs": labelled_root}
    config = write_config(tmp_path, data=data, epochs=1)
    assert "photographs without labels" in data_set(load(config).data).licence

    def run(out, *more):
        options = ("--out", tmp_path / out, "--data", nyuv2_root, "--device", "cpu")
        run_here(train, config, *options, *more)

    run("out")
    state = checkpoint.load(tmp_path / "out" / "last.pt")
    assert state["config"]["data"]["photographs"] == str(labelled_root)
    opened = open_run(load(config), tmp_path, "cpu", root=nyuv2_root)
    assert next(opened.batches.epoch(0)).photograph.sum() == 2
    missing = shutil.copytree(labelled_root, tmp_path / "missing")
    (missing / "meta.json").unlink()
    with pytest.raises(DataError, match=r"missing/train.txt and .*missing/meta.json cannot be"):
        run("other", "--set", f"data.photographs={missing}")


def test_models_of_others_vote_as_well(run_label, small_weights, tmp_path, monkeypatch):
    """Their depth is tied to what our teachers answer, and their classes are ours."""
    (tmp_path / "classes.yaml").write_text("their wall: wall\n")
    known = Depth("inverse", lambda y, x: 1 + 0.01 * y), Segmenter(0.9)
    monkeypatch.setattr(teach, "open_depth", lambda *arguments: known[0])
    monkeypatch.setattr(teach, "open_labels", lambda *arguments: known[1])
    options = ("--depth-model", "d", "--labels-model", "l", "--classes", tmp_path / "classes.yaml")
    alone = Photographs(run_label(small_weights), DATA)[0][1]
    both = Photographs(run_label(small_weights, *options, out="both"), DATA)[0][1]
    wall = DATA.labels.names.index("wall")
    assert (both.classes[..., 0] == wall).mean() > 0.99 > (alone.classes[..., 0] == wall).mean()
    # Ours answers about 2 m everywhere, to which no slope fits but a flat one.
    assert both.depth.mean() == pytest.approx(alone.depth.mean(), rel=0.05)
    assert both.spread.mean() < 0.2


def test_relative_depth_follows_what_a_sensor_has_seen(run_label, photographs, monkeypatch):
    """Without any teacher of ours: labels are nobody's, and depth is the sensor's."""
    rows = np.arange(90)[:, None] / 90
    metres = 1 / (0.2 + 0.6 * rows) + np.zeros((1, 120))
    seen = np.where(np.random.default_rng(0).uniform(size=metres.shape) < 0.1, metres, 0)
    for number in range(3):
        (photographs / "depth").mkdir(exist_ok=True)
        written = np.rint(1000 * seen).astype(np.uint16)
        assert cv2.imwrite(str(photographs / f"depth/photo{number}.png"), written)
    model = Depth("inverse", lambda y, x: 5 * (0.2 + 0.6 * (y + 0.5) / SIZE[0]) - 2)
    monkeypatch.setattr(teach, "open_depth", lambda *arguments: model)
    root = run_label("--depth-model", "d", out="sensor")
    answer = Photographs(root, DATA)[0][1]
    expected = cv2.resize(metres, SIZE[::-1], interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(answer.depth[4:-4], expected[4:-4], rtol=0.03)
    assert (answer.classes[..., 0] == UNLABELLED).all()


def test_without_a_sensor_the_shipped_weights_are_the_yardstick(run_label, monkeypatch):
    """A model of the right shape takes their scale, and is no further away than they are."""
    model = Depth("inverse", lambda y, x: 1.0 + 0.001 * y)
    monkeypatch.setattr(teach, "open_depth", lambda *arguments: model)
    answer = Photographs(run_label("--depth-model", "d", out="far"), DATA)[0][1]
    known = answer.depth[answer.depth > 0]
    assert known.size == 0 or 0.3 < np.median(known) < 20


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--labels-model", "m"), "--labels-model and --classes need each other"),
        (("--classes", "c.yaml"), "--labels-model and --classes need each other"),
        (("--temperature", "2"), "there is no teacher; name weights, --depth-model or"),
    ],
)
def test_teachers_that_do_not_suffice_are_refused(run_label, arguments, words):
    with pytest.raises(ValueError, match=words):
        run_label(*arguments)


def test_a_temperature_softens_and_keeps_the_order(run_label, tmp_path, monkeypatch):
    """By the square root: 4 to 1 becomes 2 to 1."""
    (tmp_path / "classes.yaml").write_text("their wall: wall\n")
    monkeypatch.setattr(teach, "open_labels", lambda *arguments: Segmenter(0.8))
    options = ("--labels-model", "l", "--classes", tmp_path / "classes.yaml", "--temperature", "2")
    answer = Photographs(run_label(*options), DATA)[0][1]
    assert (answer.classes[..., 0] == DATA.labels.names.index("wall")).all()
    np.testing.assert_allclose(answer.scores[..., :2].mean((0, 1)), [2 / 3, 1 / 3], atol=0.003)
    assert np.isnan(np.where(answer.spread > 0.15, np.nan, answer.depth)).all()


class Depth(NamedTuple):
    """A model of others whose answer is a function of row and column."""

    meaning: str
    function: Callable
    name: str = "d"
    model: torch.nn.Module = SimpleNamespace(device="cpu")

    def answer(self, image, size):
        return self.function(*torch.meshgrid(*map(torch.arange, size), indexing="ij")).float()


class Segmenter(NamedTuple):
    """A model of others that sees walls everywhere, or else floors."""

    probability: float
    name: str = "l"

    def answer(self, image, size):
        scores = torch.zeros(40, *size)
        scores[DATA.labels.names.index("wall")] = self.probability
        scores[DATA.labels.names.index("floor")] = 1 - self.probability
        return scores
