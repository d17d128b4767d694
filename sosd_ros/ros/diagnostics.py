"""The node's health as diagnostic messages: what is wrong, in a sentence, and the figures."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from .statistics import WINDOW, CameraSnapshot, Snapshot

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
Finding = tuple[bytes, str]

ENOUGH_ANSWERS = 20  # to tell how late one in 20 is
# Drops by the latest-frame slot, for lack of subscribers or at an orderly stop are no fault.
_NORMAL = {"superseded", "unwanted", "stopped"}
# How to make a node that is not active answer again.
_WAY_BACK = {
    "unconfigured": "configure and activate it",
    "inactive": "activate it",
    "finalized": "start it again",
}


@dataclass(frozen=True)
class Thresholds:
    """Limits for warnings and errors: seconds, and rates in Hz (0: off)."""

    input_timeout: float = 1.0
    worker_timeout: float = 1.0
    latency_warn: float = 0.5
    latency_error: float = 2.0
    rate_warn: float = 0.0
    rate_error: float = 0.0


class InputTopic(NamedTuple):
    """One of the topics on which a camera publishes, and who publishes there.

    Attributes:
        name: of the topic.
        matching: the nodes with a publisher that the middleware has matched with ours.
        is_unfit: whether there is one with an incompatible quality of service; the node's status
            names it.
    """

    name: str
    matching: Sequence[str] = ()
    is_unfit: bool = False


class ScaleHealth(NamedTuple):
    """What is known of the scale of a camera's depth, and sentences about what is wrong."""

    values: Mapping[str, str]
    doubts: Sequence[str]


Inputs = tuple[InputTopic, InputTopic]  # of images, and of CameraInfos
_UNKNOWN = InputTopic("its topic")


@dataclass(frozen=True)
class Health:
    """The state of the node and its engine.

    Attributes:
        name: of the node, with its namespace, without a leading slash.
        state: of the life cycle.
        device: the one that the network runs on; empty if there is none.
        weights: name of the file.
        memory: used and total bytes of the device; ``None`` if it has no memory of its own.
        last_error: why the node is not active, or the engine's last error; may be empty.
        busy: seconds that the worker has spent on its batch; 0 when idle.
        incompatible: sentences about peers with an incompatible quality of service.
        needs_info: whether the network answers depth, and so needs a CameraInfo.
        latched: cameras whose CameraInfo is latched, and need not come again.
        next_attempt: seconds until the node tries to become active again; ``None`` if it does not.
        inputs: of each camera; called only when something is missing.
        scales: of each camera whose scale is estimated.
    """

    name: str
    state: str
    device: str
    backend: str
    weights: str
    sha256: str
    memory: tuple[int, int] | None
    last_error: str
    busy: float
    incompatible: Sequence[str]
    needs_info: bool = True
    latched: Set[str] = frozenset()
    next_attempt: float | None = None
    inputs: Mapping[str, Callable[[], Inputs | None]] = field(default_factory=dict)
    scales: Mapping[str, ScaleHealth] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        """Whether images are answered."""
        return self.state == "active"


def statuses(health: Health, snapshot: Snapshot, thresholds: Thresholds) -> list[DiagnosticStatus]:
    """One status for the node, and one for each camera."""
    node = _status(
        f"{health.name}: node",
        health.device,
        _node_findings(health, snapshot, thresholds),
        f"{health.state} on {health.device}",
        _node_values(health, snapshot),
    )
    cameras = [
        _status(
            f"{health.name}: camera {name}".rstrip(),
            name or "camera",
            _camera_findings(name, camera, snapshot.age, health, thresholds)
            if health.active
            else (),
            _rates(camera) if health.active else f"not subscribed: the node is {health.state}",
            {**_camera_values(camera), **_scale(name, health).values},
        )
        for name, camera in snapshot.cameras.items()
    ]
    return [node, *cameras]


def _status(
    name: str, hardware: str, findings: Iterable[Finding], well: str, values: Mapping[str, str]
) -> DiagnosticStatus:
    """The worst finding gives the level; the message has all, the worst first."""
    findings = sorted(findings, key=lambda finding: finding[0], reverse=True)
    return DiagnosticStatus(
        level=findings[0][0] if findings else OK,
        name=name,
        message="; ".join(said for _, said in findings) or well,
        hardware_id=hardware or "none",
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )


