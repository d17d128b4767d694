"""Whether a camera's 16-bit images use ``significant_bits`` bits."""

from __future__ import annotations

MINUTE = 60.0  # seconds of images to look at before calling them dark
LONGEST_GAP = 10.0  # seconds; a longer pause between two images counts as this
BIT_DEPTHS = (8, 10, 12, 14, 16)  # of cameras


class BitDepth:
    """Checks ``significant_bits`` against the greatest values in a camera's images.

    A camera with 12 bits fills the lower 12 of ``mono16``: read as 16 bits, its images are almost
    black. One image that is too bright is enough; images that are too dark are reported after a
    minute of them, by their time of arrival, since a camera's stamps may stand still.
    """

    def __init__(self) -> None:
        self._begin(16)

    def _begin(self, significant_bits: int) -> None:
        self._bits = self._fitting = significant_bits
        self._peak = 0
        self._seconds = 0.0
        self._last: float | None = None  # arrival

    def see(self, peak: int, arrived: float, significant_bits: int) -> str:
        """Take an image into account; returns a sentence about what is doubtful now, or nothing.

        Args:
            peak: its greatest value.
            arrived: its arrival, in seconds of a monotonic clock.
            significant_bits: those it was converted with; a new value starts over.
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
        """The smallest bit depth that holds the peak; black images tell nothing."""
        depths = sorted({*BIT_DEPTHS, self._bits}) if self._peak else [self._bits]
        return next(depth for depth in depths if not self._peak >> depth)
