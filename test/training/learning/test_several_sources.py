"""Training on several sources: each task learns where it is taught, and nothing else changes."""

import csv

import cv2
import numpy as np
import pytest
import torch
from support import run_here
from tiny_training import SIZE, assert_same_batch, config, go, trainer, write_config

from sosd_ros.labels import UNLABELLED
from training import evaluate, train
from training.config import Config, ConfigError, load
from training.data.loader import TrainingBatches
from training.data.sets import data_set, open_training
from training.learning.losses import losses
from training.learning.run import open_run
from training.learning.signals import Interrupted, Signals
from training.networks import trained

DISJOINT = ({"part": (0, 2), "tasks": ["depth"]}, {"part": (1, 2), "tasks": ["semantic"]})


def settings(*sources, **changes) -> Config:
    data = {"size": SIZE, "workers": 0, "sources": sources or DISJOINT}
    return config(**{"batch_size": 2, "data": data | changes.pop("data", {})} | changes)


def parameters(learner):
    return torch.cat([p.detach().flatten() for p in learner.network.parameters()])


def write_bright_things(root, train=16, val=4):
    """What is light is at 3 m, what is dark at 1 m; what is red is class 1, what is blue class 2.

    In blocks of 16x16 pixels, drawn with seed 3.
    """
    random = np.random.default_rng(3)
    for folder in ("rgb", "depth", "label40"):
        (root / folder).mkdir(parents=True)
    names = [f"{number:04d}" for number in range(train + val)]
    (root / "train.txt").write_text("\n".join(names[:train]))
    (root / "val.txt").write_text("\n".join(names[train:]))
    for name in names:
        light, red = (
            random.integers(0, 2, (SIZE[0] // 16, SIZE[1] // 16)).repeat(16, 0).repeat(16, 1)
            for _ in range(2)
        )
        colours = np.array([(255, 60, 60), (60, 60, 255)])[red]  # blue, green, red
        picture = colours * np.where(light, 1.0, 0.35)[..., None]
        cv2.imwrite(str(root / "rgb" / f"{name}.png"), picture.astype(np.uint8))
        metres = np.where(light, 3.0, 1.0)
        cv2.imwrite(str(root / "depth" / f"{name}.png"), (1000 * metres).astype(np.uint16))
        cv2.imwrite(str(root / "label40" / f"{name}.png"), (2 - red).astype(np.uint8))
    return root


def test_both_tasks_learn_from_images_that_teach_one_each(tmp_path):
    """On images that no source has: better than the best constant answer of each task.

    That is right at half of the pixels, and errs by 1 m.
    """
    root = write_bright_things(tmp_path / "things")
    run = open_run(
        settings(
            batch_size=4,
            data={"scales": (1.0,), "chance": 0.0},
            network={"variant": "esosd", "backbone": "mobilenetv4_conv_small", "imagenet": False}
            | {"init": "sigma01"},
            strategy="em",
            epochs=20,
            evaluate_every=20,
            optimiser={"learning_rate": 3e-3, "schedule": "poly"},
        ),
        tmp_path / "out",
        "cpu",
        root=root,
    )
    go(run)
    with (tmp_path / "out" / "log.csv").open() as file:
        last = list(csv.DictReader(file))[-1]
    assert float(last["pAcc"]) > 0.7, last
    assert float(last["rms"]) < 0.95, last


def batches_of(samples, data, **options):
    return TrainingBatches(samples, data, SIZE, 4, seed=5, workers=0, **options)


@pytest.fixture
def halves(nyuv2_root):
    data = settings().data
    return open_training(data, nyuv2_root), data_set(data)


def test_a_step_of_algorithm_1_sees_its_own_half(halves):
    """Depth of the odd names and labels of the even ones, turn by turn, over epochs."""
    samples, data = halves
    learner = trainer(network=settings(strategy="em").network, strategy="em")
    batches = batches_of(samples, data, tasks_at=learner.strategy.tasks_at)
    assert len(batches) == 1
    for iteration in range(4):
        (batch,) = batches.epoch(iteration)
        learner.strategy.begin(iteration, iteration)
        task = "depth" if set(batch.names) == {"0001", "0003"} else "semantic"
        assert learner.strategy.tasks == (task,)
        assert batch.depth.isfinite().any() == (task == "depth")
        assert (batch.labels != UNLABELLED).any() == (task == "semantic")


def test_processes_share_every_mini_batch_of_sources(halves):
    """Each with its part of both sources; together they are what one process has alone."""
    samples, data = halves
    parts = [batches_of(samples, data, rank=rank, processes=2).epoch(0) for rank in (0, 1)]
    for whole, first, second in zip(batches_of(samples, data).epoch(0), *parts, strict=True):
        for half, part in zip(whole.split(2), (first, second), strict=True):
            assert_same_batch(half, part)
            assert part.depth.isfinite().any() and (part.labels != UNLABELLED).any()


def test_what_is_cut_in_comes_from_the_same_source(halves):
    """Else a step would see less truth than its shares say."""
    samples, _ = halves
    mixed = settings(data={"cutmix": 1.0, "scales": (1.0,)}).data
    plain = settings(data={"scales": (1.0,)}).data
    tasks = {"tasks_at": lambda iteration, epoch: ("depth",)}
    for cut, whole in zip(
        batches_of(samples, data_set(mixed), **tasks).epoch(0),
        batches_of(samples, data_set(plain), **tasks).epoch(0),
        strict=True,
    ):
        assert not torch.equal(cut.images, whole.images)
        assert cut.depth.isnan().sum() <= whole.depth.isnan().sum() + 4 * 4


def test_a_joint_step_learns_each_task_where_it_is_taught(halves):
    """The loss of a task over a mixed mini-batch is that over its own images alone."""
    samples, data = halves
    (batch,) = batches_of(samples, data).epoch(0)
    learner = trainer(batch_norm=False)
    output = learner.network(batch.images.permute(0, 3, 1, 2).float() / 255, size=SIZE)
    together = losses(output, batch)
    taught = {
        "depth": batch.depth.isfinite().flatten(1).any(1),
        "semantic": (batch.labels != UNLABELLED).flatten(1).any(1),
    }
    assert torch.equal(taught["depth"], ~taught["semantic"])
    for task, where in taught.items():
        alone = output._replace(depth=output.depth[where], logits=output.logits[where])
        truth = batch._replace(depth=batch.depth[where], labels=batch.labels[where])
        torch.testing.assert_close(losses(alone, truth)[task], together[task])


@pytest.mark.parametrize("strategy", ["joint", "uncertainty", "gradnorm", "mgda"])
def test_a_mini_batch_without_truth_of_a_task_is_no_trouble(halves, strategy):
    """The task gives no gradient, and nothing that is not a number."""
    samples, data = halves
    tasks = {"tasks_at": lambda iteration, epoch: ("depth",)}
    (batch,) = batches_of(samples, data, **tasks).epoch(0)
    learner = trainer(strategy=strategy, network=settings().network)
    seen = learner.step(batch, 0, 0, 1e-3)
    assert seen["semantic"] == 0 < seen["depth"]
    gradients = [p.grad for p in learner.network.parameters() if p.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)
    path = next(iter(learner.network.task_parameters("semantic")))
    assert path.grad is None or path.grad.isfinite().all()


def test_batch_norms_may_see_the_same_mixture_in_all_steps(nyuv2_root, tmp_path):
    """With draw=all, mini-batches of Algorithm 1 have both sources, whatever the step learns."""
    run = open_run(settings(strategy="em", data={"draw": "all"}), tmp_path, "cpu", root=nyuv2_root)
    for epoch in range(2):
        for batch in run.batches.epoch(epoch):
            assert len({int(name) % 2 for name in batch.names}) == 2


@pytest.mark.parametrize("strategy", ["em", "joint"])
def test_a_run_on_sources_goes_on_exactly(nyuv2_root, tmp_path, strategy):
    """Stopped after each mini-batch, it ends as the one that was not."""

    def opened(name):
        last = tmp_path / name / "last.pt"
        return open_run(
            settings(strategy=strategy, epochs=2, evaluate_every=2),
            tmp_path / name,
            "cpu",
            root=nyuv2_root,
            resume=last if last.exists() else None,
        )

    stop = Signals()
    stop.number = 15
    whole = opened("whole")
    go(whole)
    for iteration in range(1, 3):
        with pytest.raises(Interrupted):
            go(opened("parts"), stop)
        assert opened("parts").iteration == iteration
    rest = opened("parts")
    go(rest)
    assert torch.equal(parameters(rest.trainer), parameters(whole.trainer))


def test_a_network_of_two_data_sets_is_trained_and_measured(
    nyuv2_root, camvid_root, tmp_path, capsys
):
    """Labels of CamVid and depth of NYU Depth v2: by its commands, on what CamVid has."""
    sources = {"name": "camvid"}, {"name": "nyuv2", "root": nyuv2_root, "tasks": ["depth"]}
    path = write_config(
        tmp_path,
        data={"name": "camvid", "size": SIZE, "workers": 0, "sources": sources},
        batch_size=2,
        epochs=1,
    )
    common = "--data", camvid_root, "--device", "cpu"
    run_here(train, path, "--out", tmp_path / "out", *common)
    run_here(evaluate, tmp_path / "out" / "last.pt", *common)
    said = capsys.readouterr().out
    assert "CamVid val, 2 images" in said and "mIoU" in said and "rms" not in said
    manifest = trained.load(tmp_path / "out" / "last.pt").manifest
    assert manifest.training["data"]["sources"][1]["root"] == nyuv2_root.name


@pytest.mark.parametrize(
    ("sources", "sentence"),
    [
        ("[{tasks: [depth]}]", "learns semantic, which no source teaches; add one to data.sources"),
        ("[{tasks: []}]", "images without any truth teach only by a teacher's answers; write"),
        ("[{name: camvid, tasks: [depth]}]", "camvid has no depth; leave it out"),
        ("[{part: [2, 2]}]", "expected k below n, as [0, 2]"),
        ("[{share: 0}]", "data.sources.0.share = 0: Input should be greater than 0"),
        ("[{name: cityscapes, camera: [9, 9, 9, 9]}]", "the disparity of cityscapes is that of it"),
        ("[{nam: nyuv2}]", "data.sources.0.nam = 'nyuv2': Extra inputs are not permitted"),
    ],
)
def test_wrong_sources_are_named(tmp_path, sources, sentence):
    """Under every strategy; by key, value and what was expected."""
    path = write_config(tmp_path)
    with pytest.raises(ConfigError) as error:
        load(path, [f"data.sources={sources}"])
    assert sentence in str(error.value)


def test_a_source_that_teaches_nothing_that_is_learned_is_named(tmp_path):
    """It would only cost time."""
    path = write_config(tmp_path)
    sources = "[{tasks: [depth]}, {tasks: [semantic]}]"
    with pytest.raises(ConfigError, match=r"learns nothing from data\.sources\.1, which teaches s"):
        load(path, ["network.variant=depth", f"data.sources={sources}"])


def test_a_missing_folder_is_named_before_anything_is_made(tmp_path, nyuv2_root):
    """With what would write it."""
    missing = settings({"root": tmp_path / "missing"})
    with pytest.raises(ValueError, match=r"missing/train\.txt cannot be read; point --data"):
        open_run(missing, tmp_path / "out", "cpu", root=nyuv2_root)
