"""One mini-batch of four images, by as many processes as there are: ``weigh.py OUT``.

Saves what each strategy leaves behind: gradients of what is shared and of
their own parameters. Batch norm is in evaluation mode, and so no image knows of the others.
"""

import sys

import torch
from torch.nn.parallel import DistributedDataParallel

from sosd_ros.network import SOSDNet
from training import distributed, strategies
from training.data.loader import Batch
from training.learning import losses


def share_of_batch():
    torch.manual_seed(1)
    images, depth = torch.randn(4, 3, 32, 64), 1 + torch.rand(4, 32, 64)
    depth[0, :20] = torch.nan  # the shares differ in how much truth they have
    labels = torch.randint(0, 40, (4, 32, 64), dtype=torch.uint8)
    mine = slice(distributed.rank(), None, distributed.processes())
    return Batch(images[mine], depth[mine], labels[mine])


def gradients(name):
    batch, processes = share_of_batch(), distributed.processes()
    torch.manual_seed(0)
    network = SOSDNet("sosd", "mobilenetv4_conv_small").eval()
    strategy = strategies.create(
        strategies.options(name), network, lambda parameters: torch.optim.Adam(parameters)
    )
    strategy.begin(0, 0)
    model = network
    if processes > 1:
        model = DistributedDataParallel(network, find_unused_parameters=strategy.freezes)
    output = model(batch.images, strategy.tasks)
    pixels = {
        task: distributed.total(count) / processes
        for task, count in losses.known_pixels(batch).items()
    }
    by_task = losses.losses(output, batch, pixels)
    strategy.combine(by_task, output.shared).backward()
    own = [distributed.total(parameter.grad) / processes for parameter in strategy.own]
    shared = network.get_parameter("common.conv.conv.weight").grad
    return [shared, *own]


if __name__ == "__main__":
    torch.set_num_threads(1)
    with distributed.joined("cpu"):
        result = {name: gradients(name) for name in strategies.NAMES}
        torch.save(result, f"{sys.argv[1]}/{distributed.rank()}.pt")
