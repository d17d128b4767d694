"""Generated messages over DDS: the running node outlives them and gives account of each."""

from fuzz import ALLOWANCE, fuzz_node
from robot import camera_info, picture, rgb


def test_hundreds_of_generated_messages_are_outlived_and_counted(start_node, camera):
    """`python test/fuzz.py` sends 5,000. What is refused, is refused by the foreseen causes."""
    seed = 20240607
    print(f"seed {seed}")
    node = start_node()
    camera.wait_until_active()
    camera.listen_diagnostics()
    camera.listen("depth", "semantic")
    # When this one is answered, all those before have come.
    camera.answers(camera.send(rgb(camera.header(), picture()), camera_info()), "depth")
    foreseen, values, before, after = fuzz_node(node, camera, 400, seed)
    print(foreseen, values)
    counted = {key.removeprefix("dropped: ") for key in values if key.startswith("dropped: ")}
    assert {"encoding", "data", "step"} <= counted
    assert counted <= {"superseded", "unwanted", *foreseen}
    for cause in counted & set(foreseen):
        assert int(values[f"dropped: {cause}"]) <= foreseen[cause]
    assert after - before < ALLOWANCE
    stamp = camera.send(rgb(camera.header(), picture()), camera_info())
    camera.answers(stamp, "depth", "semantic")
    assert node.end() == 0, node.log
