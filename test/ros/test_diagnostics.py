"""Health as diagnostic messages: the level, the sentence, and the figures."""

import dataclasses
import re
import threading

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from processes import ROOT

from sosd_ros.ros.bit_depth import BitDepth
from sosd_ros.ros.diagnostics import Health, InputTopic, Monitor, Thresholds, statuses
from sosd_ros.ros.node import DIAGNOSTICS_PERIOD
from sosd_ros.ros.statistics import CameraSnapshot, Percentiles, Snapshot, Statistics

PAGE = (ROOT / "docs" / "operations.md").read_text()
OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
HEALTH = Health(
    name="sosd",
    state="active",
    device="cpu",
    backend="torch",
    weights="w.safetensors",
    sha256="abc",
    memory=(2**20, 2**30),
    last_error="",
    busy=0.0,
    incompatible=[],
)
CAMERA = CameraSnapshot(
    received=10,
    infos=10,
    answered=8,
    dropped={"superseded": 2},
    without_scale={"no_camera_info": 1},
    recently_dropped={"superseded": 2},
    recently_without_scale={"no_camera_info": 1},
    input_rate=30.0,
    output_rate=24.0,
    since_image=0.02,
    since_info=0.02,
)
LATENCIES = {
    "wait": Percentiles(0.01, 0.02, 0.03),
    "convert": Percentiles(0.001, 0.002, 0.003),
    "network": Percentiles(0.03, 0.07, 0.1),
    "publish": Percentiles(0.002, 0.003, 0.004),
    "total": Percentiles(0.05, 0.1, 0.2),
}
SNAPSHOT = Snapshot(100.0, 0, 0, LATENCIES, 100, {"": CAMERA})


def node(snapshot=SNAPSHOT, thresholds=None, **changes):
    health = dataclasses.replace(HEALTH, **changes)
    return statuses(health, snapshot, thresholds or Thresholds())[0]


def camera(thresholds=None, health=HEALTH, age=100.0, **changes):
    snapshot = Snapshot(age, 0, 0, LATENCIES, 100, {"front": CAMERA._replace(**changes)})
    return statuses(health, snapshot, thresholds or Thresholds())[1]


def test_few_answers_say_nothing_of_one_in_20():
    """A slow first answer is no alarm; the twentieth of that kind is."""
    late = Thresholds(latency_warn=0.01)
    assert node(SNAPSHOT._replace(answers=19), late).level == OK
    assert node(SNAPSHOT._replace(answers=20), late).level == WARN


def test_an_engine_that_had_to_try_again_is_a_warning():
    """While it is recent; afterwards the count and the last error are left."""
    status = node(SNAPSHOT._replace(retries=5, recent_retries=3), last_error="out of memory")
    assert status.level == WARN
    assert status.message.startswith("batches retried in the last 5 s because the engine failed: 3")
    assert values(status)["engine retries"] == "5"
    assert values(status)["last error"] == "out of memory"
    assert node(SNAPSHOT._replace(retries=5), last_error="out of memory").level == OK


def test_a_camera_none_of_whose_images_is_of_use_is_an_error():
    """Some refused is a warning; all refused, and nothing comes out."""
    refused = {"recently_dropped": {"encoding": 12}}
    assert camera(output_rate=1.0, **refused).level == WARN
    assert camera(output_rate=0.0, **refused).level == ERROR
    and_lost = {"recently_dropped": {"encoding": 12, "transport": 3}}
    assert camera(output_rate=0.0, **and_lost).level == ERROR
    some = {"recently_dropped": {"encoding": 12, "unwanted": 1}}
    assert camera(output_rate=0.0, **some).level == WARN


def values(status):
    return {pair.key: pair.value for pair in status.values}


