"""What a CameraInfo says of an image: numbers worked out by hand, and what is doubtful of them."""

import copy
import dataclasses
import math
import re

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from processes import ROOT
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, RegionOfInterest
from std_msgs.msg import Header

from sosd_ros import camera_info
from sosd_ros.camera import Intrinsics
from sosd_ros.camera_info import doubts
from sosd_ros.encodings import MessageError
from sosd_ros.ros import messages

HEADER = Header(stamp=Time(sec=12, nanosec=345), frame_id="camera_optical_frame")
NAN, INF = float("nan"), float("inf")


def rectified_info(**changes):
    """640x480, K with f = 500 and P with f = 400, as of a camera whose image was rectified."""
    info = CameraInfo(
        header=HEADER,
        width=640,
        height=480,
        distortion_model="plumb_bob",
        d=[0.1, 0.0, 0.0, 0.0, 0.0],
        k=k_of(500.0, 510.0, 320.0, 240.0),
        p=p_of(400.0, 410.0, 310.0, 230.0),
    )
    for name, value in changes.items():
        setattr(info, name, value)
    return info


def k_of(fx, fy, cx, cy):
    return [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0]


def p_of(fx, fy, cx, cy, tx=0.0, ty=0.0):
    return [fx, 0.0, cx, tx, 0.0, fy, cy, ty, 0.0, 0.0, 1.0, 0.0]


def with_number(matrix, index, value):
    return [*matrix[:index], value, *matrix[index + 1 :]]


def roi(x, y, width, height, **more):
    return RegionOfInterest(x_offset=x, y_offset=y, width=width, height=height, **more)


def fitted(info, size=(640, 480), frame="camera_optical_frame", **reading):
    header = Header(stamp=Time(sec=99), frame_id=frame)
    view = camera_info.for_image(info, header, size, **reading)
    assert view.lens is None and view.rectification is None
    return view.info, view.camera


# The definition


def test_the_rectified_images_matrix_comes_first():
    """P is for the rectified image, which is what should be fed in."""
    assert camera_info.intrinsics_of(rectified_info()) == Intrinsics(400, 410, 310, 230, 640, 480)


@pytest.mark.parametrize("centre", [(0.0, 0.0), (0.12, -0.05)])
def test_a_camera_is_read_from_the_camera_info_that_is_made_of_it(centre):
    """Also one beside its frame's origin; by K as well, as nothing is distorted."""
    camera = Intrinsics(400.5, 410.25, 310.0, 230.0, 640, 480, centre)
    info = messages.info_of(camera)
    read = camera_info.intrinsics_of(info)
    assert dataclasses.replace(read, centre=centre) == camera
    assert read.centre == pytest.approx(centre)
    assert list(info.k) == k_of(400.5, 410.25, 310.0, 230.0) and not any(info.d)


def test_without_p_there_is_k():
    """Drivers of cameras without stereo sometimes leave P zeroed."""
    info = rectified_info(p=[0.0] * 12)
    assert camera_info.intrinsics_of(info) == Intrinsics(500, 510, 320, 240, 640, 480)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"binning_x": 2, "binning_y": 4}, Intrinsics(200, 102.5, 155, 57.5, 320, 120)),
        ({"binning_x": 1, "binning_y": 1}, Intrinsics(400, 410, 310, 230, 640, 480)),
        ({"binning_x": 2}, Intrinsics(200, 410, 155, 230, 320, 480)),
        ({"roi": roi(100, 50, 320, 200)}, Intrinsics(400, 410, 210, 180, 320, 200)),
        (
            {"roi": roi(100, 50, 320, 200, do_rectify=True), "binning_x": 2, "binning_y": 2},
            Intrinsics(200, 205, 105, 90, 160, 100),
        ),
        ({"roi": roi(0, 80, 0, 400)}, Intrinsics(400, 410, 310, 150, 640, 400)),
    ],
    ids=["binned", "binned by 1", "binned across", "cut", "cut, then binned", "cut below"],
)
def test_binning_and_region_apply_to_the_full_resolution(changes, expected):
    """Cut at (100, 50) and then binned by 2: (310 - 100)/2, (230 - 50)/2, 320/2 x 200/2."""
    assert camera_info.intrinsics_of(rectified_info(**changes)) == expected
    published, intrinsics = fitted(rectified_info(**changes), (expected.width, expected.height))
    assert intrinsics == expected == camera_info.intrinsics_of(published)


