"""Whether a camera's 16-bit images use the bits that they are said to have."""

from __future__ import annotations

MINUTE = 60.0  # seconds of images that are looked at before they are called dark
LONGEST_GAP = 10.0  # seconds; a longer pause between two images counts as this
BIT_DEPTHS = (8, 10, 12, 14, 16)  # of cameras


class BitDepth:
    """What the greatest values of a camera's images say of ``significant_bits``.

    A camera of 12 bits fills the lower 12 of ``mono16``: taken as 16, its images are almost black.
    An image that is too bright is known at once, and too dark ones when a minute of them has been
    seen, by the time of their arrival: a camera's stamps may stand still.
    """

    def __init__(self) -> None:
        self._begin(16)

    def _begin(self, significant_bits: int) -> None:
        self._bits = self._fitting = significant_bits
        self._peak = 0
        self._seconds = 0.0
        self._last: float | None = None  # arrival

    def see(self, peak: int, arrived: float, significant_bits: int) -> str:
        """Take an image into account; what is doubtful now, in a sentence, or nothing.

        Args:
            peak: its greatest value.
            arrived: when it did, in seconds of a clock that is never set.
            significant_bits: by which it was converted; another value begins anew.
        """
        if significant_bits != self._bits:
            self._begin(significant_bits)
        if self._last is not None:
            self._seconds += min(arrived - self._last, LONGEST_GAP)
        self._last = arrived
        self._peak = max(self._peak, peak)
        fitting = self._fit()
        if self._seconds >= MINUTE:
            self._peak, self._seconds, self._fitting = 0, 0.0, fitting
        elif fitting > self._fitting:
            self._fitting = fitting
        return self._doubt()

    def _doubt(self) -> str:
        bits, fitting = self._bits, self._fitting
        if fitting > bits:
            return (
                f"16-bit images use {fitting} bits, but significant_bits is {bits}, so bright "
                f"pixels are clipped to white: set significant_bits to {fitting}"
            )
        if fitting < bits:
            return (
                f"16-bit images are dark: for a minute, none has used more than {fitting} of "
                f"{bits} bits: if the camera has no more, set significant_bits to {fitting}; "
                "otherwise increase the exposure"
            )
        return ""

    def _fit(self) -> int:
        """The least depth of a camera that holds what was seen; black images say nothing."""
        depths = sorted({*BIT_DEPTHS, self._bits}) if self._peak else [self._bits]
        return next(depth for depth in depths if not self._peak >> depth)
