"""The perception node: its life cycle, its parameters and its health."""

from __future__ import annotations

if __name__ == "__main__":  # before the imports, which take seconds
    from sosd_ros.ros.start import end_at_once_on_signals

    end_at_once_on_signals()

import copy
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import rclpy
import timm  # noqa: F401  the network's: once the node is up, it reads nothing but weights
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import String

from .. import camera_info, steady, weights
from ..device import BrokenDeviceError
from ..encodings import MessageError, check_header
from ..engine import Engine, EngineError, Request, answers_to, load
from ..share import DEFAULT_WEIGHTS, sample_frames, share
from ..stamps import nanoseconds
from . import diagnostics, messages, parameters
from .autostart import Autostart
from .bond import ManagerBond
from .device_buffers import SUBSCRIBED, DeviceBuffers, missing
from .malloc import keep_freed_memory
from .pipeline import Frame, Pipeline
from .scaling import Scaling, ground_of
from .statistics import Statistics
from .topics import LATCHED_QOS, OVERRIDES, CameraTopics
from .worker import BatchWorker

try:
    from vision_msgs.msg import LabelInfo, VisionClass
except ImportError:  # optional: the JSON on label_info/json says the same
    LabelInfo = None

WARN_EVERY = 5.0  # seconds, by camera and cause; at level debug, every problem is logged
DIAGNOSTICS_PERIOD = 0.5  # seconds; with timeouts of 1 s, every fault shows within 2 s
STOP_TIMEOUT = 1.0  # seconds that the current batch may take when the node stops
TRANSITION_TIMEOUT = 0.7  # seconds that the current transition may take then
EXIT_TIMEOUT = 1.5  # seconds from a signal to the end of the process, whatever hangs


