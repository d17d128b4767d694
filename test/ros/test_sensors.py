"""Messages of distance sensors as points: every layout that is allowed, and refusals in words."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sensor_messages import FORMATS, cloud, header, range_message, scan
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from sosd_ros.encodings import MessageError
from sosd_ros.ros.sensors import MOST_POINTS, read

INF, NAN = math.inf, math.nan


class TestRange:
    def test_is_a_point_on_the_axis(self):
        reading = read(range_message())
        np.testing.assert_allclose(reading.points, [[1.5, 0, 0]])
        assert (reading.frame_id, reading.stamp) == ("sensor", 7_500_000_000)

    @pytest.mark.parametrize("distance", [0.1, 4.1, INF, -INF, NAN])
    def test_what_is_beyond_its_limits_is_no_point(self, distance):
        """REP 117: +inf is nothing in range, -inf too near, and NaN invalid."""
        assert read(range_message(range=distance)).points.shape == (0, 3)

    @pytest.mark.parametrize("distance", [INF, -INF, 0.8])
    def test_a_ranger_of_one_distance_is_refused(self, distance):
        with pytest.raises(MessageError, match=r"max_range, 0.8 m: .*REP 117"):
            read(range_message(min_range=0.8, max_range=0.8, range=distance))

    @pytest.mark.parametrize("width", [0.0, 0.25])
    def test_a_narrow_cone_is_as_good_as_its_axis(self, width):
        """Some drivers do not say how wide it is."""
        assert len(read(range_message(field_of_view=width)).points) == 1

    @pytest.mark.parametrize(("width", "said"), [(0.26, "0.26"), (1.05, "1.05"), (NAN, "nan")])
    def test_a_wide_cone_is_refused(self, width, said):
        """A sonar hears the nearest thing in it, which need not lie on the axis."""
        with pytest.raises(MessageError, match=rf"field_of_view of {said} rad, expected at most"):
            read(range_message(field_of_view=width))


class TestLaserScan:
    def test_is_a_point_for_each_ray(self):
        points = read(scan()).points
        angles = np.arange(-2, 3) * math.pi / 4
        np.testing.assert_allclose(np.hypot(*points.T[:2]), [1, 2, 3, 4, 5], rtol=1e-6)
        np.testing.assert_allclose(np.arctan2(points[:, 1], points[:, 0]), angles, atol=1e-6)
        assert not points[:, 2].any()

    def test_what_is_not_within_its_limits_is_no_point(self):
        points = read(scan(ranges=[INF, NAN, 0.05, 11.0, 2.0])).points
        np.testing.assert_allclose(points, [[0, 2, 0]], atol=1e-6)

    def test_its_time_is_that_of_its_middle(self):
        """The header has that of the first ray."""
        assert read(scan(time_increment=0.01)).stamp == 7_520_000_000

    def test_may_turn_backwards_be_long_or_empty(self):
        assert read(scan(angle_increment=-0.1)).points.shape == (5, 3)
        assert read(scan(ranges=[])).points.shape == (0, 3)
        assert read(scan(ranges=[1.0])).points.shape == (1, 3)
        many = scan(ranges=[1.0] * 100000, angle_increment=1e-5)
        assert len(read(many).points) == MOST_POINTS


class TestPointCloud2:
    POINTS = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12], [13, 14, 15], [16, 17, 18]])

    @pytest.mark.parametrize("big", [False, True])
    @pytest.mark.parametrize("order", ["xyz", "zxy"])
    @pytest.mark.parametrize("kind", FORMATS.values())
    def test_of_any_type_order_and_padding(self, kind, order, big):
        for height, padding in ((1, (0, 0)), (2, (5, 0)), (3, (1, 7))):
            message = cloud(self.POINTS, 3 * kind, order, big, padding, height)
            np.testing.assert_array_equal(read(message).points, self.POINTS)

    def test_of_fields_that_differ(self):
        np.testing.assert_array_equal(read(cloud(self.POINTS, "f8i2f4")).points, self.POINTS)

    def test_holes_are_no_points(self):
        points = np.array([[1, 2, 3], [NAN, 2, 3], [1, INF, 3], [1, 2, -INF], [4, 5, 6]])
        np.testing.assert_array_equal(read(cloud(points)).points, points[[0, 4]])
        far = np.array([[1e300, 0, 1]])  # no float32
        assert read(cloud(far, "f8f8f8")).points.shape == (0, 3)

    def test_may_be_empty(self):
        assert read(PointCloud2(header=header())).points.shape == (0, 3)

    def test_of_a_large_one_some_points_are_read(self):
        points = np.random.default_rng(0).uniform(1, 9, (200 * 400, 3)).astype(np.float32)
        found = read(cloud(points, height=200)).points
        assert len(found) == MOST_POINTS
        assert {tuple(p) for p in found[::1000].tolist()} <= {tuple(p) for p in points.tolist()}

    def test_the_last_row_needs_no_padding(self):
        message = cloud(self.POINTS, padding=(0, 9), height=2)
        del message.data[-9:]
        np.testing.assert_array_equal(read(message).points, self.POINTS)


def without_z():
    message = cloud(TestPointCloud2.POINTS)
    message.fields = [*message.fields[:2], PointField(name="w", datatype=7, count=1)]
    return message


def changed(message, **changes):
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def with_x(**changes):
    message = cloud(TestPointCloud2.POINTS)
    changed(message.fields[0], **changes)
    return message


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (range_message(min_range=NAN), "has min_range nan and max_range 4 m, expected 0 <= min"),
        (range_message(max_range=0.1), "has min_range 0.2 and max_range 0.1 m"),
        (scan(range_max=0.0), "has range_min 0.1 and range_max 0 m"),
        (scan(angle_increment=0.0), "has 5 ranges from angle_min -1.5708 on, 0 rad apart"),
        (scan(angle_increment=45.0), "has 5 ranges from angle_min -1.5708 on, 45 rad apart"),
        (scan(angle_min=NAN), "has 5 ranges from angle_min nan on"),
        (scan(time_increment=-0.1), r"has 5 ranges -0.1 s apart \(time_increment\)"),
        (without_z(), "has the fields x, y, w, expected x, y and z"),
        (with_x(datatype=11), "has a field x of 1 numbers of the datatype 11"),
        (with_x(count=3), "has a field x of 3 numbers"),
        (with_x(offset=12), "has a field x that ends at byte 16 of a point of 15 bytes"),
        (changed(cloud(TestPointCloud2.POINTS), width=7), "has 90 bytes .* which need 105"),
        (
            changed(cloud(TestPointCloud2.POINTS, height=2), row_step=3),
            "has 90 bytes and a row_step of 3 for 2 rows",
        ),
        (changed(range_message(), header=Header()), "has no frame_id"),
        (changed(range_message(), header=Header(frame_id="x" * 300)), "is 300 characters long"),
    ],
)
def test_what_cannot_be_is_refused_with_its_value(message, said):
    with pytest.raises(MessageError, match=said):
        read(message)