def test_all_well():
    """OK, with names, hardware, rates and every figure as text."""
    of_node, of_camera = statuses(HEALTH, SNAPSHOT, Thresholds())
    assert (of_node.name, of_node.level, of_node.message) == ("sosd: node", OK, "active on cpu")
    assert (of_camera.name, of_camera.level) == ("sosd: camera", OK)
    assert of_camera.message == "30.0 Hz in, 24.0 Hz answered"
    assert (of_node.hardware_id, of_camera.hardware_id) == ("cpu", "camera")
    assert values(of_node) == {
        "state": "active",
        "device": "cpu",
        "backend": "torch",
        "weights": "w.safetensors",
        "sha256": "abc",
        "worker busy [s]": "0.000",
        "engine retries": "0",
        "last error": "",
        "device memory used [MiB]": "1",
        "device memory total [MiB]": "1024",
    } | {
        f"latency {stage} {name} [ms]": f"{1000 * seconds:.1f}"
        for stage, percentiles in LATENCIES.items()
        for name, seconds in percentiles._asdict().items()
    }
    assert values(of_camera) == {
        "received": "10",
        "answered": "8",
        "dropped: superseded": "2",
        "without scale: no_camera_info": "1",
        "input rate [Hz]": "30.00",
        "output rate [Hz]": "24.00",
        "since last image [s]": "0.02",
        "since last CameraInfo [s]": "0.02",
    }


def test_a_named_camera_is_named():
    """In its status' name, and as the hardware."""
    assert (camera().name, camera().hardware_id) == ("sosd: camera front", "front")


def test_what_never_came_has_no_age():
    """A number would say that there was one."""
    status = camera(received=0, infos=0, since_image=0.5, since_info=0.5)
    assert values(status)["since last image [s]"] == "never"
    assert values(status)["since last CameraInfo [s]"] == "never"


def test_a_device_without_memory_of_its_own_shows_none():
    """Nor does a node without a device have hardware."""
    status = node(memory=None, device="")
    assert not [key for key in values(status) if "memory" in key]
    assert status.hardware_id == "none"


TORCH_SAYS = "CUDA error: an illegal memory access\nCompile with `TORCH_USE_CUDA_DSA`"
INACTIVE = {"state": "inactive"}
UNCONFIGURED = {"state": "unconfigured"}
CONFIGURING = {"state": "configuring"}

# Changed health, level, and words of the message that are in the operator's page too.
NODE_FAULTS = [
    (INACTIVE, WARN, "inactive: no image is answered; activate it"),
    (UNCONFIGURED | {"last_error": "cannot configure: x"}, ERROR, "unconfigured: cannot configure"),
    (INACTIVE | {"last_error": "cannot activate: x"}, ERROR, "inactive: cannot activate"),
    ({"busy": 1.5}, ERROR, "longer than diagnostics.worker_timeout"),
]


@pytest.mark.parametrize(("changes", "level", "words"), NODE_FAULTS)
def test_what_is_wrong_with_the_node(changes, level, words):
    """The level and the sentence, which the operator's page has."""
    status = node(**changes)
    assert status.level == level and words in status.message
    assert words in PAGE


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (UNCONFIGURED, "unconfigured: no image is answered; configure and activate it"),
        (CONFIGURING, "configuring: no image is answered"),
        (
            UNCONFIGURED | {"last_error": TORCH_SAYS},
            "unconfigured: CUDA error: an illegal memory access; fix this, then configure and "
            "activate it",
        ),
        (CONFIGURING | {"last_error": "it failed"}, "configuring: it failed"),
        (
            UNCONFIGURED | {"last_error": "it failed", "next_attempt": 3.8},
            "unconfigured: it failed; fix this, the node tries again in 4 s",
        ),
        ({"incompatible": ["it does not fit"]}, "it does not fit"),
    ],
)
def test_the_message_is_one_line_and_says_the_way_back(changes, message):
    """What torch says over many lines is whole in the value."""
    status = node(**changes)
    assert status.message == message
    assert values(status)["last error"] == changes.get("last_error", "")


def test_an_error_of_the_past_is_none_of_an_active_node():
    """It was mended, or the node would not be active."""
    assert node(last_error="cannot configure: x").level == OK


