"""Whether a network is better than before, beyond chance."""

from __future__ import annotations

from ..measuring import bootstrap
from ..measuring.result import Result
from .blend import MOST_MOVED, Blend


def why_not(after: Result, before: Result, blend: Blend | None) -> str | None:
    """Why a network should not take the place of what it was before; ``None`` if it should.

    Depth must be better: all of the 95 % interval of the relative error's difference is below 0.
    Labels, if the frames have some, must not be worse: that of mIoU is not all below 0. Depth of
    old pictures must not have moved by more than ``MOST_MOVED``.

    Args:
        after, before: of the same images.
        blend: how it was made, if there are old pictures.
    """
    found = bootstrap.paired([(after.measures, before.measures)])
    low, high = found["depth"]["rel"]
    if not high < 0:
        return (
            f"depth is not better than before: on {len(after.names)} frames that it has not seen, "
            f"rel is {after.depth['rel']:.3f} and was {before.depth['rel']:.3f}, and the "
            f"difference may be {low:+.3f} to {high:+.3f}"
        )
    low, high = found["semantic"]["mIoU"] if "semantic" in found else (0.0, 0.0)
    if high < 0:
        return (
            f"classes are worse than before: mIoU is {after.semantic['mIoU']:.3f} and was "
            f"{before.semantic['mIoU']:.3f}, and the difference is {low:+.3f} to {high:+.3f}"
        )
    if blend and not blend.moved <= MOST_MOVED:
        return (
            f"depth of {blend.pictures} old pictures moves by {blend.moved:.1%}, expected "
            f"{MOST_MOVED:.0%} at most, even with {blend.share:.0%} of what was learned"
        )
    return None