class PerceptionNode(LifecycleNode):
    """Answers camera images, as many as there is time for, with depth, masks and points.

    Args:
        end: called with an exit status when the process should end.

    Attributes:
        has_abandoned: whether a thread was left inside the engine.
    """

    def __init__(self, end: Callable[[int], None] = lambda status: None, **kwargs: Any) -> None:
        super().__init__("sosd", **kwargs)
        parameters.declare(self)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self._settings: parameters.Settings | None = None
        self._engine: Engine | None = None
        self._weights = ("", "")  # name and SHA-256
        self._buffers: DeviceBuffers | None = None
        self._pipeline: Pipeline | None = None
        self._worker: BatchWorker[Frame] | None = None
        self._scaling: Scaling | None = None
        self._cameras: dict[str, CameraTopics] = {}
        self._label_publishers: dict[type, Any] = {}
        self._bond = ManagerBond(self)
        self._statistics = Statistics((), time.monotonic)
        self._misfits: dict[str, Callable[[], str]] = {}
        self._state = "unconfigured"
        self._last_error = ""
        self._failure = ""
        self.has_abandoned = False
        self._end = end
        self._autostart = Autostart(
            self,
            self._bring_up,
            self.get_parameter("autostart_attempts").value,
            lambda: self._end(1),
        )
        self._told: dict[tuple[str, str], float] = {}  # when, by camera and cause
        self._failed = self.create_guard_condition(self._on_failed)
        self._health = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._monitor = diagnostics.Monitor(
            self._publish_health, DIAGNOSTICS_PERIOD, self._on_monitor_error
        )

    # Life cycle

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._autostart.step_aside()
        self._state, self._last_error = "configuring", ""
        try:
            self._configure()
        except Exception as error:  # rclpy would swallow it without a word
            self._release()
            self._refuse("configure", error)
            if isinstance(error, BrokenDeviceError):
                self._end(1)
            self._state = "unconfigured"
            return TransitionCallbackReturn.FAILURE
        self._state, self._last_error = "inactive", ""
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._autostart.step_aside()
        result = super().on_activate(state)  # from here on publishers publish
        try:
            self._start()
        except Exception as error:
            self._stop()
            super().on_deactivate(state)
            self._refuse("activate", error)
            return TransitionCallbackReturn.FAILURE
        self._state, self._last_error = "active", ""
        topics = ", ".join(camera.image_topic for camera in self._cameras.values())
        self.get_logger().info(f"active: waiting for {topics}")
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._autostart.step_aside()
        if not self._stop() and not self._failure:
            self._failure = "the worker hangs and was abandoned"
        if self._failure:
            return TransitionCallbackReturn.ERROR
        self._state, self._last_error = "inactive", ""
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._autostart.step_aside()
        self._release()
        self._state, self._last_error = "unconfigured", ""
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._autostart.step_aside()
        self._release()
        self._state = "finalized"
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give everything up, so that the node can be configured again."""
        self._last_error = self._failure or "a transition failed"
        self.get_logger().error(f"{self._last_error}; unconfigured: fix this, then configure again")
        self._release()
        self._failure = ""
        self._state = "unconfigured"
        return super().on_error(state)

    def autostart(self) -> None:
        """Configure and activate, if the parameter ``autostart`` is true."""
        if self.get_parameter("autostart").value:
            self._autostart.attempt()

    def _bring_up(self) -> bool:
        if self._state == "unconfigured":
            self.trigger_configure()
        if self._state == "inactive":
            self.trigger_activate()
        return self._state == "active"

    def leave(self) -> None:
        """Release the middleware while another thread is still in a transition."""
        self.abandon()
        self._monitor.stop()
        self._destroy()

    def destroy_node(self) -> None:
        self._monitor.stop()
        self._stop()
        self._destroy()

    def _destroy(self) -> None:
        super().destroy_node()
        # rclpy does not destroy this, which keeps the participant and its shared memory segment.
        self._state_machine.destroy_when_not_in_use()

    def _configure(self) -> None:
        settings = parameters.read(self)
        path = Path(settings.weights or share("weights", DEFAULT_WEIGHTS)).expanduser()
        file = weights.read(path)
        parameters.check_answers(settings, answers_to(file.manifest))
        ground_of(settings.scale, file.manifest.labels.names)  # refuses what cannot be
        cache = Path(settings.engine_cache).expanduser() if settings.engine_cache else None
        request = Request(settings.backend, settings.precision, cache)
        engine = load(file, sample_frames(), settings.device, request, self._tell)
        self._engine = engine  # to be closed, if anything fails from here on
        engine.fit = settings.fit_inputs
        engine.warm_up(len(settings.cameras))
        messages.warm_up()
        steady.warm_up()
        if settings.device_buffers:
            self._buffers = self._device_buffers(engine, len(settings.cameras))
        self._misfits = {}
        for name in settings.cameras:
            self._cameras[name] = CameraTopics(self, name, engine.answers, self._on_incompatible)
        if "semantic" in engine.answers:
            self._create_label_publisher(String, "label_info/json")
            if LabelInfo is not None:
                self._create_label_publisher(LabelInfo, "label_info")
        self._settings = settings
        self._weights = (path.name, file.sha256)
        for line in engine.why.splitlines():
            self.get_logger().info(f"engine {line}")
        self.get_logger().info(
            f"configured: {file.manifest.variant} on {file.manifest.backbone}, "
            f"{len(file.manifest.labels.names)} classes, {engine.name} on {engine.device}, "
            f"weights {path} (sha256 {file.sha256[:12]})"
        )

    def _device_buffers(self, engine: Engine, cameras: int) -> DeviceBuffers | None:
        if lack := missing(engine.device):
            self._tell(f"device_buffers is true, but has no effect: {lack}")
            return None
        return DeviceBuffers(engine.device, cameras)

    def _tell(self, sentence: str) -> None:
        self.get_logger().warning(sentence)

    def _start(self) -> None:
        assert self._engine is not None and self._settings is not None
        settings = self._settings
        self._failure = ""
        self._told = {}
        self._statistics = Statistics(settings.cameras, time.monotonic)
        self._publish_label_info()
        if settings.scale.is_estimated:
            ground = ground_of(settings.scale, self._engine.manifest.labels.names)
            self._scaling = Scaling(
                self, settings.cameras, ground, self._live_settings, self._log_problem
            )
        self._pipeline = Pipeline(
            self._engine,
            self._cameras,
            self._statistics,
            settings=self._live_settings,
            on_problem=self._on_problem,
            on_failure=self._on_engine_failure,
            buffers=self._buffers,
            scaling=self._scaling,
        )
        self._worker = BatchWorker(self._pipeline, settings.cameras, settings.batch_window)
        for camera in self._cameras.values():
            camera.subscribe(
                settings.image_transport,
                on_image=self._bind(self._on_image, camera),
                on_info=self._bind(self._on_info, camera),
                on_lost=self._bind(self._on_lost, camera),
                **(SUBSCRIBED if self._buffers else {}),
            )
        if not settings.autostart:  # else nobody manages it
            self._bond.form(settings.bond_heartbeat_period)

    def _stop(self) -> bool:
        """Stop the worker and unsubscribe; false if the worker hangs and was abandoned."""
        self._bond.dissolve()
        ended = True
        if self._worker is not None:
            ended, forgotten = self._worker.stop(STOP_TIMEOUT)
            if not ended:
                self.abandon()
            for name in forgotten:
                self._statistics.dropped(name, "stopped")
        self._worker = self._pipeline = None
        if self._scaling is not None:
            self._scaling.stop(STOP_TIMEOUT)
        self._scaling = None
        for camera in self._cameras.values():
            camera.unsubscribe()  # after the worker, which still reads its CameraInfos
        return ended

    def abandon(self) -> None:
        """Abandon a hanging worker; a message that it is publishing goes out whole."""
        if self._pipeline is not None:
            self.has_abandoned = True
            self._pipeline.abandon()

    def _release(self) -> None:
        self._stop()
        for camera in self._cameras.values():
            camera.destroy()
        self._cameras = {}
        for publisher in self._label_publishers.values():
            self.destroy_lifecycle_publisher(publisher)
        self._label_publishers = {}
        self._buffers = None
        engine, self._engine = self._engine, None
        try:
            if engine is not None:
                engine.close()
        except Exception as error:  # as with a CUDA context that is broken
            reason = f"{type(error).__name__}: {error}"
            self.get_logger().fatal(f"cannot free the device, a new process is needed: {reason}")
            self._end(1)

    def _refuse(self, transition: str, error: Exception) -> None:
        """Say why a transition fails; unexpected errors are named with their type."""
        known = isinstance(error, ValueError | EngineError)
        reason = str(error) if known else f"{type(error).__name__}: {error}"
        self._last_error = f"cannot {transition}: {reason}"
        self.get_logger().error(self._last_error)

    def _on_engine_failure(self, reason: str) -> None:
        """Runs in the worker's thread; only the executor's may change the life cycle."""
        self._failure = reason
        self._failed.trigger()

    def _on_failed(self) -> None:
        if self._failure and self._state == "active":
            self.trigger_deactivate()  # ends in on_error

    # Parameters

    def _on_set_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        values = {c.name: c.value for c in changes if c.name in parameters.BY_NAME}
        try:
            for name, value in values.items():
                parameters.BY_NAME[name].checked(value)
            if self._engine is not None:
                self._change_settings(values)
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _change_settings(self, values: dict[str, Any]) -> None:
        late = parameters.needing_configure(values)
        if late:
            raise ValueError(
                f"{', '.join(late)} is read at configure: clean up first, then configure"
            )
        assert self._engine is not None
        settings = parameters.read(self, values)
        parameters.check_answers(settings, self._engine.answers)
        self._settings = settings
        if "confidence_threshold" in values and self._state == "active":
            self._publish_label_info()

    def _live_settings(self) -> parameters.Settings:
        assert self._settings is not None
        return self._settings

    # Inputs, in the executor's thread

    @staticmethod
    def _bind(callback: Callable, camera: CameraTopics) -> Callable[[Any], None]:
        # rclpy counts a callback's arguments: partial objects confuse it.
        return lambda message: callback(camera, message)

    def _on_image(self, camera: CameraTopics, message: Any) -> None:
        arrived = time.monotonic()
        self._statistics.received(camera.name)
        try:
            check_header(message.header)
        except MessageError as error:
            self._statistics.dropped(camera.name, error.cause)
            self._on_problem(camera.name, message, error.cause, f"dropped: {error}")
            return
        if back := camera.order.step_back(nanoseconds(message.header.stamp)):
            self._on_problem(
                camera.name,
                message,
                "clock",
                f"is {back / 1e9:g} s older than the one before it: a bag started over, a clock "
                "was set back, or the topic has a second publisher",
            )
        assert self._worker is not None
        if self._worker.submit(camera.name, Frame(message, arrived)) is not None:
            self._statistics.dropped(camera.name, "superseded")

    def _on_info(self, camera: CameraTopics, message: CameraInfo) -> None:
        try:
            camera_info.check_info(message)
        except MessageError as error:
            self._statistics.without_scale(camera.name, error.cause)
            self._on_problem(camera.name, message, error.cause, f"refused: {error}")
            return
        self._statistics.info_received(camera.name)
        camera.infos.add(message)

    def _on_lost(self, camera: CameraTopics, count: int) -> None:
        self._statistics.dropped(camera.name, "transport", count)

    def _on_incompatible(self, topic: str, misfit: Callable[[], str]) -> None:
        self._misfits = {**self._misfits, topic: misfit}  # the monitor may be iterating
        if problem := misfit():
            self.get_logger().warning(problem)

    def _on_problem(
        self, camera: str, message: Any, cause: str, what: str, is_ours: bool = False
    ) -> None:
        stamp = message.header.stamp
        kind = "CameraInfo" if isinstance(message, CameraInfo) else "frame"
        of_camera = f" of {camera}" if camera else ""
        problem = f"{kind} {stamp.sec}.{stamp.nanosec:09d}{of_camera} {what}"
        self._log_problem(camera, cause, problem, is_ours)

    def _log_problem(self, camera: str, cause: str, problem: str, is_ours: bool = False) -> None:
        logger, now = self.get_logger(), time.monotonic()
        logger.debug(problem)
        if is_ours:
            self._last_error = problem
        if now - self._told.get((camera, cause), -math.inf) < WARN_EVERY:
            return
        self._told[camera, cause] = now
        if is_ours:
            logger.error(problem)
        else:
            logger.warning(problem)

    # Labels and health

    def _create_label_publisher(self, kind: type, topic: str) -> None:
        self._label_publishers[kind] = self.create_lifecycle_publisher(
            kind,
            f"~/{topic}",
            copy.copy(LATCHED_QOS),  # overrides are written into it
            qos_overriding_options=OVERRIDES,
        )

    def _publish_label_info(self) -> None:
        assert self._engine is not None and self._settings is not None
        labels = self._engine.manifest.labels
        threshold = self._settings.confidence_threshold
        if String in self._label_publishers:
            self._label_publishers[String].publish(String(data=labels.info(threshold)))
        if LabelInfo in self._label_publishers:
            info = LabelInfo(threshold=threshold)
            info.header.stamp = self.get_clock().now().to_msg()
            classes = [VisionClass(class_id=i, class_name=n) for i, n in enumerate(labels.names)]
            info.class_map = classes
            self._label_publishers[LabelInfo].publish(info)

    def _publish_health(self) -> None:
        """Runs in the monitor's thread, which goes on when the worker or the executor hangs."""
        engine, worker, settings = self._engine, self._worker, self._settings
        scaling = self._scaling
        health = diagnostics.Health(
            name=self.get_fully_qualified_name().lstrip("/"),
            state=self._state,
            device=str(engine.device) if engine else "",
            backend=engine.name if engine else "",
            weights=self._weights[0] if engine else "",
            sha256=self._weights[1] if engine else "",
            memory=engine.memory() if engine else None,
            last_error=self._last_error,
            busy=worker.busy if worker else 0.0,
            incompatible=[said for misfit in self._misfits.values() if (said := misfit())],
            needs_info="depth" in engine.answers if engine else True,
            latched={c.name for c in list(self._cameras.values()) if c.has_latched_info},
            next_attempt=self._autostart.next_attempt,
            inputs={c.name: c.inputs for c in list(self._cameras.values())},
            scales=scaling.health() if scaling else {},
        )
        thresholds = settings.diagnostics if settings else diagnostics.Thresholds()
        message = DiagnosticArray()
        message.header.stamp = self.get_clock().now().to_msg()
        message.status = diagnostics.statuses(health, self._statistics.snapshot(), thresholds)
        self._health.publish(message)

    def _on_monitor_error(self, error: Exception) -> None:
        self.get_logger().error(
            f"diagnostics failed: {type(error).__name__}: {error}", throttle_duration_sec=WARN_EVERY
        )


