"""Whatever comes, the conversion answers or refuses it by a known cause, in a bounded sentence."""

from fuzz import ALLOWANCE, fuzz_conversion, messages_of


def test_a_thousand_generated_messages():
    """Of every kind some are accepted and some refused."""
    counts, before, after = fuzz_conversion(messages_of(1000))
    print(counts, f"memory from {before >> 20} to {after >> 20} MiB")
    for kind in ("Image", "CompressedImage", "CameraInfo"):
        assert counts[kind, "accepted"] > 0
    refusals = {cause for _, cause in counts} - {"accepted"}
    assert refusals >= {"encoding", "size", "step", "data", "compressed", "intrinsics"}
    assert after - before < ALLOWANCE