def _node_findings(health: Health, snapshot: Snapshot, thresholds: Thresholds) -> Iterator[Finding]:
    if not health.active:
        yield _inactivity(health)
        return
    if health.busy > thresholds.worker_timeout:
        yield (
            ERROR,
            f"the worker has been busy with one batch for {health.busy:.1f} s, longer than "
            f"diagnostics.worker_timeout, {thresholds.worker_timeout:g} s: check the device; "
            "if this goes on, restart the node",
        )
    if snapshot.recent_retries:
        yield (
            WARN,
            f"batches retried in the last {WINDOW:g} s because the engine failed: "
            f"{snapshot.recent_retries}; check the device's memory and the last error",
        )
    # Past latencies tell nothing about a node that answers nothing now.
    is_answering = any(camera.output_rate for camera in snapshot.cameras.values())
    if is_answering and snapshot.answers >= ENOUGH_ANSWERS:
        yield from _latency_findings(snapshot, thresholds)
    for problem in health.incompatible:
        yield WARN, problem


def _inactivity(health: Health) -> Finding:
    # torch's errors run over many lines; the value "last error" has all of them.
    reason = health.last_error.split("\n")[0] or "no image is answered"
    way_back = _WAY_BACK.get(health.state, "")
    if health.next_attempt is not None:
        way_back = f"; fix this, the node tries again in {health.next_attempt:.0f} s"
    elif way_back:
        way_back = f"; fix this, then {way_back}" if health.last_error else f"; {way_back}"
    return ERROR if health.last_error else WARN, f"{health.state}: {reason}{way_back}"