def main(args: list[str] | None = None) -> None:
    """Run the node until SIGINT or SIGTERM, and end in order: the last message goes out whole.

    rclpy's own handlers would shut the context down while threads still use it.
    """
    # Exit statuses. Unlike with an Event, a handler may put one while this thread waits for it.
    ends: SimpleQueue[int] = SimpleQueue()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ends.put(0))
    keep_freed_memory()
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    node = PerceptionNode(end=ends.put)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    ending = threading.Event()
    spinning = threading.Thread(target=_run, args=(node, executor, ends, ending), name="executor")
    spinning.daemon = True
    if ends.empty():
        spinning.start()
    status = _first(ends)

    ending.set()
    last_resort = threading.Timer(EXIT_TIMEOUT, _exit, (node, status))
    last_resort.daemon = True
    last_resort.start()
    if spinning.is_alive():
        # In its own thread: another one would destroy what the executor is waiting on.
        executor.create_task(executor.shutdown)
        spinning.join(TRANSITION_TIMEOUT)
    is_stuck = spinning.is_alive()  # configure takes seconds, and may wait for files and devices
    if is_stuck:
        node.leave()
    else:
        node.destroy_node()
    rclpy.shutdown()
    if is_stuck or node.has_abandoned:
        # Python would crash if it ended while another thread is inside torch.
        os._exit(status)
    sys.exit(status)


def _first(ends: SimpleQueue[int]) -> int:
    """Wait for an exit status.

    A signal that arrives between Python's last check for signals and the wait itself does not
    interrupt the wait, and its handler runs only afterwards: hence a new wait every second.
    """
    while True:
        try:
            return ends.get(timeout=1)
        except Empty:
            continue


def _exit(node: PerceptionNode, status: int) -> None:
    """End now, even if something hangs."""
    node.abandon()
    os._exit(status)


def _run(
    node: PerceptionNode, executor: Executor, ends: SimpleQueue[int], ending: threading.Event
) -> None:
    try:
        node.autostart()
        while not ending.is_set():
            try:
                executor.spin()
                break
            except ExternalShutdownException:
                break
            except Exception as error:  # of a callback: one bad call must not end the node
                if not ending.is_set():
                    reason = f"{type(error).__name__}: {error}"
                    node.get_logger().error(f"a callback failed with {reason}")
    finally:
        ends.put(1)


if __name__ == "__main__":
    main()
