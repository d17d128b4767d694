"""One mini-batch: forward, backward and update, in as many parts and processes as are asked for."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grad_norm_

from sosd_ros.network import Output, SOSDNet, prepare

from .. import distributed, strategies
from ..config import Config
from ..data.loader import Batch
from ..networks.imagenet import Normalisation
from ..networks.oracle import tell
from .average import MovingAverage
from .depthwise import DepthwiseInFloat32
from .losses import known_pixels, losses

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class NotFiniteError(ValueError):
    """A loss became infinite or NaN; the message names the batch's samples."""


class Trainer:
    """A network and all that moves its parameters.

    Args:
        config: of the run.
        network: to train; it is brought to the device.
        normalisation: of its input.
        device: of torch.

    Raises:
        ValueError: if settings cannot be followed on this device, by these processes.
    """

    def __init__(
        self, config: Config, network: SOSDNet, normalisation: Normalisation, device: str
    ) -> None:
        refuse_what_cannot_run(config, device)
        self.config, self.normalisation, self.device = config, normalisation, device
        network.to(device)
        if config.channels_last:
            network.to(memory_format=torch.channels_last)
        if config.sync_batch_norm:
            distributed.synchronise_batch_norm(network)
        self.network = network
        # Once: numbers that a step brings to a GPU make it wait.
        self._normalisation = [torch.tensor(numbers, device=device) for numbers in normalisation]
        self.strategy = strategies.create(config.strategy, network, self._make_optimiser)
        self.scaler = torch.amp.GradScaler(
            torch.device(device).type, enabled=config.precision == "float16"
        )
        self._average = MovingAverage(network, config.ema) if config.ema else None
        self._parallel = (
            DistributedDataParallel(network, find_unused_parameters=self.strategy.freezes)
            if distributed.processes() > 1
            else None
        )
        # As it is called in training.
        self.model: Callable[..., Output] = self._parallel or network
        if config.compile:
            self.model = torch.compile(self.model)

    @property
    def measured(self) -> SOSDNet:
        """The network that is measured and exported: the moving average, if there is one."""
        return self.network if self._average is None else self._average.network

    def step(self, batch: Batch, iteration: int, epoch: int, rate: float) -> dict[str, float]:
        """Learn from this process's share of a mini-batch.

        Args:
            batch: the share; every process calls this with its own.
            iteration, epoch: counted from 0 over the whole training.
            rate: the learning rate.

        Returns:
            The loss of each task that was learned, over the whole mini-batch.

        Raises:
            NotFiniteError: instead of an update with a loss that is not finite, or a gradient if
                gradients are clipped.
        """
        truth = batch.to(self.device)
        self.network.train()
        if self.config.network.frozen_norms:
            _hold_norms(self.network)
        self.strategy.begin(iteration, epoch)
        self._zero_grad()
        losses = self._backward(truth)
        # One wait for the GPU, for all that decides.
        *values, norm = torch.stack([*losses.values(), self._clip()]).tolist()
        seen = dict(zip(losses, values, strict=True))
        if not all(map(math.isfinite, values)):
            raise NotFiniteError(self._not_finite(_which(seen), batch.names))
        # The scaler of float16 leaves an update with such gradients out by itself.
        if not (math.isfinite(norm) or self.scaler.is_enabled()):
            raise NotFiniteError(self._not_finite("a gradient is not finite", batch.names))
        self._update(rate)
        self.strategy.end()
        return seen

    def _backward(self, truth: Batch) -> dict[str, torch.Tensor]:
        """Leave the gradients of the whole mini-batch; its losses, scalars on the device."""
        # DistributedDataParallel averages over the processes, and so does the sum below: with
        # the whole's count divided by their number, a share's sum becomes the whole's mean.
        processes = distributed.processes()
        pixels = {
            task: distributed.total(count) / processes
            for task, count in known_pixels(truth).items()
        }
        sums: dict[str, torch.Tensor] = {}
        parts = truth.split(self.config.accumulate)
        for number, part in enumerate(parts, start=1):
            with self._exchanging(number == len(parts)):
                by_task, shared = self._losses(part, pixels)
                self.scaler.scale(self.strategy.combine(by_task, shared)).backward()
            for task, loss in by_task.items():
                sums[task] = sums.get(task, 0) + loss.detach()
        for parameter in self.strategy.own:
            if parameter.grad is not None:
                parameter.grad = distributed.total(parameter.grad) / processes
        # One exchange, however many tasks.
        means = distributed.total(torch.stack(list(sums.values()))) / processes
        return dict(zip(sums, means, strict=True))

    def _losses(
        self, part: Batch, pixels: dict[str, torch.Tensor]
    ) -> tuple[dict[str, torch.Tensor], tuple[torch.Tensor, ...]]:
        images = prepare(part.images, self.config.data.seen, *self._normalisation)
        tell(self.network, part.labels)
        with self._in_precision():
            truth_size = (part.labels.shape[1], part.labels.shape[2])
            output = self.model(images, tasks=self.strategy.tasks, size=truth_size)
        by_task = losses(output, part, pixels, self.config.loss)
        return by_task, output.shared

    @contextmanager
    def _in_precision(self) -> Iterator[None]:
        device, precision = torch.device(self.device).type, self.config.precision
        is_slow = device == "cpu" and precision == "bfloat16" and not self.config.compile
        with (
            torch.autocast(device, _DTYPES[precision], enabled=precision != "float32"),
            DepthwiseInFloat32() if is_slow else nullcontext(),
        ):
            yield

    def _clip(self) -> torch.Tensor:
        """Bring the gradients' norm to at most the clip, if there is one; what it was, a scalar."""
        most = self.config.optimiser.clip
        if most is None:
            return torch.zeros((), device=self.device)
        self.scaler.unscale_(self.strategy.optimiser)
        return clip_grad_norm_(self.network.parameters(), most)

    def _update(self, rate: float) -> None:
        optimiser = self.strategy.optimiser
        for group in optimiser.param_groups:
            group["lr"] = rate * group.get("rate_factor", 1.0)
        self.scaler.step(optimiser)
        self.scaler.update()
        if self._average is not None:
            self._average.update(self.network)

    def _not_finite(self, what: str, names: tuple[str, ...]) -> str:
        """Every process names its own samples, so that all of the mini-batch are named."""
        everyone = ", ".join(name for part in distributed.gather(names) for name in part)
        help_ = "lower optimiser.learning_rate or set optimiser.clip"
        if self.config.precision != "float32":
            help_ += ", or use precision float32"
        return f"{what} on the samples {everyone}; {help_}"

    def _zero_grad(self) -> None:
        # Gradients become None, not zero: Adam would move a held parameter on a zero.
        self.network.zero_grad(set_to_none=True)
        for parameter in self.strategy.own:
            parameter.grad = None

    def _make_optimiser(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        settings = self.config.optimiser
        backbone = set(self.network.backbone.parameters())
        groups: dict[tuple[float, float], list[nn.Parameter]] = defaultdict(list)
        for parameter in parameters:
            factor = 1.0 if parameter in backbone else settings.head_factor
            decay = settings.weight_decay if parameter.ndim > 1 else 0.0
            groups[factor, decay].append(parameter)
        return torch.optim.AdamW(  # without decay it is Adam
            [
                {"params": group, "rate_factor": factor, "weight_decay": decay}
                for (factor, decay), group in groups.items()
            ],
            lr=settings.learning_rate,
            weight_decay=0.0,
            # One kernel for all on a GPU, which also asks the scaler there; else torch's choice.
            fused=True if torch.device(self.device).type == "cuda" else None,
        )

    def _exchanging(self, now: bool) -> AbstractContextManager[None]:
        """Gradients are exchanged between the processes with the last part only."""
        if self._parallel is None or now:
            return nullcontext()
        return self._parallel.no_sync()

    def state_dict(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            **({"ema": None} if self._average is None else self._average.state_dict()),
            "strategy": self.strategy.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.strategy.optimisers],
            "scaler": self.scaler.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        if self._average is not None:
            self._average.load_state_dict(state)
        self.strategy.load_state_dict(state["strategy"])
        for optimiser, content in zip(self.strategy.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(content)
        self.scaler.load_state_dict(state["scaler"])


def _hold_norms(network: nn.Module) -> None:
    """Have batch norms neither use nor change the statistics of the mini-batch."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


def refuse_what_cannot_run(config: Config, device: str) -> None:
    """Refuse settings that this device and these processes cannot follow.

    Raises:
        ValueError: naming the settings and the way out.
    """
    processes = distributed.processes()
    if config.batch_size % (processes * config.accumulate):
        raise ValueError(
            f"batch_size is {config.batch_size}, which {processes} processes with accumulate "
            f"{config.accumulate} cannot share out evenly; change one of them"
        )
    if config.sync_batch_norm and not device.startswith("cuda"):
        raise ValueError(
            f"sync_batch_norm works between GPUs only, but the device is {device}; "
            "set sync_batch_norm=false"
        )


def _which(seen: dict[str, float]) -> str:
    """Which losses are not finite."""
    return " and ".join(
        f"the {task} loss is {loss}" for task, loss in seen.items() if not math.isfinite(loss)
    )
