"""Checks are of the node over DDS."""

import pytest

pytest.importorskip("rclpy", reason="no ROS 2: install the extra 'ros', or source a ROS 2")


@pytest.fixture(scope="session", autouse=True)
def _over_dds(middleware):
    pass
