"""What rclpy names differently in Humble than in all that came after it, up to Lyrical."""

from __future__ import annotations

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
    "ClockType",
    "PublisherEventCallbacks",
    "SubscriptionEventCallbacks",
    "UnsupportedEventTypeError",
]
