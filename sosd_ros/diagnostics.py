"""The node's health as diagnostic messages: what is wrong, in a sentence, and the figures."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from .statistics import CameraSnapshot, Snapshot

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
Finding = tuple[bytes, str]

# What the latest-frame slot, the absence of listeners and an orderly stop drop is no fault.
_NORMAL = {"superseded", "unwanted", "stopped"}
_MIB = 2**20


@dataclass(frozen=True)
class Thresholds:
    """What is a warning and what an error: seconds, and rates in Hz of which 0 is off."""

    input_timeout: float = 1.0
    worker_timeout: float = 1.0
    latency_warn: float = 0.5
    latency_error: float = 2.0
    rate_warn: float = 0.0
    rate_error: float = 0.0


@dataclass(frozen=True)
class Health:
    """The state of the node and its engine.

    Attributes:
        name: of the node, with its namespace, without a leading slash.
        state: of the life cycle.
        active: whether that state is active.
        weights: name of the file.
        memory: used and total bytes of the device; ``None`` if it has none of its own.
        last_error: why the node is not active; empty if nothing is wrong.
        busy: seconds that the worker has been at its batch; 0 when idle.
        incompatible: by topic, what does not fit about a peer's quality of service.
    """

    name: str
    state: str
    active: bool
    device: str
    backend: str
    weights: str
    sha256: str
    memory: tuple[int, int] | None
    last_error: str
    busy: float
    incompatible: Mapping[str, str]


def statuses(health: Health, snapshot: Snapshot, thresholds: Thresholds) -> list[DiagnosticStatus]:
    """One status for the node, and one for each camera."""
    node = _status(
        f"{health.name}: node",
        health.device,
        list(_node_findings(health, snapshot, thresholds)),
        f"{health.state} on {health.device}",
        _node_values(health, snapshot),
    )
    cameras = [
        _status(
            f"{health.name}: camera {name}".rstrip(),
            name,
            list(_camera_findings(camera, thresholds)) if health.active else [],
            f"{camera.input_rate:.1f} Hz in, {camera.output_rate:.1f} Hz answered"
            if health.active
            else f"not listened to: the node is {health.state}",
            _camera_values(camera),
        )
        for name, camera in snapshot.cameras.items()
    ]
    return [node, *cameras]


def _status(
    name: str, hardware: str, findings: list[Finding], well: str, values: Mapping[str, str]
) -> DiagnosticStatus:
    """The worst finding gives the level; all are said, the worst first."""
    findings = sorted(findings, key=lambda finding: finding[0], reverse=True)
    return DiagnosticStatus(
        level=findings[0][0] if findings else OK,
        name=name,
        message="; ".join(said for _, said in findings) or well,
        hardware_id=hardware,
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )


def _node_findings(health: Health, snapshot: Snapshot, thresholds: Thresholds) -> Iterator[Finding]:
    if health.last_error:
        yield ERROR, health.last_error
    if not health.active:
        yield WARN, f"{health.state}: no image is answered"
        return
    if health.busy > thresholds.worker_timeout:
        yield ERROR, f"the worker has been at one batch for {health.busy:.1f} s"
    total = snapshot.latencies.get("total")
    if total is not None and total.p95 > thresholds.latency_error:
        yield ERROR, f"late: {_late(total.p95, thresholds.latency_error)}"
    elif total is not None and total.p95 > thresholds.latency_warn:
        yield WARN, f"late: {_late(total.p95, thresholds.latency_warn)}"
    for problem in health.incompatible.values():
        yield WARN, problem


def _late(p95: float, limit: float) -> str:
    return f"one answer in 20 takes more than {1000 * p95:.0f} ms, expected {1000 * limit:.0f}"


def _node_values(health: Health, snapshot: Snapshot) -> dict[str, str]:
    values = {
        "state": health.state,
        "device": health.device,
        "backend": health.backend,
        "weights": health.weights,
        "sha256": health.sha256,
        "worker busy [s]": f"{health.busy:.3f}",
        "last error": health.last_error,
    }
    for stage, percentiles in snapshot.latencies.items():
        for name, seconds in percentiles._asdict().items():
            values[f"latency {stage} {name} [ms]"] = f"{1000 * seconds:.1f}"
    if health.memory is not None:
        used, total = health.memory
        values["device memory used [MiB]"] = f"{used / _MIB:.0f}"
        values["device memory total [MiB]"] = f"{total / _MIB:.0f}"
    return values


def _camera_findings(camera: CameraSnapshot, thresholds: Thresholds) -> Iterator[Finding]:
    timeout = thresholds.input_timeout
    if camera.since_image > timeout:
        never = "" if camera.received else ", and none has ever come"
        yield ERROR, f"no image for {camera.since_image:.1f} s{never}"
        return
    if camera.since_info > timeout and camera.infos:
        yield (
            WARN,
            f"no CameraInfo for {camera.since_info:.1f} s: depth and points rely on the last one",
        )
    elif camera.since_info > timeout:
        yield WARN, "no CameraInfo has come: labels are published, depth and points are not"
    troubles = {
        cause: count
        for cause, count in camera.recent.items()
        if cause not in _NORMAL | {"without_scale", "no_camera_info"}
    }
    if troubles:
        said = ", ".join(f"{count} by {cause}" for cause, count in sorted(troubles.items()))
        yield WARN, f"lately dropped or without depth: {said}"
    if not camera.recent.get("unwanted"):
        yield from _rate_findings(camera.output_rate, thresholds)


def _rate_findings(rate: float, thresholds: Thresholds) -> Iterator[Finding]:
    for level, least in ((ERROR, thresholds.rate_error), (WARN, thresholds.rate_warn)):
        if rate < least:
            yield level, f"{rate:.1f} Hz answered, expected at least {least:g}"
            return


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
    """Calls ``report`` every ``period`` seconds, in a thread of its own, until it is stopped.

    Args:
        on_error: called with an exception of ``report``, which does not end it.
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
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._period):
            try:
                self._report()
            except Exception as error:
                self._on_error(error)
