"""Names of rclpy that differ between Humble and the later distributions, up to Lyrical."""

from __future__ import annotations

from rclpy.clock import Clock

try:
    from rclpy.clock_type import ClockType
except ImportError:  # Humble
    from rclpy.clock import ClockType  # type: ignore[attr-defined]

try:
    from rclpy.event_handler import (
        PublisherEventCallbacks,
        SubscriptionEventCallbacks,
        UnsupportedEventTypeError,
    )
except ImportError:  # Humble
    from rclpy.qos_event import (
        PublisherEventCallbacks,
        SubscriptionEventCallbacks,
        UnsupportedEventTypeError,
    )

__all__ = [
    "PublisherEventCallbacks",
    "SubscriptionEventCallbacks",
    "UnsupportedEventTypeError",
    "steady_clock",
]


def steady_clock() -> Clock:
    """For timers: it keeps running where a simulation's clock may stand still."""
    return Clock(clock_type=ClockType.STEADY_TIME)
