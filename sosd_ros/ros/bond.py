"""The bond with Nav2's lifecycle manager, which takes all its nodes down when one bond breaks."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node

try:
    from bondpy.bondpy import Bond
except ImportError:  # optional: a manager can do without
    Bond = None

# Seconds, 31 years: like Nav2's own nodes, this one outlasts a manager that falls silent. Their
# parameter for it would be declared a second time by bondpy, which rclpy refuses.
NEVER = 1e9
MISSING = (
    "the package bondpy is not installed, so there is no bond: install it, or set bond_timeout: "
    "0.0 for Nav2's lifecycle manager"
)


class ManagerBond:
    """Tells a lifecycle manager that ``node`` lives, on the topic ``bond`` under the node's name.

    Heartbeats have their own thread, so a busy executor or network does not delay them.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._bond: Any = None
        self._is_missed = Bond is None

    def form(self, period: float) -> None:
        """Start heartbeats every ``period`` seconds; 0 or less: none."""
        if period <= 0:
            return
        if Bond is None:
            if self._is_missed:
                self._node.get_logger().info(MISSING)
            self._is_missed = False
            return
        bond = Bond(self._node, "bond", self._node.get_name())
        bond.heartbeat_period = period
        bond.heartbeat_timeout = NEVER
        try:
            bond.start()
        except Exception:  # its publisher is there before its subscription can be refused
            self._node.destroy_publisher(bond.pub)
            raise
        self._bond = bond

    def dissolve(self) -> None:
        """Tell the manager, if there is a bond, and end the heartbeats."""
        bond, self._bond = self._bond, None
        if bond is None:
            return
        try:
            bond.shutdown()
        finally:
            # The bond destroys them, but an executor that still waits for them cannot go on.
            self._node.destroy_subscription(bond.sub)
            self._node.destroy_publisher(bond.pub)
