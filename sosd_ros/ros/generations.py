"""What rclpy names differently in Humble than in all that came after it, up to Lyrical."""

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
    """For timers: a simulation's clock may stand still, and this one does not."""
    return Clock(clock_type=ClockType.STEADY_TIME)
