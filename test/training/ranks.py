"""What every process of test_distributed.py does: python ranks.py OUT NYUV2 STRATEGY..."""

import sys
from pathlib import Path

import torch
from tiny_training import SIZE, batch, trainer

from training import distributed
from training.data import nyuv2
from training.measuring.result import measure
from training.networks.predictor import Predictor


def main(out, root, strategies):
    torch.set_num_threads(1)
    with distributed.joined("cpu"):
        rank, processes = distributed.rank(), distributed.processes()
        torch.save(numbers(root), out / f"result-{rank}-of-{processes}.pt")
        for strategy in strategies:
            content = learn(strategy, rank, processes)
            torch.save(content, out / f"{strategy}-{rank}-of-{processes}.pt")


def learn(strategy, rank, processes):
    """What some mini-batches leave, of which this process has its share: losses and parameters,
    and after the first one gradients, of a layer that is shared and of the strategy's own.
    """
    learner = trainer(batch_norm=False, strategy=strategy)
    losses, parameters = [], []
    for iteration in range(3):
        share = batch(seed=iteration).split(processes)[rank]
        losses.append(learner.step(share, iteration, 0, 1e-3))
        parameters.append({n: p.detach().clone() for n, p in learner.network.named_parameters()})
        if iteration == 0:
            shared = learner.network.get_parameter("common.conv.conv.weight")
            gradients = [p.grad.clone() for p in (shared, *learner.strategy.own)]
    return {"losses": losses, "parameters": parameters, "gradients": gradients}


def numbers(root):
    """Every number of an evaluation, to the last digit."""
    learner, data = trainer(), nyuv2.data_set()
    predictor = Predictor(learner.network, data, SIZE, learner.normalisation)
    return repr(measure(predictor, data.open(root, "val"), data, batch_size=1, workers=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