def test_the_worst_comes_first():
    """A misfit is a warning, a worker that hangs an error."""
    status = node(busy=1.5, incompatible=["misfit"])
    assert status.level == ERROR
    assert re.match(r"the worker .* for 1\.5 s.*; misfit", status.message)


@pytest.mark.parametrize(
    ("thresholds", "level", "words"),
    [
        ({"latency_warn": 0.2}, OK, "active"),
        ({"latency_warn": 0.1}, OK, "active"),
        ({"latency_warn": 0.05}, WARN, "100 ms, longer than diagnostics.latency_warn, 50 ms"),
        ({"latency_error": 0.05}, ERROR, "100 ms, longer than diagnostics.latency_error, 50 ms"),
    ],
)
def test_latency_is_judged_by_its_thresholds(thresholds, level, words):
    """Its p95 is 100 ms, most of it of the network; exactly the limit is allowed."""
    status = node(thresholds=Thresholds(**thresholds))
    assert status.level == level and words in status.message
    assert level == OK or ("late" in status.message and "stage network" in status.message)


def test_latencies_of_the_past_are_not_judged():
    """Nothing is answered any more, as nobody asks."""
    idle = SNAPSHOT._replace(cameras={"": CAMERA._replace(output_rate=0.0)})
    assert node(idle, Thresholds(latency_warn=0.05)).level == OK
    assert node(Snapshot(0.0, 0, 0, {}, 0, {}), Thresholds()).level == OK


CAMERA_FAULTS = [
    ({"since_image": 1.5}, ERROR, "no image for"),
    ({"since_image": 1.5, "received": 0}, ERROR, "no image yet after"),
    ({"since_info": 1.5}, WARN, "depth and points rely on the last one"),
    (
        {"since_info": 1.5, "infos": 0},
        WARN,
        "no CameraInfo yet: labels are published, depth and points are not",
    ),
    (
        {"recently_dropped": {"transport": 3}},
        WARN,
        "3 images lost by the middleware in the last 5 s",
    ),
    (
        {"recently_dropped": {"encoding": 12}},
        WARN,
        "images dropped in the last 5 s, 12 for encoding",
    ),
    (
        {"recently_without_scale": {"uncalibrated": 12}},
        WARN,
        "no depth and points in the last 5 s, 12 for uncalibrated",
    ),
    (
        {"doubts": ("the image may not be rectified: P", "the distortion D is not finite")},
        WARN,
        "the image may not be rectified",
    ),
]


def test_a_camera_info_that_is_refused_is_missing_for_good():
    """Though its publisher is there and keeps it: it does not come again, nor does depth."""
    health = dataclasses.replace(HEALTH, latched={"front"})
    status = camera(
        health=health,
        since_info=100.0,
        infos=0,
        without_scale={"no_camera_info": 70, "intrinsics": 1},
        recently_without_scale={},
    )
    assert status.level == WARN
    words = "every CameraInfo is refused, 1 for intrinsics: labels are published, depth and points "
    assert words in status.message and words in PAGE


def test_a_camera_info_that_is_kept_need_not_come_again():
    """By its publisher, who says it once; but it must have come."""
    latched = dataclasses.replace(HEALTH, latched={"front"})
    assert camera(health=latched, since_info=100.0).level == OK
    assert camera(health=latched, since_info=100.0, infos=0).level == WARN
    assert (
        camera(health=dataclasses.replace(HEALTH, latched={"rear"}), since_info=100.0).level == WARN
    )


@pytest.mark.parametrize(
    ("significant_bits", "words"),
    [
        (16, "16-bit images are dark: for a minute, none has used more than 12 of 16 bits"),
        (10, "16-bit images use 12 bits"),
    ],
)
def test_what_is_doubtful_about_a_camera(significant_bits, words):
    """Its own warning, in the words that the operator's page has."""
    depth = BitDepth()
    for seconds in range(61):
        doubt = depth.see(4095, float(seconds), significant_bits)
    status = camera(doubts=[doubt])
    assert (status.level, status.message) == (WARN, doubt)
    assert doubt.startswith(words) and words in PAGE


