"""``python -m sosd_ros.benchmark.textbook``: the node that a tutorial would write, to compare with.

It answers every rgb8 image of a queue of ten in its callback: eager float32, class scores upsampled
to the image's size before the arg-max, a cloud by meshgrid, and everything published whether anyone
listens or not. It has the same network and the same answers as ``sosd_ros.ros.node``, and none of
its care: no life cycle, no diagnostics, no checks. Do not put it on a robot.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rclpy
import torch
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField
from std_msgs.msg import Header
from torch.nn import functional

from .. import commands
from ..camera import focal_correction
from ..network import input_size, prepare
from ..weights import build_network, read

QUEUE = 10
DEPTH_RANGE = (0.1, 10.0)  # metres; nearer is NaN, farther +inf, as the perception node has it
ENCODINGS = {"float32": "32FC1", "uint8": "mono8"}
POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("rgb", "<u4"), ("label", "<u4")])


class Network:
    """Depth, labels, confidence and uncertainty of an image, by the plainest of ways.

    Args:
        path: of a weights file.
        device: ``cpu`` or a CUDA device.
    """

    def __init__(self, path: Path, device: str) -> None:
        weights = read(path)
        self._manifest = weights.manifest
        self._device = device
        self._network = build_network(weights).to(device)
        self.topics = ["depth", "semantic", "confidence"]
        if self._manifest.spread:
            self.topics.append("depth_uncertainty")

    @torch.no_grad()
    def __call__(self, rgb: np.ndarray, focal: float) -> dict[str, np.ndarray]:
        """Answer an image.

        Args:
            rgb: (H, W, 3) uint8.
            focal: sqrt(fx fy) of its camera, in pixels.

        Returns:
            By topic: (H, W) float32 metres, uint8 class ids, uint8 confidence, 255 for certainty,
            and float32 metres of depth's standard deviation.
        """
        manifest, size = self._manifest, (rgb.shape[0], rgb.shape[1])
        rows, columns = input_size(size, manifest.input_size)
        pixels = torch.from_numpy(rgb).to(self._device)[None]
        inputs = prepare(pixels, (rows, columns), manifest.mean, manifest.std)
        output = self._network(inputs, size=self._network.answer_size(inputs))

        scores = functional.interpolate(output.logits, size=size, mode="bilinear")
        labels = scores.argmax(1)[0].cpu().numpy().astype(np.uint8)
        probability = torch.softmax(scores, 1).max(1).values[0].cpu().numpy()
        confidence = np.round(255 * probability).astype(np.uint8)

        answer = functional.interpolate(output.depth[:, None], size=size, mode="bilinear")
        shrink = (rows * columns / (size[0] * size[1])) ** 0.5
        depth = self._metres(answer[0, 0].cpu().numpy(), focal * shrink)
        answers = {"depth": depth, "semantic": labels, "confidence": confidence}
        if output.spread is not None:
            spread = functional.interpolate(output.spread[:, None], size=size, mode="bilinear")
            uncertainty = np.sqrt(np.float32(2)) * spread[0, 0].cpu().numpy() * depth
            uncertainty[~np.isfinite(depth)] = np.nan
            answers["depth_uncertainty"] = uncertainty
        return answers

    def _metres(self, answer: np.ndarray, focal: float) -> np.ndarray:
        kind, (least, most) = self._manifest.depth, DEPTH_RANGE
        if kind.focal_length is not None and kind.baseline is not None:  # it answers disparity
            with np.errstate(divide="ignore"):
                answer = kind.focal_length * kind.baseline / answer.clip(min=0)
        depth = (answer * focal_correction(focal, self._manifest.focal_length)).astype(np.float32)
        depth[depth > most] = np.inf
        depth[depth < least] = np.nan
        return depth


class TextbookNode(Node):
    """Subscribes to ``image`` and ``camera_info``; publishes what the perception node does."""

    def __init__(self, network: Network) -> None:
        super().__init__("textbook")
        self._network = network
        self._info: CameraInfo | None = None
        self._images = {
            topic: self.create_publisher(Image, f"~/{topic}", QUEUE) for topic in network.topics
        }
        self._points = self.create_publisher(PointCloud2, "~/points", QUEUE)
        self.create_subscription(CameraInfo, "camera_info", self._on_info, QUEUE)
        self.create_subscription(Image, "image", self._on_image, QUEUE)

    def _on_info(self, message: CameraInfo) -> None:
        self._info = message

    def _on_image(self, message: Image) -> None:
        if self._info is None:
            self.get_logger().warning("no CameraInfo yet; the image is skipped")
            return
        k, header = self._info.k.reshape(3, 3), message.header
        rgb = np.array(message.data, np.uint8).reshape(message.height, message.width, 3)
        answers = self._network(rgb, float(np.sqrt(k[0, 0] * k[1, 1])))
        for topic, pixels in answers.items():
            self._images[topic].publish(image_message(header, pixels))
        cloud = cloud_message(header, answers["depth"], rgb, answers["semantic"], k)
        self._points.publish(cloud)


def image_message(header: Header, pixels: np.ndarray) -> Image:
    """An image of (H, W) values."""
    message = Image(header=header, encoding=ENCODINGS[pixels.dtype.name])
    message.height, message.width = pixels.shape
    message.step = pixels.itemsize * message.width
    message.data = pixels.tobytes()
    return message


def cloud_message(
    header: Header, depth: np.ndarray, rgb: np.ndarray, labels: np.ndarray, k: np.ndarray
) -> PointCloud2:
    """An organised cloud of (H, W) depth and labels and (H, W, 3) colours, by the (3, 3) K."""
    height, width = depth.shape
    u, v = np.meshgrid(np.arange(width), np.arange(height))
    z = np.where(np.isfinite(depth), depth, np.nan)
    points = np.stack([(u - k[0, 2]) / k[0, 0] * z, (v - k[1, 2]) / k[1, 1] * z, z], axis=-1)
    red, green, blue = (rgb[..., channel].astype(np.uint32) for channel in range(3))
    cloud = np.zeros((height, width), POINT)
    cloud["x"], cloud["y"], cloud["z"] = points[..., 0], points[..., 1], points[..., 2]
    cloud["rgb"] = (red << 16) | (green << 8) | blue
    cloud["label"] = labels
    message = PointCloud2(header=header, height=height, width=width)
    types = [*4 * [PointField.FLOAT32], PointField.UINT32]  # a colour's bits pass for a float
    message.fields = [
        PointField(name=name, offset=4 * number, datatype=types[number], count=1)
        for number, name in enumerate(POINT.names or ())
    ]
    message.point_step = POINT.itemsize
    message.row_step = POINT.itemsize * width
    message.is_dense = False
    message.data = cloud.tobytes()
    return message


def main(arguments: Sequence[str] | None = None) -> None:
    parser = commands.parser("sosd_ros.benchmark.textbook", __doc__, "--weights w.safetensors")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--device", default="cpu", help="cpu or a CUDA device (%(default)s)")
    options = parser.parse_args(arguments)
    network = Network(options.weights, options.device)
    rclpy.init()
    node = TextbookNode(network)
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except RuntimeError:
        if rclpy.ok():  # else the signal to end came within the callback
            raise
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
