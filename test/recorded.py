"""Recordings for tests, made and read by rosbags alone."""

from __future__ import annotations

import cv2
import numpy as np
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

STORE = get_typestore(Stores.ROS2_HUMBLE)
IMAGE, INFO = "sensor_msgs/msg/Image", "sensor_msgs/msg/CameraInfo"
JPEG = "sensor_msgs/msg/CompressedImage"
STORAGES = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}


def make(kind, **fields):
    return STORE.types[kind](**fields)


def encode(message):
    return bytes(STORE.serialize_cdr(message, message.__msgtype__))


def header(nanoseconds, frame="camera"):
    seconds, rest = divmod(nanoseconds, 10**9)
    stamp = make("builtin_interfaces/msg/Time", sec=seconds, nanosec=rest)
    return make("std_msgs/msg/Header", stamp=stamp, frame_id=frame)


def image(time, pixels, encoding="rgb8"):
    height, width = pixels.shape[:2]
    data = np.ascontiguousarray(pixels).reshape(-1).view(np.uint8)
    step = len(data) // height
    fields = {"height": height, "width": width, "encoding": encoding, "step": step, "data": data}
    return make(IMAGE, header=header(time), is_bigendian=0, **fields)


def compressed(time, pixels):
    data = np.frombuffer(cv2.imencode(".png", pixels[..., ::-1])[1], np.uint8)
    return make(JPEG, header=header(time), format="rgb8; png compressed bgr8", data=data)


def camera_info(time, width=96, height=64, focal=100.0, d=()):
    k = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
    region = dict.fromkeys(("x_offset", "y_offset", "height", "width"), 0)
    return make(
        INFO,
        header=header(time),
        height=height,
        width=width,
        distortion_model="plumb_bob",
        d=np.array([*d, *[0.0] * (5 - len(d))]),
        k=k.ravel(),
        r=np.eye(3).ravel(),
        p=np.hstack([k, np.zeros((3, 1))]).ravel(),
        binning_x=0,
        binning_y=0,
        roi=make("sensor_msgs/msg/RegionOfInterest", do_rectify=False, **region),
    )


def write(path, messages, storage="mcap"):
    """A recording of (topic, nanoseconds, message or (type, bytes))."""
    with Writer(path, version=8, storage_plugin=STORAGES[storage]) as writer:
        connections = {}
        for topic, time, message in messages:
            is_raw = isinstance(message, tuple)
            kind, data = message if is_raw else (message.__msgtype__, encode(message))
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=STORE)
            writer.write(connections[topic], time, data)
    return path


def read(path):
    """All of (topic, nanoseconds, bytes), in their order."""
    with Reader(path) as reader:
        return [(c.topic, time, bytes(data)) for c, time, data in reader.messages()]


def decoded(path, topic):
    """The messages of a topic by their stamps in nanoseconds."""
    found = {}
    with Reader(path) as reader:
        chosen = [connection for connection in reader.connections if connection.topic == topic]
        for connection, _, data in reader.messages(chosen) if chosen else ():
            message = STORE.deserialize_cdr(data, connection.msgtype)
            stamp = message.header.stamp
            found[stamp.sec * 10**9 + stamp.nanosec] = message
    return found