BROKEN = [
    (
        {"k": [0.0] * 9},
        r"frame 'camera_optical_frame' is uncalibrated \(fx = 0\), expected .*; cal",
    ),
    ({"p": [0.0] * 12, "k": [NAN] * 9}, "fx = nan in K, expected 1e-06 to 1e[+]06 pixels; calib"),
    ({"k": k_of(500.0, 510.0, 320.0, NAN)}, "500 0 320, 0 510 nan, 0 0 1 in K, expected finite"),
    ({"p": [NAN] * 12}, "fx = nan in P"),
    ({"p": p_of(-400.0, 410.0, 310.0, 230.0)}, "fx = -400 in P"),
    ({"p": p_of(0.0, 410.0, 310.0, 230.0)}, "fx = 0 in P"),
    ({"p": [400.0] + [0.0] * 11}, "fy = 0 in P"),
    ({"p": p_of(400.0, INF, 310.0, 230.0)}, "fy = inf in P"),
    ({"p": p_of(1e-9, 410.0, 310.0, 230.0)}, "fx = 1e-09 in P"),
    ({"p": p_of(400.0, 410.0, -INF, 230.0)}, "cx = -inf in P"),
    ({"p": p_of(400.0, 410.0, 310.0, 1e9)}, "cy = 1e[+]09 in P"),
    ({"p": p_of(400.0, 410.0, 310.0, 230.0, NAN)}, "Tx = nan in P"),
    ({"p": p_of(400.0, 410.0, 310.0, 230.0, 0.0, -1e300)}, "Ty = -1e[+]300 in P"),
    ({"p": with_number(p_of(400.0, 410.0, 310.0, 230.0), 1, 20.0)}, "a skew of 20 in P"),
    ({"p": with_number(p_of(400.0, 410.0, 310.0, 230.0), 4, NAN)}, "a skew of nan in P"),
    ({"p": p_of(400.0, 410.0, 310.0, 230.0)[:8] + [0.0] * 4}, "last row 0 0 0 0 in P, expected 0"),
    ({"p": with_number(p_of(400.0, 410.0, 310.0, 230.0), 11, 0.5)}, "last row 0 0 1 0.5 in P"),
    (
        {"p": [0.0] * 12, "k": with_number(k_of(500.0, 510.0, 320.0, 240.0), 8, 2.0)},
        "row 0 0 2 in K",
    ),
    ({"p": [0.0] * 12, "k": k_of(500.0, -510.0, 320.0, 240.0)}, "fy = -510 in K"),
    ({"width": 0}, "image size 0x480 is unusable"),
    ({"binning_x": 641}, "image size 0x480 is unusable"),
]


@pytest.mark.parametrize(("changes", "sentence"), BROKEN)
def test_unusable_camera_infos_are_refused_in_a_sentence(changes, sentence):
    """An uncalibrated camera has a K of zeros; a broken P is not replaced by K without a word."""
    with pytest.raises(MessageError, match=sentence) as refusal:
        camera_info.intrinsics_of(rectified_info(**changes))
    assert refusal.value.cause in ("intrinsics", "uncalibrated")
    assert "\n" not in str(refusal.value)


def test_a_skew_that_moves_nothing_is_let_pass():
    """Some calibrations find 0.1 of a pixel; the definition has no place for it."""
    info = rectified_info(p=with_number(p_of(400.0, 410.0, 310.0, 230.0), 1, 0.1))
    assert camera_info.intrinsics_of(info) == Intrinsics(400, 410, 310, 230, 640, 480)


# Which image it is of


SIZES = [
    ({}, (320, 240), "is for 640x480, but the image is 320x240; .* bins 2x2, let it set bin"),
    ({}, (639, 480), "is for 640x480, but the image is 639x480; publish the CameraInfo of the res"),
    ({}, (1280, 960), "is for 640x480, but the image is 1280x960; publish the CameraInfo of the"),
    (
        {"binning_x": 2, "binning_y": 2},
        (640, 480),
        r"is for 320x240 \(640x480 with binning 2x2 and roi 640x480 at 0, 0\), but the image is "
        "640x480; its 640x480 fits if K and P describe the image as published: then set the "
        "parameter calibration_of to image",
    ),
    ({"binning_x": 2}, (320, 240), r"is for 320x480 \(640x480 with binning 2x1 .*; fix binning"),
    (
        {"roi": roi(100, 50, 320, 200)},
        (640, 480),
        r"is for 320x200 \(640x480 with binning 1x1 and roi 320x200 at 100, 50\), .* as published",
    ),
    (
        {"width": 320, "height": 200, "roi": roi(100, 50, 320, 200)},
        (320, 200),
        "is for 320x200, but its region of interest .* ends at 420x250; .* calibration_of to image",
    ),
    ({"roi": roi(3, 0, 0, 0)}, (640, 480), "its region of interest .* ends at 643x480"),
    ({"roi": roi(0, 2**32 - 1, 640, 480)}, (640, 480), "ends at 640x4294967775"),
]


