"""A robot's sensor beside its camera, over DDS, for tests of scale."""

from __future__ import annotations

import numpy as np
from robot import camera_info, picture, rgb
from sensor_messages import cloud
from sensor_msgs.msg import LaserScan, PointCloud2, Range
from std_msgs.msg import Header

from sosd_ros.testbed.camera import FRAME_ID

SENSORS = {"points": PointCloud2, "scan": LaserScan, "range": Range}
OK, WARN = b"\x00", b"\x01"
FAR = 3.0  # metres, at which a sensor sees a wall; the network answers about 2


def reliably(*sensors):
    """Parameters of a node that listens to sensors, and loses nothing on the way."""
    policies = {"reliability": "reliable", "depth": 50}
    return {f"scale_from.{name}": True for name in sensors} | {
        f"qos_overrides./scale/{name}.subscription.{policy}": value
        for name in sensors
        for policy, value in policies.items()
    }


def wall(header, distance=FAR, frame_id=FRAME_ID):
    """A wall before the camera, as a depth camera in its own frame sees it."""
    x, y = np.meshgrid(np.linspace(-0.4, 0.4, 20), np.linspace(-0.25, 0.25, 15))
    points = np.stack([x, y, np.ones_like(x)], axis=-1).reshape(-1, 3) * distance
    message = cloud(points, height=15)
    message.header = Header(stamp=header.stamp, frame_id=frame_id)
    return message


class World:
    """Plays images to a node, and messages of a sensor at the same times."""

    def __init__(self, camera, sensor="points", make=wall):
        self.camera, self.make = camera, make
        self.sensor = camera.node.create_publisher(SENSORS[sensor], f"scale/{sensor}", 50)
        camera.wait_until_active()
        camera.wait(self.sensor.get_subscription_count, "a subscriber of the sensor")
        camera.listen_diagnostics()

    def step(self, info=None):
        """One image and one message; the image's stamp."""
        header = self.camera.header()
        if self.make is not None:
            self.sensor.publish(self.make(header))
        return self.camera.send(rgb(header, picture()), info or camera_info())

    def values(self, name="camera"):
        return self.camera.values(name)

    def play(self, condition, what):
        def stepped():
            self.camera.answers(self.step(), "depth")
            return condition()

        return self.camera.wait(stepped, f"{what}, not {self.values()}")

    def play_until_scale(self):
        return float(self.play(lambda: self.values().get("scale factor"), "a scale"))

    def play_again(self, at):
        """Begin anew at some second; wait for the first frame's refusal, and then for a scale."""
        self.camera._seconds = iter(range(at, 10**6))
        self.camera.answers(self.step(), "depth")
        self.camera.wait(
            lambda: "at least 10 in 5 are needed" in self.values()["scale not renewed"],
            "a new beginning",
        )
        self.play(lambda: self.values()["scale not renewed"] == "", "a scale of the new round")

    def play_until_said(self, words, level=WARN):
        """Play until the camera's status says something; what it says."""

        def said():
            status = self.camera.status("camera")
            return status and status.level == level and words in status.message and status.message

        return self.play(said, words)
