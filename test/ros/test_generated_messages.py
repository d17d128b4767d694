"""Generated messages over DDS: the running node outlives them and gives account of each."""

import contextlib

import pytest
from fuzz import ALLOWANCE, TRANSPORTS, fuzz_node, listen


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_generated_messages_are_outlived_and_counted_as_foreseen(start_node, transport):
    """`python test/fuzz.py` sends 5,000; the last one here is right, and answered."""
    seed = 20240607
    print(f"seed {seed}")
    node = start_node(image_transport=transport)
    camera, images = TRANSPORTS[transport]
    with contextlib.closing(camera()) as camera:
        listen(camera)
        foreseen, counted, before, after = fuzz_node(node, camera, images, 200, seed)
    print(foreseen)
    assert counted == foreseen
    causes = {"encoding", "step", "data"} if transport == "raw" else {"compressed"}
    assert {f"dropped: {cause}" for cause in causes} <= counted.keys()
    assert {"answered", "without scale: intrinsics"} <= counted.keys()
    assert after - before < ALLOWANCE
    assert node.end() == 0, node.log