@pytest.mark.parametrize(("changes", "size", "sentence"), SIZES)
def test_what_is_of_another_image_is_refused_with_what_would_fit(changes, size, sentence):
    """Binning and region are named, and the reading of them that fits, if there is one."""
    with pytest.raises(MessageError, match=sentence) as refusal:
        fitted(rectified_info(**changes), size)
    assert refusal.value.cause == "camera_info_size"


@pytest.mark.parametrize(
    "changes",
    [
        {"width": 320, "height": 240, "binning_x": 2, "binning_y": 2},
        {"binning_x": 2, "binning_y": 2},
        {"width": 320, "height": 240, "roi": roi(100, 50, 320, 240)},
        {"width": 320, "height": 240},
    ],
    ids=["its own size", "the sensor's size", "cut", "plain"],
)
def test_of_the_image_numbers_are_taken_as_they_are(changes):
    """As many drivers give them; what we publish says the same by the definition."""
    info = rectified_info(p=p_of(200.0, 205.0, 155.0, 115.0), **changes)
    expected = Intrinsics(200, 205, 155, 115, 320, 240)
    published, intrinsics = fitted(info, (320, 240), calibration_of="image")
    assert intrinsics == expected == camera_info.intrinsics_of(published)
    assert (published.width, published.height, published.binning_x) == (320, 240, 0)


def test_of_the_image_the_size_still_counts():
    """A CameraInfo of neither size is of another image."""
    info = rectified_info(binning_x=2, binning_y=2)
    with pytest.raises(MessageError, match="calibration_of says, but the image is 160x120"):
        fitted(info, (160, 120), calibration_of="image")


# What is published


def test_the_published_camera_info_differs_in_its_header_only():
    """Calibration, binning and region stay; the stamp becomes the image's; the input stays."""
    info = rectified_info(binning_x=2, binning_y=2, roi=roi(4, 0, 600, 400))
    before = copy.deepcopy(info)
    published, _ = fitted(info, (300, 200))
    assert published.header == Header(stamp=Time(sec=99), frame_id="camera_optical_frame")
    assert info == before
    assert deserialize_message(serialize_message(published), CameraInfo) == published
    published.header = info.header
    assert published == info


PROJECTIONS = {
    "one camera": {},
    "the right one of a pair": {"p": p_of(400.0, 410.0, 310.0, 230.0, -48.0)},
    "the upper one of a pair": {"p": p_of(400.0, 410.0, 310.0, 230.0, 0.0, 41.0)},
    "no P": {"p": [0.0] * 12},
}


@pytest.mark.parametrize("changes", PROJECTIONS.values(), ids=PROJECTIONS.keys())
@pytest.mark.parametrize("step", [1, 2])
def test_points_projected_by_the_published_p_are_their_pixels(changes, step, random):
    """[u v w]' = P [X Y Z 1]', whatever Tx and Ty are."""
    info = rectified_info(width=8, height=6, **changes)
    published, intrinsics = fitted(info, (8, 6))
    depth = random.uniform(0.5, 9, (6, 8)).astype(np.float32)
    depth[2, 2], depth[4, 4] = np.nan, np.inf
    rgb = np.zeros((6, 8, 3), np.uint8)
    cloud = messages.cloud_message(
        HEADER, depth, intrinsics.rays(), rgb, None, step, centre=intrinsics.centre
    )
    xyz = np.frombuffer(cloud.data, "<f4").reshape(cloud.height, cloud.width, 4)[..., :3]
    p = np.asarray(published.p).reshape(3, 4)
    u, v, w = np.moveaxis(xyz @ p[:, :3].T + p[:, 3], -1, 0)
    rows, columns = np.nonzero(np.isfinite(depth[::step, ::step]))
    np.testing.assert_array_equal(np.isfinite(w), np.isfinite(depth[::step, ::step]))
    np.testing.assert_allclose((u / w)[rows, columns], columns * step, atol=1e-3)
    np.testing.assert_allclose((v / w)[rows, columns], rows * step, atol=1e-3)


def test_the_right_camera_lies_its_baseline_beside_the_first():
    """Tx = -400 * 0.12: 12 cm to the right; binning and region leave it there."""
    info = rectified_info(p=p_of(400.0, 410.0, 310.0, 230.0, -48.0))
    assert fitted(info)[1].centre == pytest.approx((0.12, 0))
    info.binning_x, info.binning_y, info.roi = 2, 2, roi(20, 0, 600, 480)
    assert fitted(info, (300, 240))[1].centre == pytest.approx((0.12, 0))


def test_in_a_frame_of_its_own_a_camera_lies_at_the_origin():
    """The CameraInfo names the left camera's frame, the image its own, which is the points'."""
    info = rectified_info(p=p_of(400.0, 410.0, 310.0, 230.0, -48.0))
    published, intrinsics = fitted(info, frame="right_optical_frame")
    assert intrinsics.centre == (0, 0) == (published.p[3], published.p[7])
    assert info.p[3] == -48
    info.header = Header()
    assert fitted(info, frame="right_optical_frame")[1].centre == pytest.approx((0.12, 0))
    assert fitted(rectified_info(p=info.p), frame="")[1].centre == pytest.approx((0.12, 0))


