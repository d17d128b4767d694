"""The bond with Nav2's lifecycle manager, which ends all that it manages when one bond breaks."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node

try:
    from bondpy.bondpy import Bond
except ImportError:  # optional: a manager can be told to do without
    Bond = None

# Seconds, 31 years: as Nav2's own nodes, this one outlasts a manager that falls silent. The
# parameter by which they say so would be declared by bondpy a second time, which rclpy refuses.
NEVER = 1e9
MISSING = (
    "the package bondpy is not installed, so there is no bond: install it, or set bond_timeout: "
    "0.0 for Nav2's lifecycle manager"
)


class ManagerBond:
    """Tells a lifecycle manager that ``node`` lives, on the topic ``bond`` under the node's name.

    Heartbeats come from a thread of their own, whatever the executor and the network are at.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._bond: Any = None
        self._is_missed = Bond is None

    def form(self, period: float) -> None:
        """Begin with heartbeats every ``period`` seconds; 0 or less: none."""
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