@pytest.mark.parametrize(("changes", "level", "words"), CAMERA_FAULTS)
def test_what_is_wrong_with_a_camera(changes, level, words):
    """The level and the sentence, which the operator's page has."""
    status = camera(**changes)
    assert status.level == level and words in status.message
    assert words in PAGE


ONCE = "driver still has a publisher on /image, but has stopped sending: check the camera"
NEVER = (
    "driver has a publisher on /image, but nothing has arrived from it: it is paused, or "
    "shared memory does not reach across users or containers"
)
NOBODY = "nobody publishes on /image: check that the driver is running"
UNFIT = "the publisher on /image has an incompatible quality of service (QoS)"
# Who publishes; and what is said if nothing has ever come from there, and if something has.
INPUTS = [
    (InputTopic("/image"), NOBODY, NOBODY),
    (InputTopic("/image", matching=["driver"], is_unfit=True), NEVER, ONCE),
    (InputTopic("/image", is_unfit=True), UNFIT, UNFIT),
]


@pytest.mark.parametrize(("topic", "never", "once"), INPUTS)
@pytest.mark.parametrize("missing", ["image", "info"])
@pytest.mark.parametrize("came", [0, 10])
def test_a_topic_that_is_silent_is_told_from_none(missing, came, topic, never, once):
    """Of images and of CameraInfos; one that has worked is not blamed on the middleware."""
    well = InputTopic("/well", matching=["driver"])
    inputs = (topic, well) if missing == "image" else (well, topic)
    health = dataclasses.replace(HEALTH, inputs={"front": lambda: inputs})
    counted = {"image": "received", "info": "infos"}[missing]
    status = camera(health=health, **{f"since_{missing}": 1.5, counted: came})
    words = once if came else never
    assert words in status.message and "/well" not in status.message
    assert re.sub("/image", "...", words)[:40] in PAGE


def test_inputs_are_asked_for_only_when_something_is_missing():
    """It takes its time, and is done twice a second."""
    asked = []
    health = dataclasses.replace(HEALTH, inputs={"front": lambda: asked.append(1)})
    assert camera(health=health).level == OK and not asked
    assert camera(health=health, since_info=1.5).level == WARN and asked


def test_normal_drops_are_no_fault():
    """The slot, the absence of listeners, an orderly stop; and what came before CameraInfo did."""
    normal = {"superseded": 9, "unwanted": 9, "stopped": 1, "without_scale": 1}
    assert camera(recently_dropped=normal).level == OK
    assert camera(recently_without_scale={"no_camera_info": 5}).level == OK


def test_the_most_frequent_cause_comes_first():
    """It is likely to be the one that matters."""
    message = camera(recently_dropped={"step": 1, "engine": 2, "encoding": 30}).message
    assert "30 for encoding, 2 for engine, 1 for step" in message


def test_what_is_lost_on_the_way_explains_silence():
    """Both are said, the error first."""
    status = camera(since_image=3.0, since_info=3.0, recently_dropped={"transport": 90})
    assert status.level == ERROR
    assert re.fullmatch(
        r"no image for 3\.0 s.*; 90 images lost by the middleware.*", status.message
    )


def test_a_network_without_depth_needs_no_camera_info():
    """None is missed."""
    health = dataclasses.replace(HEALTH, needs_info=False)
    assert camera(health=health, since_info=100.0, infos=0).level == OK


@pytest.mark.parametrize(
    ("rates", "level", "words"),
    [
        ({"rate_warn": 24.0}, OK, "30.0 Hz in, 24.0 Hz answered"),
        ({"rate_warn": 25.0}, WARN, "diagnostics.rate_warn, 25 Hz: look at the latencies"),
        ({"rate_warn": 40.0, "rate_error": 25.0}, ERROR, "diagnostics.rate_error, 25 Hz"),
        ({"rate_error": 31.0}, ERROR, "look at the camera"),
    ],
)
def test_the_rate_is_judged_by_its_thresholds(rates, level, words):
    """30 Hz come and 24 Hz go: the camera is suspected only where it sends too few."""
    status = camera(Thresholds(**rates))
    assert status.level == level and words in status.message


