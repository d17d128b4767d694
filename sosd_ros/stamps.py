"""The order of a camera's stamps, and their age."""

from __future__ import annotations

from builtin_interfaces.msg import Time

# A frame that overtook another is milliseconds late; a clock that is set is off by more. One that
# is set back by less costs the frames until it has caught up.
CLOCK_JUMP = 1_000_000_000  # nanoseconds


class StampOrder:
    """Tells frames that come too late from a clock that was set back.

    Each camera has one of its own, as the clocks of two cameras need not agree.

    Attributes:
        jumps: how often the clock was set back.
    """

    def __init__(self) -> None:
        self._last: int | None = None
        self.jumps = 0

    def accepts(self, stamp: int) -> bool:
        """Whether a frame of this stamp, in nanoseconds, may follow those accepted before.

        It may if it is not older. If it is older by more than ``CLOCK_JUMP``, the camera's clock
        was set back, or a bag begins anew: that is where its time goes on from. Equal stamps
        follow each other, as drivers without a clock send zero.
        """
        if self._last is not None and stamp < self._last:
            if self._last - stamp <= CLOCK_JUMP:
                return False
            self.jumps += 1
        self._last = stamp
        return True


def nanoseconds(stamp: Time) -> int:
    """A stamp as one number."""
    return int(stamp.sec * 1_000_000_000 + stamp.nanosec)


def is_too_old(stamp: int, now: int, max_age: float) -> bool:
    """Whether a stamp lies more than ``max_age`` seconds before ``now``; 0 allows every age.

    Args:
        stamp: of the frame, in nanoseconds.
        now: by the node's clock, which is the simulation's under ``use_sim_time``.
    """
    return max_age > 0 and now - stamp > max_age * 1e9