# What is not rectified


@pytest.mark.parametrize(
    "changes",
    [
        {"p": [0.0] * 12},
        {"d": []},
        {"d": [], "p": [0.0] * 12, "r": [0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]},
    ],
    ids=["distorted", "another P", "rotated"],
)
def test_an_image_that_would_have_to_be_rectified_is_refused(changes):
    """If the parameter says that it is not; a camera without distortion needs no rectifying."""
    info = rectified_info(**changes)
    fitted(info, rectified="true")
    with pytest.raises(
        MessageError, match=r"the image is not rectified \(the parameter"
    ) as refusal:
        fitted(info, rectified="false")
    assert refusal.value.cause == "not_rectified"
    assert "a P other than K or a rotation R; set rectified to rectify or rays" in str(
        refusal.value
    )
    plain = rectified_info(d=[0.0] * 5, p=p_of(500.0, 510.0, 320.0, 240.0), r=np.eye(3).ravel())
    assert fitted(plain, rectified="false") == fitted(plain, rectified="true")


# Raw images


CUTS = {
    "whole": ({}, (640, 480), (0, 0), 1),
    "binned": ({"binning_x": 2, "binning_y": 2}, (320, 240), (0, 0), 2),
    "cut, then binned": (
        {"roi": roi(100, 50, 320, 200), "binning_x": 2, "binning_y": 2},
        (160, 100),
        (100, 50),
        2,
    ),
}
TURN = cv2.Rodrigues(np.array([0.02, -0.03, 0.01]))[0]
MODELS = {
    "plumb_bob": [-0.28, 0.07, 0.0002, -0.0003, 0.01],
    "rational_polynomial": [0.5, -2.6, 0.0005, -0.0003, 1.5, 0.38, -2.42, 1.43],
    "equidistant": [0.003, 0.0007, -0.002, 0.0002],
}


def raw_info(model, **changes):
    return rectified_info(distortion_model=model, d=MODELS[model], **changes)


def view_of(info, size=(640, 480), **reading):
    header = Header(stamp=Time(sec=99), frame_id="camera_optical_frame")
    return camera_info.for_image(info, header, size, **reading)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("changes", "size", "offset", "bins"), CUTS.values(), ids=CUTS)
def test_a_rectified_image_is_that_of_p(model, changes, size, offset, bins):
    """OpenCV's maps of the full resolution, cut and binned as the image; K says so as well.

    Without a distortion, and not turned; cut and binned as before, with the same Tx.
    """
    info = raw_info(model, r=TURN.ravel(), p=p_of(400.0, 410.0, 310.0, 230.0, -48.0), **changes)
    before = copy.deepcopy(info)
    view = view_of(info, size, rectified="rectify")
    assert info == before and view.lens is None
    p, published = np.reshape(info.p, (3, 4)), view.info
    assert list(published.p) == list(info.p) and not any(published.d)
    np.testing.assert_array_equal(np.reshape(published.k, (3, 3)), p[:, :3])
    np.testing.assert_array_equal(np.reshape(published.r, (3, 3)), np.eye(3))
    assert (published.roi, published.binning_x) == (info.roi, info.binning_x)
    assert view.camera == camera_info.intrinsics_of(published) == camera_info.intrinsics_of(info)
    assert deserialize_message(serialize_message(published), CameraInfo) == published

    find = cv2.fisheye if model == "equidistant" else cv2
    k, d = np.reshape(info.k, (3, 3)), np.float64(info.d)
    full = find.initUndistortRectifyMap(k, d, TURN, p[:, :3], (640, 480), cv2.CV_32FC1)
    cut = [m[offset[1] :: bins, offset[0] :: bins][: size[1], : size[0]] for m in full]
    maps = view.rectification.maps()
    fine = np.stack([maps.fractions & 31, maps.fractions >> 5], axis=-1) / 32
    inside = maps.outside == 0
    assert inside.mean() > 0.5
    expected = (np.stack(cut, axis=-1) - offset) / bins
    np.testing.assert_allclose((maps.places + fine)[inside], expected[inside], atol=0.1)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("changes", "size", "offset", "bins"), CUTS.values(), ids=CUTS)