def _latency_findings(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[Finding]:
    total = snapshot.latencies["total"].p95
    stages = {stage: p.p95 for stage, p in snapshot.latencies.items() if stage != "total"}
    slowest = max(stages, key=stages.__getitem__)
    for level, name in ((ERROR, "latency_error"), (WARN, "latency_warn")):
        limit = getattr(thresholds, name)
        if total > limit:
            yield (
                level,
                f"late: one answer in 20 takes more than {1000 * total:.0f} ms, longer than "
                f"diagnostics.{name}, {1000 * limit:.0f} ms: look at the stage {slowest}",
            )
            return


def _node_values(health: Health, snapshot: Snapshot) -> dict[str, str]:
    values = {
        "state": health.state,
        "device": health.device,
        "backend": health.backend,
        "weights": health.weights,
        "sha256": health.sha256,
        "worker busy [s]": f"{health.busy:.3f}",
        "engine retries": str(snapshot.retries),
        "last error": health.last_error,
    }
    for stage, percentiles in snapshot.latencies.items():
        for name, seconds in percentiles._asdict().items():
            values[f"latency {stage} {name} [ms]"] = f"{1000 * seconds:.1f}"
    if health.memory is not None:
        used, total = health.memory
        values["device memory used [MiB]"] = f"{used / 2**20:.0f}"
        values["device memory total [MiB]"] = f"{total / 2**20:.0f}"
    return values


def _camera_findings(
    name: str, camera: CameraSnapshot, age: float, health: Health, thresholds: Thresholds
) -> Iterator[Finding]:
    if camera.since_image > thresholds.input_timeout:
        images, _ = _inputs(name, health)
        yield ERROR, _silence(camera, images)
    else:
        is_kept = name in health.latched and camera.infos
        if health.needs_info and not is_kept and camera.since_info > thresholds.input_timeout:
            _, infos = _inputs(name, health)
            yield WARN, _missing_info(camera, infos)
        for doubt in camera.doubts:
            yield WARN, doubt
        for doubt in _scale(name, health).doubts:
            yield WARN, doubt
        # An image that nobody wanted had its turn, so the node keeps up with what it is asked for.
        if age >= WINDOW and not camera.recently_dropped.get("unwanted"):
            yield from _rate_findings(camera, thresholds)
    yield from _drop_findings(camera)


def _scale(name: str, health: Health) -> ScaleHealth:
    return health.scales.get(name, ScaleHealth({}, ()))


def _inputs(name: str, health: Health) -> Inputs:
    """Of a camera, as they are now; asking is slow."""
    ask = health.inputs.get(name, lambda: None)
    return ask() or (_UNKNOWN, _UNKNOWN)


def _silence(camera: CameraSnapshot, topic: InputTopic) -> str:
    seconds = f"{camera.since_image:.1f} s"
    said = f"no image for {seconds}" if camera.received else f"no image yet after {seconds}"
    return f"{said}: {_why_silent(topic, camera.received)}"


def _missing_info(camera: CameraSnapshot, topic: InputTopic) -> str:
    if camera.infos:
        return (
            f"no CameraInfo for {camera.since_info:.1f} s: depth and points rely on the last one; "
            f"{_why_silent(topic, camera.infos)}"
        )
    missing = "labels are published, depth and points are not"
    # Before the first one is kept, every other cause is that of a refused CameraInfo.
    refused = {cause: n for cause, n in camera.without_scale.items() if cause != "no_camera_info"}
    if refused:
        return f"every CameraInfo is refused, {_counts(refused)}: {missing}; the log says why"
    return f"no CameraInfo yet: {missing}; {_why_silent(topic, camera.infos)}"


def _why_silent(topic: InputTopic, came: int) -> str:
    """What to check when nothing comes on a topic; ``came``: how many came before."""
    matching = ", ".join(topic.matching)
    if matching and came:
        return (
            f"{matching} still has a publisher on {topic.name}, but has stopped sending: check "
            "the camera, its cable and its driver's log, and whether it is paused"
        )
    if matching:
        return (
            f"{matching} has a publisher on {topic.name}, but nothing has arrived from it: it is "
            "paused, or shared memory does not reach across users or containers (run both as one "
            "user, containers with --ipc=host), or the middleware profiles differ"
        )
    if topic.is_unfit:
        return (
            f"the publisher on {topic.name} has an incompatible quality of service (QoS): see "
            "the node's status"
        )
    return (
        f"nobody publishes on {topic.name}: check that the driver is running and that the "
        "topic's name is right"
    )


def _rate_findings(camera: CameraSnapshot, thresholds: Thresholds) -> Iterator[Finding]:
    for level, name in ((ERROR, "rate_error"), (WARN, "rate_warn")):
        least = getattr(thresholds, name)
        if camera.output_rate < least:
            suspect = "camera" if camera.input_rate < least else "latencies and the drops"
            yield (
                level,
                f"{_rates(camera)}, less than diagnostics.{name}, {least:g} Hz: look at the "
                f"{suspect}",
            )
            return


def _drop_findings(camera: CameraSnapshot) -> Iterator[Finding]:
    """What was recently lost, refused or failed."""
    dropped = {c: n for c, n in camera.recently_dropped.items() if c not in _NORMAL}
    lost = dropped.pop("transport", 0)
    # These are reported with the CameraInfo, which is where the fault is.
    dropped.pop("without_scale", None)
    useless = {c: n for c, n in camera.recently_without_scale.items() if c != "no_camera_info"}
    lately = f"in the last {WINDOW:g} s"
    if lost:
        yield (
            WARN,
            f"{lost} images lost by the middleware {lately}: check its profile and the network",
        )
    if dropped:
        # When every image that came fails, nothing comes out at all.
        others = camera.recently_dropped.keys() - dropped.keys() - {"transport"}
        is_total = not camera.output_rate and not others
        level = ERROR if is_total else WARN
        yield level, f"images dropped {lately}, {_counts(dropped)}: the log says why"
    if useless:
        yield WARN, f"no depth and points {lately}, {_counts(useless)}: the log says why"


def _counts(causes: Mapping[str, int]) -> str:
    """The most frequent first."""
    ordered = sorted(causes.items(), key=lambda item: -item[1])
    return ", ".join(f"{number} for {cause}" for cause, number in ordered)


def _rates(camera: CameraSnapshot) -> str:
    return f"{camera.input_rate:.1f} Hz in, {camera.output_rate:.1f} Hz answered"


def _camera_values(camera: CameraSnapshot) -> dict[str, str]:
    values = {
        "received": str(camera.received),
        "answered": str(camera.answered),
        "input rate [Hz]": f"{camera.input_rate:.2f}",
        "output rate [Hz]": f"{camera.output_rate:.2f}",
        "since last image [s]": f"{camera.since_image:.2f}" if camera.received else "never",
        "since last CameraInfo [s]": f"{camera.since_info:.2f}" if camera.infos else "never",
    }
    values |= {f"dropped: {cause}": str(n) for cause, n in sorted(camera.dropped.items())}
    values |= {f"without scale: {c}": str(n) for c, n in sorted(camera.without_scale.items())}
    return values


class Monitor:
    """Calls ``report`` every ``period`` seconds, in its own thread, until it is stopped.

    Args:
        on_error: called with an exception of ``report``; the monitor goes on.
    """

    def __init__(
        self,
        report: Callable[[], None],
        period: float,
        on_error: Callable[[Exception], None],
    ) -> None:
        self._report = report
        self._period = period
        self._on_error = on_error
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="diagnostics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let the current report finish, and make no other."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._period):
            try:
                self._report()
            except Exception as error:
                self._on_error(error)
