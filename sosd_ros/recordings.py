"""Recordings of topics in rosbag2's formats, mcap and sqlite3: read in order, written in parts.

By the package rosbags, without ROS. Messages stay bytes until somebody decodes them; those of
standard types have the fields that ROS gives them.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from . import atomic
from .reasons import first_line

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
POINT_CLOUD = "sensor_msgs/msg/PointCloud2"
STRING = "std_msgs/msg/String"

PART_BYTES = 2**28  # of messages, after which a part ends; what a killed run does again
_VERSION: Final = 8  # of the metadata: all distributions since Humble read it
_STATE = "unfinished.json"  # beside the parts, until all of them are there
_NO_HASH = "RIHS01_" + "0" * 64


class RecordingError(ValueError):
    """A recording that cannot be read or written; the message says what is wrong."""


class Topic(NamedTuple):
    """A topic of a recording.

    Attributes:
        kind: type of its messages, as ``sensor_msgs/msg/Image``.
        connection: of rosbags.
    """

    name: str
    kind: str
    connection: Any


class Message(NamedTuple):
    """A message as it was recorded; ``time`` in nanoseconds."""

    topic: Topic
    time: int
    data: bytes


class Types:
    """The standard messages as Python objects, and as bytes (CDR)."""

    @cached_property
    def _store(self) -> Any:
        from rosbags.typesys import Stores, get_typestore

        return get_typestore(Stores.LATEST)

    def make(self, kind: str, **fields: Any) -> Any:
        """A message with these fields, all of those that it has."""
        return self._store.types[kind](**fields)

    def encode(self, kind: str, message: Any) -> bytes:
        return bytes(self._store.serialize_cdr(message, kind))

    def decode(self, kind: str, data: bytes) -> Any:
        """Raises RecordingError if these bytes are no such message."""
        try:
            return self._store.deserialize_cdr(data, kind)
        except Exception as error:  # whatever broken bytes lead to
            raise RecordingError(f"it is no {kind} ({first_line(error)})") from error

    def definition(self, kind: str) -> tuple[str, str]:
        """The text that defines a type, and its hash."""
        text, _ = self._store.generate_msgdef(kind, ros_version=2)
        return text, self._store.hash_rihs01(kind)

    def knows(self, kind: str) -> bool:
        return kind in self._store.types


class Recording:
    """A recording to read: a folder with ``metadata.yaml``, an mcap or a db3 file; to be closed.

    Raises:
        RecordingError: if there is none, or it is broken.
    """

    def __init__(self, path: Path) -> None:
        try:
            from rosbags.rosbag2 import Reader
        except ImportError as error:
            raise RecordingError(
                "recordings are read by rosbags, which is not installed; README says how"
            ) from error
        self.path = path
        try:
            self._reader = Reader(path)
            self._reader.open()
        except Exception as error:  # of rosbags, apsw or YAML
            advice = ""
            if path.is_dir() and not (path / "metadata.yaml").is_file():
                advice = "; if a recorder was killed, `ros2 bag reindex` makes metadata.yaml anew"
            raise RecordingError(
                f"{path} cannot be read as a recording: {first_line(error)}{advice}"
            ) from error
        self.topics = [Topic(c.topic, c.msgtype, c) for c in self._reader.connections]
        self.count = self._reader.message_count
        self.span = self._reader.start_time, self._reader.end_time

    def close(self) -> None:
        self._reader.close()

    @property
    def storage(self) -> str:
        """``mcap`` or ``sqlite3``."""
        if self.path.is_dir():
            text = (self.path / "metadata.yaml").read_text()
            return str(yaml.safe_load(text)["rosbag2_bagfile_information"]["storage_identifier"])
        return "mcap" if self.path.suffix == ".mcap" else "sqlite3"

    def messages(self, *topics: Topic) -> Iterator[Message]:
        """All messages in the order of recording, or those of some topics.

        Raises:
            RecordingError: where the file is broken, and nothing can be read any more.
        """
        by_id = {topic.connection.id: topic for topic in self.topics}
        last = "before the first message"
        try:
            chosen = [topic.connection for topic in topics]
            for connection, time, data in self._reader.messages(chosen):
                topic = by_id[connection.id]
                last = f"after {topic.name} at {seconds(time)}"
                yield Message(topic, time, data)
        except GeneratorExit:
            raise
        except Exception as error:
            raise RecordingError(
                f"{self.path} is broken {last} ({first_line(error)}); nothing can be read from "
                "there on"
            ) from error


class Parts:
    """A recording that is written in parts; those that are whole are kept when it is interrupted.

    Each part is one file of a rosbag2 folder. Until the last one is there, the folder has no
    ``metadata.yaml``, and a file says what is done.

    Args:
        folder: the recording; what was begun there is continued.
        storage: ``mcap`` or ``sqlite3``.
        made_of: what it is made of and how; a recording of anything else is not continued.
        most: bytes of messages in a part.

    Attributes:
        facts: of the user of this class, as they were when the last part ended.

    Raises:
        RecordingError: if there is something else.
    """

    def __init__(
        self, folder: Path, storage: str, made_of: Mapping[str, Any], most: int = PART_BYTES
    ) -> None:
        self._folder, self._storage, self._most = folder, storage, most
        self._made_of = json.loads(json.dumps(made_of))
        self._state = {"made_of": self._made_of, "facts": {}, "parts": []}
        found = _found(folder)
        if found is not None:
            self._state = found
            _check_same(folder, found["made_of"], self._made_of)
        self.facts: dict[str, Any] = self._state["facts"]
        self._types = Types()
        self._writer: Any = None
        self._size = 0
        self._connections: dict[tuple[str, str], Any] = {}
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self._partial, ignore_errors=True)

    @property
    def _partial(self) -> Path:
        return self._folder / "partial"

    def write(self, topic: Topic, time: int, data: bytes) -> None:
        """Add a message; one of a standard type may have a topic without a connection."""
        if self._writer is None:
            self._open()
        key = topic.name, topic.kind
        if key not in self._connections:
            self._connections[key] = self._connect(topic)
        self._writer.write(self._connections[key], time, data)
        self._size += len(data)

    def is_full(self) -> bool:
        """Whether the part should end."""
        return self._size >= self._most

    def end_part(self) -> None:
        """Close the part; it and the facts are kept from now on."""
        if self._writer is not None:
            self._writer.close()
            (made,) = (p for p in self._writer.path.iterdir() if p.name != "metadata.yaml")
            text = (self._writer.path / "metadata.yaml").read_text()
            os.replace(made, self._folder / made.name)
            self._state["parts"].append(yaml.safe_load(text)["rosbag2_bagfile_information"])
            self._writer = None
        self._state["facts"] = self.facts
        atomic.write(self._folder / _STATE, json.dumps(self._state))
        shutil.rmtree(self._partial, ignore_errors=True)

    def finish(self) -> None:
        """End the last part, and make a recording of them all."""
        self.end_part()
        information = _together(self._state["parts"], self._storage)
        information["custom_data"] = {"sosd_ros": json.dumps(self._made_of)}
        text = yaml.safe_dump({"rosbag2_bagfile_information": information}, sort_keys=False)
        atomic.write(self._folder / "metadata.yaml", text)
        (self._folder / _STATE).unlink()

    def abandon(self) -> None:
        """Leave the part that is not whole; the others stay."""
        if self._writer is not None:
            self._writer.abort()
            self._writer = None
        shutil.rmtree(self._partial, ignore_errors=True)

    def _open(self) -> None:
        from rosbags.rosbag2 import StoragePlugin, Writer

        plugins = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}
        name = f"{self._folder.resolve().name}_{len(self._state['parts'])}"
        self._partial.mkdir()
        self._writer = Writer(
            self._partial / name, version=_VERSION, storage_plugin=plugins[self._storage]
        )
        self._writer.open()
        self._size, self._connections = 0, {}

    def _connect(self, topic: Topic) -> Any:
        """With the definition and the quality of service that it came with."""
        source = topic.connection
        text, digest = source and source.msgdef.data, source and source.digest
        if self._types.knows(topic.kind):
            known_text, known_digest = self._types.definition(topic.kind)
            text, digest = text or known_text, digest or known_digest
        return self._writer.add_connection(
            topic.name,
            topic.kind,
            msgdef=text or "",
            rihs01=digest or _NO_HASH,
            offered_qos_profiles=source.ext.offered_qos_profiles if source else [_qos(topic.kind)],
        )


def seconds(time: int) -> str:
    """Nanoseconds as people read them."""
    return f"{time // 10**9}.{time % 10**9:09d}"


def is_whole(folder: Path, made_of: Mapping[str, Any]) -> bool:
    """Whether a recording that ``Parts`` would write is there already.

    Raises:
        RecordingError: if there is one, but made of something else, or by somebody else.
    """
    metadata = folder / "metadata.yaml"
    if not metadata.is_file():
        return False
    information = yaml.safe_load(metadata.read_text())["rosbag2_bagfile_information"]
    mark = (information.get("custom_data") or {}).get("sosd_ros")
    if mark is None:
        raise RecordingError(
            f"{folder} is a recording that this command has not written; name another folder"
        )
    _check_same(folder, json.loads(mark), json.loads(json.dumps(made_of)))
    return True


def _found(folder: Path) -> dict[str, Any] | None:
    """The state of what was begun in a folder."""
    if (folder / _STATE).is_file():
        return dict(json.loads((folder / _STATE).read_text()))
    if folder.exists() and any(p.name != "partial" for p in folder.iterdir()):
        raise RecordingError(f"{folder} is not empty; name a folder that is, or is not there")
    return None


def _check_same(folder: Path, there: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    for key in wanted:
        if there.get(key) != wanted[key]:
            raise RecordingError(
                f"{folder} was made with {key} {there.get(key)}, not with {wanted[key]}; name "
                "another folder, or delete it"
            )


def _together(parts: Sequence[Mapping[str, Any]], storage: str) -> dict[str, Any]:
    """The metadata of a recording from those of its files."""
    topics: dict[tuple[str, str], dict[str, Any]] = {}
    for part in parts:
        for entry in part["topics_with_message_count"]:
            about = entry["topic_metadata"]
            known = topics.setdefault(
                (about["name"], about["type"]), {"topic_metadata": about, "message_count": 0}
            )
            known["message_count"] += entry["message_count"]
    files = [file for part in parts for file in part["files"]]
    starts = [file["starting_time"]["nanoseconds_since_epoch"] for file in files] or [0]
    ends = [
        start + file["duration"]["nanoseconds"] for start, file in zip(starts, files, strict=False)
    ] or [0]
    return {
        "version": _VERSION,
        "storage_identifier": storage,
        "duration": {"nanoseconds": max(ends) - min(starts)},
        "starting_time": {"nanoseconds_since_epoch": min(starts)},
        "message_count": sum(file["message_count"] for file in files),
        "topics_with_message_count": list(topics.values()),
        "compression_format": "",
        "compression_mode": "",
        "relative_file_paths": [file["path"] for file in files],
        "files": files,
        "ros_distro": "rosbags",
    }


def _qos(kind: str) -> Any:
    """As the node publishes: reliable, and texts for late subscribers too."""
    from rosbags.interfaces import (
        Qos,
        QosDurability,
        QosHistory,
        QosLiveliness,
        QosReliability,
        QosTime,
    )

    never = QosTime(9223372036, 854775807)
    return Qos(
        QosHistory.KEEP_LAST,
        1,
        QosReliability.RELIABLE,
        QosDurability.TRANSIENT_LOCAL if kind == STRING else QosDurability.VOLATILE,
        never,
        never,
        QosLiveliness.AUTOMATIC,
        never,
        False,
    )