def test_points_on_bent_rays_are_their_pixels(model, changes, size, offset, bins, random):
    """By OpenCV, with the K and D that are published: those of the raw image, cut and binned.

    P is the same K, from the same place in the frame.
    """
    info = raw_info(model, p=p_of(400.0, 410.0, 310.0, 230.0, -48.0), **changes)
    view = view_of(info, size, rectified="rays")
    published, k = view.info, np.reshape(info.k, (3, 3))
    assert (list(published.k), published.d) == (list(info.k), info.d)
    np.testing.assert_array_equal(np.reshape(published.p, (3, 4))[:, :3], k)
    assert view.camera.centre == pytest.approx((0.12, 0))
    assert view.camera.focal == pytest.approx((500 * 510) ** 0.5 / bins)

    depth = random.uniform(0.5, 9, size[::-1]).astype(np.float32)
    rgb = np.zeros((*size[::-1], 3), np.uint8)
    centre = view.camera.centre
    cloud = messages.cloud_message(HEADER, depth, view.lens.rays(), rgb, None, centre=centre)
    points = np.frombuffer(cloud.data, "<f4").reshape(-1, 4)[:, None, :3].astype(np.float64)
    has_ray = np.isfinite(points[..., 0]).ravel()
    assert has_ray.mean() > 0.9
    project = cv2.fisheye.projectPoints if model == "equidistant" else cv2.projectPoints
    d, away = np.float64(info.d), np.float64([-centre[0], -centre[1], 0])
    found = project(points[has_ray], np.zeros(3), away, k, d)[0].reshape(-1, 2)
    rows, columns = np.divmod(np.flatnonzero(has_ray), size[0])
    expected = np.stack([columns, rows], axis=-1)
    np.testing.assert_allclose((found - offset) / bins, expected, atol=0.1)


@pytest.mark.parametrize("rectified", ["rectify", "rays"])
def test_an_image_without_distortion_is_left_alone(rectified):
    """As if it were rectified, which it is."""
    info = rectified_info(d=[0.0] * 5, p=p_of(500.0, 510.0, 320.0, 240.0), r=np.eye(3).ravel())
    for model in ("plumb_bob", "rational_polynomial", ""):
        info.distortion_model = model
        assert view_of(info, rectified=rectified) == view_of(info, rectified="true")


def test_a_fisheye_without_coefficients_is_one():
    """As simulators have it: the angle counts, not its tangent."""
    info = rectified_info(d=[], distortion_model="equidistant", p=[0.0] * 12)
    view = view_of(info, rectified="rays")
    x, _ = view.lens.rays()
    assert math.atan(x[240, 570]) == pytest.approx(250 / 500, abs=1e-6)
    assert view_of(info, rectified="rectify").camera == Intrinsics(500, 510, 320, 240, 640, 480)


@pytest.mark.parametrize("rectified", ["rectify", "rays"])
@pytest.mark.parametrize(
    ("changes", "words", "cause"),
    [
        ({"distortion_model": "omni"}, "has the distortion model 'omni', expected", "distortion"),
        ({"distortion_model": ""}, "has the distortion model '', expected", "distortion"),
        ({"d": [0.1] * 9}, "has 9 coefficients D of .*, expected at most 8; cal", "distortion"),
        ({"d": [NAN] * 5}, "has a coefficient D of nan for", "distortion"),
        ({"k": k_of(500.0, INF, 320.0, 240.0), "p": [0.0] * 12}, "fy = inf in K", "intrinsics"),
        ({"k": k_of(500.0, -5.0, 320.0, 240.0)}, "fy = -5 in K", "intrinsics"),
    ],
)
def test_a_lens_that_nobody_knows_is_refused_by_frame_and_topic(rectified, changes, words, cause):
    """Also where P is right; assumed to be rectified, it does not matter."""
    info = rectified_info(**changes)
    with pytest.raises(MessageError, match=words) as refusal:
        view_of(info, rectified=rectified, topic="/front/image")
    assert refusal.value.cause == cause
    if cause == "distortion":
        assert "frame 'camera_optical_frame', of the images on /front/image" in str(refusal.value)


@pytest.mark.parametrize("r", [np.diag([1, 1, -1.0]), 2 * np.eye(3), np.full((3, 3), NAN)])
def test_r_has_to_be_a_rotation_to_rectify_by_it(r):
    info = rectified_info(r=r.ravel())
    with pytest.raises(MessageError, match=r"has the matrix R \(.*expected a rotation or"):
        view_of(info, rectified="rectify")


RAW_DOUBTS = [
    (
        {"d": [-0.35, 0.0, 0.0, 0.0], "k": k_of(300.0, 300.0, 320.0, 240.0)},
        "fold",
        "folds back 44 degrees from the axis, inside the image: the",
    ),
    ({"r": TURN.ravel()}, "rotation", "turns a camera by 2.1 degrees as its images are rectified"),
]


