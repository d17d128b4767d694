"""Generated messages over DDS: the running node outlives them and gives account of each."""

import contextlib

import pytest
from fuzz import ALLOWANCE, TRANSPORTS, fuzz_node, listen, messages_of


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_generated_messages_are_outlived_and_counted_as_foreseen(start_node, transport):
    """The last one is right, and answered."""
    node = start_node(image_transport=transport)
    camera, images = TRANSPORTS[transport]
    with contextlib.closing(camera()) as camera:
        listen(camera)
        examples = messages_of(200)
        foreseen, counted, before, after = fuzz_node(node, camera, images, examples)
    print(foreseen, f"memory from {before >> 20} to {after >> 20} MiB")
    assert counted == foreseen
    causes = {"encoding", "step", "data"} if transport == "raw" else {"compressed"}
    assert {f"dropped: {cause}" for cause in causes} <= counted.keys()
    assert {"answered", "without scale: intrinsics"} <= counted.keys()
    assert after - before < ALLOWANCE
    assert node.end() == 0, node.log
