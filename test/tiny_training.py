"""A network and a configuration that train in moments, for tests of the training itself."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from sosd_ros.network import SOSDNet
from training.config import Config, dump
from training.data import nyuv2
from training.data.loader import Batch
from training.learning.log import Log
from training.learning.loop import fit
from training.learning.run import Run
from training.learning.signals import Signals
from training.learning.step import Trainer
from training.networks import checkpoint
from training.networks.imagenet import Normalisation

SIZE = (32, 64)
NORMALISATION = Normalisation((0.5,) * 3, (0.5,) * 3)


def config(**changes) -> Config:
    values = {
        "data": {"name": "nyuv2", "size": SIZE, "workers": 0},
        "network": {"backbone": "mobilenetv4_conv_small", "pretrained": False, "variant": "sosd"},
        "strategy": "joint",
        "batch_size": 4,
    }
    return Config.model_validate(values | changes)


def write_config(folder: Path, **changes) -> Path:
    path = folder / "small.yaml"
    path.write_text(dump(config(**changes)))
    return path


def network(settings: Config) -> SOSDNet:
    torch.manual_seed(0)
    return SOSDNet(settings.network.variant, settings.network.backbone)


def fix_batch_norm(net: nn.Module) -> None:
    """Let batch norms use their running statistics for ever: the samples become independent."""
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
            module.train = lambda mode=True, module=module: module


def trainer(batch_norm=True, device="cpu", **changes) -> Trainer:
    settings = config(**changes)
    net = network(settings)
    if not batch_norm:
        fix_batch_norm(net)
    return Trainer(settings, net, NORMALISATION, device)


def batch(seed=1, count=4) -> Batch:
    """Random pictures and truth; every sample has another number of known pixels."""
    generator = torch.Generator().manual_seed(seed)
    shape = (count, *SIZE)
    images = torch.randint(0, 256, (*shape, 3), dtype=torch.uint8, generator=generator)
    depth = 1 + torch.rand(shape, generator=generator)
    labels = torch.randint(0, 40, shape, dtype=torch.uint8, generator=generator)
    for number in range(count):
        depth[number, : 4 * number] = torch.nan
        labels[number, :, : 9 * number] = 255
    return Batch(images, depth, labels, tuple(f"{seed}-{n}" for n in range(count)))


def assert_same_batch(one: Batch, other: Batch) -> None:
    """To the last bit."""
    assert one.names == other.names
    for a, b in zip(one, other, strict=True):
        if isinstance(a, torch.Tensor):
            torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)


def open_run(root: Path, out: Path, **changes) -> Run:
    """A training on a small NYU Depth v2; it goes on from what is in ``out``, if anything is."""
    data = nyuv2.data_set()
    splits = (data.open(root, split) for split in ("train", "val"))
    run = Run(trainer(**changes), data, *splits, out)
    if (out / "last.pt").exists():
        run.load_state_dict(checkpoint.load(out / "last.pt"))
    return run


def go(run: Run, signals: Signals | None = None) -> None:
    """Train to the end, or to a signal."""
    log = Log(run.out, run.iteration)
    try:
        fit(run, log, signals or Signals())
    finally:
        log.close()