@pytest.mark.parametrize(("changes", "cause", "words"), RAW_DOUBTS)
def test_a_raw_image_may_be_doubtful(changes, cause, words):
    """The sentence names frame and topic, and stands on the operators' page in part."""
    info = rectified_info(**changes)
    found = doubts_of(info, rectified="rays", topic="/front/image", frame="lens")
    assert list(found) == [cause]
    assert words in found[cause] and "frame 'lens' and the images on /front/image" in found[cause]
    also = doubts_of(info, rectified="rectify", topic="/front/image", frame="lens")
    assert also == (found if cause == "fold" else {})
    assert re.sub(r"\d.*", "", words) in (ROOT / "docs" / "operations.md").read_text()


def test_corners_beyond_a_fold_are_not_doubted():
    """A twentieth of the pixels; nor is the black frame around a fisheye's circle."""
    info = rectified_info(d=[-0.35, 0.0, 0.0, 0.0], k=k_of(600.0, 600.0, 320.0, 240.0))
    assert doubts_of(info, rectified="rays") == {}
    info = raw_info("equidistant", k=k_of(146.0, 146.0, 320.0, 240.0))
    assert doubts_of(info, rectified="rays") == {}


# Doubts


def doubts_of(
    info, size=(640, 480), of="sensor", rectified="true", topic="/image_rect", frame="camera"
):
    info.header = Header(frame_id=frame)
    view = camera_info.for_image(info, info.header, size, of, rectified, topic)
    return doubts.doubts_of(info, view, size, of, rectified, topic)


def camera(width, height, fx, fy, cx, cy, **changes):
    return rectified_info(width=width, height=height, p=p_of(fx, fy, cx, cy), **changes)


@pytest.mark.parametrize(
    ("info", "words"),
    [
        (
            camera(640, 480, 277.0, 277.0, 160.0, 120.0),
            "(160, 120) lies far from the middle of 640",
        ),
        (camera(640, 480, 277.0, 277.0, 160.0, 120.0), "640x480 and fits 320x240: "),
        (camera(640, 480, 277.1, 277.1, 160.5, 120.5), "640x480 and fits 320x240: "),
        (camera(320, 240, 554.0, 554.0, 319.5, 239.5), "320x240 and fits 640x480: "),
        (camera(1920, 1080, 900.0, 900.0, 637.0, 355.0), "1920x1080 and fits 1280x720: "),
        (camera(640, 480, 900.0, 900.0, 640.0, 360.0), "640x480 and fits 1280x720: "),
        (camera(1280, 720, 600.0, 600.0, 320.0, 240.0), "1280x720 and fits 640x480: "),
        (camera(800, 600, 600.0, 600.0, 325.0, 245.0), "(325, 245) lies far from the middle"),
        (camera(1280, 800, 600.0, 600.0, 320.0, 240.0), "1280x800 and fits 640x480: "),
        (camera(1280, 720, 600.0, 600.0, 400.0, 300.0), "(400, 300) lies far from the middle"),
        (camera(1600, 1200, 900.0, 900.0, 640.0, 480.0), "1600x1200 and fits 1280x960: "),
        (camera(640, 480, 500.0, 500.0, -300.0, 240.0), "(-300, 240) lies far from the middle"),
        (camera(640, 480, 500.0, 500.0, 0.0, 0.0), "(0, 0) lies far from the middle"),
    ],
)
def test_a_principal_point_far_from_the_middle_is_doubtful(info, words):
    """Gazebo's default is of 320x240, whatever the image; numbers and what they fit are named.

    The image may have another aspect ratio than what K and P are of.
    """
    found = doubts_of(info, (info.width, info.height))
    assert list(found) == ["principal_point"]
    assert words in found["principal_point"]
    without_p = copy.copy(info)
    without_p.k, without_p.p = k_of(*info.p[[0, 5, 2, 6]].tolist()), [0.0] * 12
    assert doubts_of(without_p, (info.width, info.height)) == found


@pytest.mark.parametrize(
    ("info", "size"),
    [
        (camera(1242, 375, 721.5, 721.5, 609.6, 172.9), None),
        (camera(752, 480, 458.7, 457.3, 367.2, 248.4), None),
        (camera(640, 480, 517.3, 516.5, 318.6, 255.3), None),
        (camera(1280, 720, 200.0, 200.0, 600.0, 380.0), None),
        (camera(1920, 1080, 48000.0, 48000.0, 900.0, 600.0), None),
        (camera(512, 8, 600.0, 600.0, 250.0, 3.5), None),
        (camera(640, 320, 500.0, 500.0, 320.0, 80.0), None),
        (camera(1280, 1024, 900.0, 900.0, 640.0, 512.0, roi=roi(0, 0, 64, 64)), (64, 64)),
        (camera(640, 480, 500.0, 500.0, 320.0, 240.0, binning_x=4, binning_y=4), (160, 120)),
        (camera(640, 120, 500.0, 125.0, 320.0, 60.0), None),
    ],
    ids=[
        "KITTI",
        "EuRoC",
        "TUM",
        "145 degrees wide",
        "zoomed in 30 times",
        "a line camera",
        "a third cut off above",
        "a corner cut out",
        "binned",
        "squeezed",
    ],
)
def test_cameras_that_people_have_are_not_doubted(info, size):
    """Neither wide nor tele lenses, cuts, binnings, nor what calibrations find."""
    assert doubts_of(info, size or (info.width, info.height)) == {}