def test_the_rate_is_judged_while_all_is_wanted():
    """Not with an image that nobody wanted, nor before there was time for a rate."""
    assert camera(Thresholds(rate_error=25.0), recently_dropped={"unwanted": 1}).level == OK
    assert camera(Thresholds(rate_error=25.0), age=4.9).level == OK
    assert camera(Thresholds(rate_error=25.0), age=5.0).level == ERROR


def test_cameras_are_not_judged_while_the_node_is_not_active():
    """Nobody listens to them."""
    health = dataclasses.replace(HEALTH, state="inactive")
    status = camera(health=health, since_image=100.0, recently_dropped={"encoding": 1})
    assert (status.level, status.message) == (OK, "not subscribed: the node is inactive")
    assert status.message in PAGE


@pytest.mark.parametrize("phase", [0.0, 0.2, 0.4999])
@pytest.mark.parametrize("fault", ["no image", "no CameraInfo", "worker"])
def test_every_fault_shows_within_two_seconds(fault, phase):
    """At the node's period, whenever between two reports it happens; before, all is well."""
    now = 0.0
    statistics = Statistics([""], lambda: now)
    happens = 10 + phase  # seconds

    def worst(report):
        nonlocal now
        while now < report - 0.1:  # a camera of 10 Hz
            now += 0.1
            if fault != "no image" or now < happens:
                statistics.received("")
                statistics.answered("", dict.fromkeys(LATENCIES, 0.01))
            if fault == "worker" or now < happens:
                statistics.info_received("")
        now = report
        busy = max(0.0, now - happens) if fault == "worker" else 0.0
        health = dataclasses.replace(HEALTH, busy=busy)
        found = statuses(health, statistics.snapshot(), Thresholds())
        return "; ".join(status.message for status in found if status.level != OK)

    reports = [number * DIAGNOSTICS_PERIOD for number in range(1, 40)]
    said = {report: worst(report) for report in reports}
    first = min(report for report, message in said.items() if message)
    assert happens < first <= happens + 2
    assert fault in said[first]


def test_the_monitor_outlives_what_fails_and_stops_when_told():
    """It goes on after an exception, which is handed over; once stopped, it reports no more."""
    reports, errors = threading.Semaphore(0), []

    def report():
        reports.release()
        raise ValueError("once more")

    monitor = Monitor(report, period=0.0, on_error=errors.append)
    assert reports.acquire(timeout=60) and reports.acquire(timeout=60)
    monitor.stop()
    assert str(errors[0]) == "once more"
    assert "diagnostics" not in [thread.name for thread in threading.enumerate()]


def test_the_operators_page_knows_every_key():
    """As it is, or with the stage and the percentile apart."""
    of_node, of_camera = statuses(HEALTH, SNAPSHOT, Thresholds())
    for key in values(of_node) | values(of_camera):
        name = re.sub(r" p\d\d \[ms\]$", "", key)
        name = re.sub(r"^(dropped|without scale): .*", r"\1: <cause>", name)
        assert f"`{name}`" in PAGE, key


def test_the_operators_page_knows_every_cause():
    """Each cause that the code counts by has its row."""
    code = "".join(
        (ROOT / "sosd_ros" / f"{name}.py").read_text()
        for name in ("encodings", "camera_info/view", "ros/pipeline", "ros/node")
    )
    raised = re.findall(r'MessageError\(\s*"([a-z_]+)"', code)
    dropped = re.findall(r'(?:dropped|_drop)\([^"()]*"([a-z_]+)"', code)
    assert len(set(raised)) >= 9 and len(set(dropped)) >= 6
    for cause in {*raised, *dropped}:
        assert re.search(rf"^\| .*`{cause}`.* \|", PAGE, re.MULTILINE), cause
