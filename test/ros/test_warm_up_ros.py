"""What *configure* has compiled when the node becomes active."""

from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from robot import EAGER
from support import reload_kernels

from sosd_ros import kernels
from sosd_ros.ros.node import PerceptionNode


def test_clouds_are_compiled_before_the_node_is_active(small_weights):
    """By whom no image has been seen yet; test_warm_up.py holds that images then need no more."""
    reload_kernels()
    values = {"weights": str(small_weights), "device": "cpu", **EAGER}
    node = PerceptionNode(parameter_overrides=[Parameter(n, value=v) for n, v in values.items()])
    try:
        assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        compiled = [kernels.prepare, kernels.metres, kernels.classify, kernels.cloud]
        assert all(kernel.signatures for kernel in compiled)
    finally:
        node.destroy_node()