@pytest.mark.parametrize(
    ("changes", "point", "size", "of", "other"),
    [
        ({"binning_x": 2, "binning_y": 2}, (160, 120), (320, 240), "sensor", "image"),
        ({"roi": roi(100, 50, 320, 200)}, (160, 100), (320, 200), "sensor", "image"),
        ({"binning_x": 2, "binning_y": 2}, (320, 240), (320, 240), "image", "sensor"),
    ],
)
def test_the_other_reading_of_binning_and_region_is_named_where_it_fits(
    changes, point, size, of, other
):
    """K and P of one image under the size of another: nothing else tells."""
    info = rectified_info(p=p_of(400.0, 400.0, *map(float, point)), **changes)
    found = doubts_of(info, size, of)["principal_point"]
    assert found.endswith(f"are of the {other}, set the parameter calibration_of to {other}")
    assert doubts_of(info, size, other) == {}


def test_of_a_part_of_an_image_the_middle_may_be_anywhere():
    """K and P of what was cut out of a corner."""
    info = rectified_info(p=p_of(400.0, 400.0, 300.0, 230.0), roi=roi(0, 0, 64, 64))
    assert doubts_of(info, (64, 64), "image") == {}


@pytest.mark.parametrize(
    ("focal", "degrees"), [(3.6, "179"), (0.8, "180"), (1.0, "180"), (100000.0, "0.367")]
)
def test_an_absurd_field_of_view_is_doubtful(focal, degrees):
    """Millimetres, parts of the width, a P of ones, or a few zeros too many; metres are said."""
    found = doubts_of(camera(640, 480, focal, focal, 320.0, 240.0))
    assert list(found) == ["field_of_view"]
    assert f"fx = {focal:g}, fy = {focal:g} gives 640x480" in found["field_of_view"]
    assert f"{degrees} degrees" in found["field_of_view"]


@pytest.mark.parametrize("coefficients", [[NAN] * 5, [0.1, INF]])
def test_a_calibration_that_failed_is_doubtful(coefficients):
    """Nothing is computed with D, but K and P come of the same camera_info."""
    assert list(doubts_of(rectified_info(d=coefficients))) == ["distortion"]


@pytest.mark.parametrize(
    "topic",
    ["/camera/image_rect", "/camera/infra1/image_rect_raw", "/rectified/image/compressed"],
)
def test_a_topic_that_is_named_as_rectified_is_believed(topic):
    """As image_proc and RealSense name it."""
    assert doubts_of(rectified_info(), rectified="assumed", topic=topic) == {}


@pytest.mark.parametrize(
    ("topic", "evidence"),
    [
        ("/camera/image_raw", "/camera/image_raw has raw in its name"),
        ("/camera/image_raw/compressed", "/camera/image_raw/compressed has raw in its name"),
        ("/camera/color/image", "/camera/color/image has no rect in its name"),
        ("/direct/image", "/direct/image has no rect in its name"),
    ],
)
def test_an_image_that_looks_raw_is_doubtful(topic, evidence):
    """P differs from K; the topic's name is the evidence, and the parameter decides."""
    found = doubts_of(rectified_info(), rectified="assumed", topic=topic)
    assert list(found) == ["rectified"]
    assert evidence in found["rectified"] and "fx = 400" in found["rectified"]
    assert doubts_of(rectified_info(), rectified="true", topic=topic) == {}


LIKE_K = [
    {"p": [0.0] * 12},
    {"p": p_of(500.01, 510.0, 320.3, 240.0)},
    {"p": p_of(500.0, 510.0, 320.0, 240.0), "r": np.eye(3).ravel()},
]
WEAK = [
    [-0.05, 0.06, 0.0005, -0.0005, -0.02],  # as of a RealSense, whose colour image is raw
    [0.5, -2.6, 0.0, 0.0, 1.5, 0.38, -2.42, 1.43],  # of an Azure Kinect: large, but divided by
]


@pytest.mark.parametrize("distortion", WEAK)
@pytest.mark.parametrize("changes", LIKE_K)
def test_of_a_p_like_k_a_weak_distortion_is_not_doubted(changes, distortion):
    """Rectified or not, a pixel is about where it would be."""
    model = "rational_polynomial" if len(distortion) == 8 else "plumb_bob"
    info = rectified_info(d=distortion, distortion_model=model, **changes)
    assert doubts_of(info, rectified="assumed", topic="/image_raw") == {}


