"""The topics of one camera: its inputs, its outputs and their quality of service."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Set
from functools import lru_cache
from operator import methodcaller
from typing import Any, NamedTuple, cast

from rclpy.clock import ROSClock
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import (
    DurabilityPolicy,
    QoSCompatibility,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from ..camera_info import CameraInfoBuffer
from ..lens import Rectification
from ..stamps import AgeLimit, StampOrder
from .diagnostics import Inputs, InputTopic
from .generations import (
    PublisherEventCallbacks,
    SubscriptionEventCallbacks,
    UnsupportedEventTypeError,
    steady_clock,
)

OUTPUT_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
NAMES_KNOWN = 0.5  # seconds: the middleware learns a peer's topics before its name
INPUT_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED_QOS = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
LATCHED_PERIOD = 0.5  # seconds between two looks for a latched CameraInfo
OVERRIDABLE = (
    QoSPolicyKind.HISTORY,
    QoSPolicyKind.DEPTH,
    QoSPolicyKind.RELIABILITY,
    QoSPolicyKind.DURABILITY,
)
OVERRIDES = QoSOverridingOptions(OVERRIDABLE)


class OutputTopic(NamedTuple):
    """A topic on which a camera's images are answered.

    Attributes:
        topic: below the camera's name.
        needs: the engine's answers that it is made from.
        metric: whether it needs a CameraInfo that fits, and a network that answers depth.
        rate: the output whose rate it follows.
        carries: further answers that it includes if they are available.
    """

    topic: str
    kind: type
    needs: frozenset[str]
    metric: bool
    rate: str
    carries: frozenset[str] = frozenset()

    def is_offered(self, answers: Set[str]) -> bool:
        """Whether an engine with these answers can make it."""
        return (self.needs | _DEPTH if self.metric else self.needs) <= answers


_DEPTH, _SEMANTIC = frozenset({"depth"}), frozenset({"semantic"})
OUTPUTS = {
    "depth": OutputTopic("depth", Image, _DEPTH, True, "depth"),
    "camera_info": OutputTopic("camera_info", CameraInfo, frozenset(), True, "depth"),
    "depth_uncertainty": OutputTopic(
        "depth_uncertainty", Image, frozenset({"uncertainty"}), True, "depth"
    ),
    "semantic": OutputTopic("semantic", Image, _SEMANTIC, False, "semantic"),
    "confidence": OutputTopic("confidence", Image, frozenset({"confidence"}), False, "confidence"),
    "points": OutputTopic("points", PointCloud2, _DEPTH, True, "points", carries=_SEMANTIC),
    "overlay": OutputTopic("overlay", Image, _SEMANTIC, False, "overlay"),
    "depth_colored": OutputTopic("depth/colored", Image, _DEPTH, True, "depth_colored"),
}
KINDS = {output.topic: output.kind for output in OUTPUTS.values()}


class Turns:
    """Chooses a camera's frames for rates, so that outputs with different rates stay in step.

    Time is cut into slots of 1 / rate seconds, and the slots of all rates begin together: every
    slot of 5 Hz begins with one of 10 Hz. The first frame of a slot is chosen. So all outputs with
    the same rate get the same frames, and those of 5 Hz are among those of 10 Hz. One slot without
    a frame is made up for: a 10 Hz camera whose frames jitter keeps 10 Hz, even if two of them fall
    into one slot. A rate of 0 chooses every frame.

    Times are in nanoseconds since a moment that is the same for all cameras.
    """

    def __init__(self) -> None:
        self._last: int | None = None  # when a frame was last taken
        self._rates: set[float] = set()
        self._owed: set[float] = set()  # rates that have a slot to make up for

    def due(self, rates: Iterable[float], now: int) -> set[float]:
        """Those of ``rates`` for which a frame at ``now`` is chosen, if it is taken."""
        if self._rates != (rates := set(rates)):
            self._rates, self._owed = rates, set()  # or the old rates would be ahead of a new one
        return {rate for rate in rates if rate == 0 or self._slots(rate, now) > 0}

    def take(self, now: int) -> None:
        """The frame at ``now`` is answered: it uses the slots of all rates that were due."""
        self._owed = {rate for rate in self._rates if self._slots(rate, now) > 1}
        self._last = now

    def _slots(self, rate: float, now: int) -> int:
        """How many slots have begun without a frame."""
        if self._last is None:
            return 1
        # Integers: rounding could let a slot of 10 Hz begin before that of 30 Hz.
        microhertz = round(rate * 1e6)
        begun = now * microhertz // 10**15 - self._last * microhertz // 10**15
        return begun + (rate in self._owed)


class CameraTopics:
    """Subscriptions and publishers of one camera, and the state of its image stream.

    Args:
        node: the node that has the topics.
        name: of the camera; may be empty.
        answers: of the engine; outputs that need others are not offered.
        on_incompatible: called when a peer's quality of service is incompatible, with the topic
            and a function that returns a sentence about it, empty once that peer is gone.
    """

    def __init__(
        self,
        node: LifecycleNode,
        name: str,
        answers: Set[str],
        on_incompatible: Callable[[str, Callable[[], str]], None],
    ) -> None:
        self.name = name
        self.infos = CameraInfoBuffer()
        # One: those of a zoom lens never repeat, and those of a large image are large.
        self.rays = lru_cache(maxsize=1)(methodcaller("rays"))
        self.maps = lru_cache(maxsize=1)(Rectification.maps)
        self._node = node
        self._on_incompatible = on_incompatible
        self._subscriptions: list[Any] = []
        self._latched: Any = None  # a subscription, while there is a latched publisher
        self._looking: Any = None  # the timer
        self._listened: list[tuple[str, QoSProfile]] = []  # topics and QoS: CameraInfos, images
        self.publishers: dict[str, Any] = {}
        self._await_stream()
        try:
            for key, output in OUTPUTS.items():
                if output.is_offered(answers):
                    self.publishers[key] = self._create_publisher(output)
        except Exception:
            self.destroy()
            raise

    def subscribe(
        self,
        transport: str,
        on_image: Callable[[Any], None],
        on_info: Callable[[CameraInfo], None],
        on_lost: Callable[[int], None],
        **image_options: Any,
    ) -> None:
        """Subscribe; ``on_lost`` is called with how many images the middleware has lost.

        As in image_transport, a transport's topic is below the topic of the raw images, with
        whatever name that is remapped to. ``image_options`` are for rclpy's subscription to raw
        images.
        """
        self._subscribe(CameraInfo, _below(self.name, "camera_info"), on_info, lambda lost: None)
        image = _below(self.name, "image")
        if transport == "compressed":
            topic = f"{self._node.resolve_topic_name(image)}/compressed"
            self._subscribe(CompressedImage, topic, on_image, on_lost)
        else:
            self._subscribe(Image, image, on_image, on_lost, **image_options)

        def look() -> None:
            self._follow_latched(on_info)

        look()
        self._looking = self._node.create_timer(LATCHED_PERIOD, look, clock=steady_clock())

    def unsubscribe(self) -> None:
        if self._looking is not None:
            self._node.destroy_timer(self._looking)
        for subscription in (*self._subscriptions, self._latched):
            if subscription is not None:
                self._node.destroy_subscription(subscription)
        self._subscriptions, self._listened = [], []
        self._latched = self._looking = None
        self._await_stream()

    def _await_stream(self) -> None:
        """Forget the images and CameraInfos that came before."""
        clock = cast(ROSClock, self._node.get_clock())
        self.infos.clear()
        self.order = StampOrder()
        self.age = AgeLimit(lambda: clock.now().nanoseconds, lambda: clock.ros_time_is_active)
        self._turns = Turns()

    def destroy(self) -> None:
        self.unsubscribe()
        for publisher in self.publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)
        self.publishers = {}

    def due(self, rates: Mapping[str, float], now: int) -> set[str]:
        """The outputs that have a subscriber and whose rate chooses a frame at ``now``.

        Args:
            rates: of the outputs, in Hz.
            now: nanoseconds since a moment that is the same for all cameras.
        """
        chosen = self._turns.due(rates.values(), now)
        return {
            name
            for name, publisher in self.publishers.items()
            if rates[OUTPUTS[name].rate] in chosen and publisher.get_subscription_count()
        }

    def take_turn(self, now: int) -> None:
        """The frame at ``now`` is answered."""
        self._turns.take(now)

    def inputs(self) -> Inputs | None:
        """Of images and of CameraInfos, while subscribed; may be called by any thread."""
        if len(listened := self._listened) < 2:
            return None
        infos, images = (self._input(topic, qos) for topic, qos in listened)
        return images, infos

    def _input(self, topic: str, qos: QoSProfile) -> InputTopic:
        matching, unfit = self._peers("subscription", topic, qos)
        return InputTopic(topic, matching, bool(unfit))

    def _peers(self, kind: str, topic: str, qos: QoSProfile) -> tuple[list[str], list[str]]:
        """The nodes at the other end of our publisher or subscription: compatible ones, others."""
        if kind == "publisher":
            peers = self._node.get_subscriptions_info_by_topic(topic)
            unfit = [peer for peer in peers if _misfit(qos, peer.qos_profile)]
        else:
            peers = self._node.get_publishers_info_by_topic(topic)
            unfit = [peer for peer in peers if _misfit(peer.qos_profile, qos)]
        return _names(peer for peer in peers if peer not in unfit), _names(unfit)

    @property
    def has_latched_info(self) -> bool:
        """Whether the CameraInfo is latched, so that it need not come again."""
        return self._latched is not None

    @property
    def image_topic(self) -> str:
        """The topic on which images come."""
        return str(self._subscriptions[-1].topic_name)

    def _create_publisher(self, output: OutputTopic) -> Any:
        topic = f"~/{_below(self.name, output.topic)}"

        def create(**events: Any) -> Any:
            return self._node.create_lifecycle_publisher(
                output.kind,
                topic,
                copy.copy(OUTPUT_QOS),  # overrides are written into it
                event_callbacks=PublisherEventCallbacks(**events),
                qos_overriding_options=OVERRIDES,
            )

        def on_incompatible(event: Any) -> None:
            self._report(publisher, event, "publisher")

        publisher = _created(topic, create, incompatible_qos=on_incompatible)
        return publisher

    def _subscribe(
        self,
        kind: type,
        topic: str,
        callback: Callable[[Any], None],
        on_lost: Callable[[int], None],
        **options: Any,
    ) -> None:
        def create(**events: Any) -> Any:
            return self._node.create_subscription(
                kind,
                topic,
                callback,
                copy.copy(INPUT_QOS),
                event_callbacks=SubscriptionEventCallbacks(**events),
                qos_overriding_options=OVERRIDES,
                **options,
            )

        def on_incompatible(event: Any) -> None:
            self._report(subscription, event, "subscription")

        subscription = _created(
            topic,
            create,
            incompatible_qos=on_incompatible,
            message_lost=lambda event: on_lost(event.total_count_change),
        )
        self._subscriptions.append(subscription)
        self._listened = [*self._listened, (subscription.topic_name, subscription.qos_profile)]

    def _follow_latched(self, on_info: Callable[[CameraInfo], None]) -> None:
        """Ask for a CameraInfo that was published before we subscribed, if it is latched.

        This takes a second subscription, since a volatile publisher sends nothing to a transient
        local one. It exists only while there is a latched publisher, or all others would warn of
        incompatible QoS.
        """
        topic = self._subscriptions[0].topic_name
        publishers = self._node.get_publishers_info_by_topic(topic)
        is_kept = any(
            peer.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
            and peer.qos_profile.reliability == ReliabilityPolicy.RELIABLE
            for peer in publishers
        )
        if is_kept and self._latched is None:

            def create(**events: Any) -> Any:
                return self._node.create_subscription(
                    CameraInfo,
                    topic,
                    on_info,
                    copy.copy(LATCHED_QOS),
                    event_callbacks=SubscriptionEventCallbacks(**events),
                )

            # The other subscription receives from publishers that are incompatible with this one.
            self._latched = _created(topic, create, incompatible_qos=lambda event: None)
        elif self._latched is not None and not is_kept:
            self._node.destroy_subscription(self._latched)
            self._latched = None

    def _report(self, ours: Any, event: Any, kind: str) -> None:
        """Report an incompatible quality of service, once the names of the nodes are known."""
        topic, qos = ours.topic_name, ours.qos_profile  # ours may be gone by then
        policy = QoSPolicyKind(event.last_policy_kind)
        advice = "change it"
        if policy in OVERRIDABLE:
            parameter = f"qos_overrides.{topic}.{kind}.{policy.name.lower()}"
            advice += f", or change ours with the parameter {parameter}"

        def misfit() -> str:
            _, unfit = self._peers(kind, topic, qos)
            if not unfit:
                return ""
            other = "subscription" if kind == "publisher" else "publisher"
            return (
                f"{other} of {', '.join(unfit)} on {topic} has QoS incompatible with ours "
                f"({policy.name}): no message passes between them; {advice}"
            )

        def report() -> None:
            self._node.destroy_timer(timer)
            self._on_incompatible(topic, misfit)

        timer = self._node.create_timer(NAMES_KNOWN, report, clock=steady_clock())


def _names(peers: Iterable[Any]) -> list[str]:
    """Names of the nodes that have these publishers or subscriptions."""
    names = {peer.node_name for peer in peers}
    return sorted("another node" if name == "_NODE_NAME_UNKNOWN_" else name for name in names)


def _misfit(publisher: QoSProfile, subscription: QoSProfile) -> bool:
    return bool(qos_check_compatible(publisher, subscription)[0] == QoSCompatibility.ERROR)


def _created(topic: str, create: Callable[..., Any], **events: Callable[[Any], None]) -> Any:
    """A publisher or a subscription, with ``events`` if the middleware supports them.

    Raises:
        RuntimeError: with the topic's name, if the middleware refuses it.
    """
    try:
        try:
            return create(**events)
        except UnsupportedEventTypeError:
            return create()
    except RuntimeError as error:
        raise RuntimeError(
            f"cannot create {topic} ({error}); under SROS 2, check that the policy allows it"
        ) from error


def _below(camera: str, topic: str) -> str:
    return f"{camera}/{topic}" if camera else topic
