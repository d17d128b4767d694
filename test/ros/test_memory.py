"""What the node holds on to: the network while it is configured, and nothing of it afterwards."""

import gc

import pytest
import torch
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from sosd_ros.network import SOSDNet
from sosd_ros.ros.node import PerceptionNode

NEEDS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
DEVICES = ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, NEEDS_GPU])]


@pytest.fixture(params=DEVICES)
def node(request, small_weights):
    """A node in this process, whose memory can be looked into."""
    values = {"weights": str(small_weights), "device": request.param}
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    node = PerceptionNode(parameter_overrides=overrides)
    yield node
    node.destroy_node()


def held():
    """Networks of this process, and bytes of the device."""
    # By their types: what stands for something that has died has no class to be asked for.
    networks = sum(issubclass(type(thing), SOSDNet) for thing in gc.get_objects())
    if not torch.cuda.is_available():
        return networks, 0, 0
    return networks, torch.cuda.memory_allocated(), torch.cuda.memory_reserved()


def test_deactivate_keeps_the_network_and_cleanup_frees_it(node):
    """Twice, since CUDA's libraries keep what they took the first time."""
    after_cleanup = []
    for _ in range(2):
        gc.collect()
        before = held()
        for transition in ("configure", "activate", "deactivate"):
            result = getattr(node, f"trigger_{transition}")()
            assert result == TransitionCallbackReturn.SUCCESS
        gc.collect()  # what was tried and is in a cycle is not held
        assert held()[0] == before[0] + 1
        assert node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
        after_cleanup.append(held())
        assert after_cleanup[-1][0] == before[0]
    assert after_cleanup[0] == after_cleanup[1]