@pytest.mark.parametrize("changes", LIKE_K)
def test_of_a_p_like_k_a_raw_image_is_doubtful_if_its_edges_are_bent(changes):
    """Depth is right in the middle only; the parameter may say that the image is rectified."""
    info = rectified_info(d=[-0.35, 0.12, 0.0, 0.0, 0.0], **changes)
    found = doubts_of(info, rectified="assumed", topic="/camera/image_raw")
    assert list(found) == ["rectified"]
    # The corner is 400 pixels off, r = 0.8: 400 * (-0.35 r² + 0.12 r⁴) = -70
    assert "D ('plumb_bob') in its CameraInfo moves a corner by 70 pixels" in found["rectified"]
    assert "/camera/image_raw has raw in its name" in found["rectified"]
    for topic in ("/camera/image_rect_raw", "/camera/image"):
        assert doubts_of(info, rectified="assumed", topic=topic) == {}
    assert doubts_of(info, rectified="true", topic="/camera/image_raw") == {}


def test_an_image_of_another_lens_model_is_doubtful_if_it_is_raw():
    """A fisheye's D counts from no pinhole; without D, nothing is bent."""
    info = rectified_info(p=[0.0] * 12, d=[0.001, 0.0, 0.0, 0.0], distortion_model="equidistant")
    found = doubts_of(info, rectified="assumed", topic="/image_raw")
    assert "D ('equidistant') in its CameraInfo distorts it" in found["rectified"]
    info.d = [0.0] * 4
    assert doubts_of(info, rectified="assumed", topic="/image_raw") == {}


@pytest.mark.parametrize("distortion", [[1e300] * 5, [NAN] * 5, [-INF, INF], [1e308] * 8])
def test_a_distortion_beyond_all_numbers_raises_nothing(distortion):
    """Whatever is said of it."""
    for info in (
        rectified_info(p=[0.0] * 12, d=distortion),
        rectified_info(p=[0.0] * 12, d=distortion, k=k_of(1e-6, 1e-6, 1e6, -1e6)),
    ):
        doubts_of(info, rectified="assumed", topic="/image_raw")


def test_a_rotation_is_doubtful_too():
    """Of a stereo camera whose P is like K."""
    turned = [0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]
    info = rectified_info(d=[], p=p_of(500.0, 510.0, 320.0, 240.0), r=turned)
    assert list(doubts_of(info, rectified="assumed", topic="/image_raw")) == ["rectified"]


@pytest.mark.parametrize(
    ("tx", "frame", "words"),
    [
        (-48.0, "right_optical", "x = 0.12 m, y = 0 m of frame 'right_optical', which is right if"),
        (-48.0, "left_optical", ""),
        (0.015, "camera_color", ""),
        (-48.0, "cam", ""),
        (-48.0, "camera_infra2_optical_frame", "x = 0.12 m, y = 0 m of frame 'camera_infra2"),
        (-48000.0, "left_optical", "x = 120 m, y = 0 m of frame 'left_optical', and the points"),
        (-48000.0, "cam", "x = 120 m, y = 0 m of frame 'cam', and the points"),
    ],
)
def test_a_frame_that_may_be_the_cameras_own_is_doubtful(tx, frame, words):
    """By the definition it is the first camera's, which only its name can contradict.

    A baseline of 120 m was in millimetres, whatever the frame.
    """
    found = doubts_of(rectified_info(p=p_of(400.0, 410.0, 310.0, 230.0, tx)), frame=frame)
    assert list(found) == (["baseline"] if words else [])
    assert words in found.get("baseline", "")


DOUBTS = [
    (
        camera(640, 480, 277.0, 277.0, 160.0, 120.0),
        "the principal point (160, 120) lies far from the middle of 640x480 and fits 320x240",
    ),
    (
        camera(640, 480, 3.6, 3.6, 320.0, 240.0),
        "the focal length fx = 3.6, fy = 3.6 gives 640x480 a field of view of 179 degrees",
    ),
    (rectified_info(d=[NAN]), "the distortion D is not finite"),
    (rectified_info(p=p_of(400.0, 410.0, 310.0, 230.0, -48.0)), "x = 0.12 m, y = 0 m of frame"),
    (rectified_info(), "the image may not be rectified"),
]


@pytest.mark.parametrize(("info", "words"), DOUBTS)
def test_the_operators_page_has_every_doubt(info, words):
    """As it is said."""
    found = doubts_of(info, rectified="assumed", topic="/image_raw", frame="right_optical")
    assert any(words in sentence for sentence in found.values())
    assert words in (ROOT / "docs" / "operations.md").read_text()
