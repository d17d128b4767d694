"""Whatever comes, the conversion answers or refuses it by a known cause, in a bounded sentence."""

from fuzz import ALLOWANCE, fuzz_conversion


def test_a_thousand_generated_messages():
    """Of every kind some are accepted and some refused; `python test/fuzz.py` takes 100,000."""
    seed = 20240607
    print(f"seed {seed}")
    counts, before, after = fuzz_conversion(1000, seed)
    print(counts)
    for kind in ("Image", "CompressedImage", "CameraInfo"):
        assert counts[kind, "accepted"] > 0
    refusals = {cause for _, cause in counts} - {"accepted"}
    assert refusals >= {"encoding", "size", "step", "data", "compressed", "intrinsics"}
    assert after - before < ALLOWANCE
