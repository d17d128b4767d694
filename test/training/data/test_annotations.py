"""Labels that people have drawn, from the tools in which they do."""

import json

import cv2
import numpy as np
import pytest
import yaml
from support import run_here

from sosd_ros.labels import UNLABELLED, LabelSet
from training import prepare
from training.data import annotations
from training.data.errors import DataError
from training.data.own_classes import FILE, read_classes

SIZE = (40, 60)
CLASSES = {
    "floor": {"group": "traversable"},
    "pallet": {"colour": [200, 140, 60], "group": "obstacle"},
    "lamp": {},
}
LABELS = LabelSet(
    ("floor", "pallet", "lamp"), ((0, 90, 10), (200, 140, 60), (9, 9, 9)), ("floor",), ("pallet",)
)


def expected():
    """A floor below, a pallet on it, and a lamp on the pallet."""
    labels = np.full(SIZE, UNLABELLED, np.uint8)
    labels[20:] = 0
    labels[25:35, 10:30] = 1
    labels[27:30, 12:16] = 2
    return labels


BOXES = [(0, 0, 20, 60, 40), (1, 10, 25, 30, 35), (2, 12, 27, 16, 30)]  # class, left, top, to


def corners(left, top, right, bottom):
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def coco(path, file="frame.jpg", lengths=False):
    """In the order of a tool that does not know what lies on top."""
    drawn = []
    for number, (label, *box) in enumerate(reversed(BOXES)):
        area = (box[2] - box[0]) * (box[3] - box[1])
        one = {"id": number + 1, "image_id": 7, "category_id": label + 1, "area": area}
        if lengths:
            mask = np.zeros(SIZE, np.uint8)
            mask[box[1] : box[3], box[0] : box[2]] = 1
            flat = np.concatenate([[0], mask.ravel(order="F"), [2]])
            runs = np.diff(np.flatnonzero(np.diff(flat.astype(int)) != 0), prepend=0)
            counts = runs.tolist() if flat[1] == 0 else [0, *runs.tolist()]
            one |= {"iscrowd": 1, "segmentation": {"counts": counts, "size": [*SIZE]}}
        else:
            flat = [float(value) for corner in corners(*box) for value in corner]
            one |= {"iscrowd": 0, "segmentation": [flat]}
        drawn.append(one)
    content = {
        "images": [{"id": 7, "file_name": file, "height": SIZE[0], "width": SIZE[1]}],
        "categories": [{"id": i + 1, "name": name} for i, name in enumerate(LABELS.names)],
        "annotations": drawn,
    }
    path.write_text(json.dumps(content))
    return path


def cvat(path, file="drive/frame.jpg"):
    """A polygon, a box and a mask, the highest first in the file."""
    runs = "0,12"  # all of a box of 4 x 3
    shapes = [
        f'<mask label="lamp" rle="{runs}" left="12" top="27" width="4" height="3" z_order="2"/>',
        '<box label="pallet" xtl="10" ytl="25" xbr="30" ybr="35" z_order="1"/>',
        '<polygon label="floor" points="0,20;60,20;60,40;0,40" z_order="0"/>',
    ]
    image = f'<image id="0" name="{file}" width="60" height="40">{"".join(shapes)}</image>'
    path.write_text(f"<annotations><version>1.1</version>{image}</annotations>")
    return path


def label_studio(path, file="1a2b3c4d-frame.jpg"):
    results = []
    for label, *box in BOXES:
        points = [[100 * x / SIZE[1], 100 * y / SIZE[0]] for x, y in corners(*box)]
        value = {"points": points, "polygonlabels": [LABELS.names[label]]}
        sizes = {"original_height": SIZE[0], "original_width": SIZE[1]}
        results.append({"type": "polygonlabels", "value": value, **sizes})
    task = {"file_upload": file, "annotations": [{"was_cancelled": False, "result": results}]}
    path.write_text(json.dumps([task]))
    return path


def ids(folder):
    folder.mkdir()
    assert cv2.imwrite(str(folder / "frame.png"), expected())
    return folder


def colours(folder, palette=LABELS.palette, labelmap=""):
    folder.mkdir()
    table = np.zeros((256, 3), np.uint8)
    table[: len(palette)] = palette
    assert cv2.imwrite(str(folder / "frame.png"), table[expected()][..., ::-1])
    if labelmap:
        (folder / "labelmap.txt").write_text(labelmap)
    return folder


def cvat_colours(folder):
    """Its own colours, which the file beside them tells."""
    palette = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    lines = [f"{n}:{r},{g},{b}::" for n, (r, g, b) in zip(LABELS.names, palette, strict=True)]
    labelmap = "\n".join(["# label:color_rgb:parts:actions", "background:0,0,0::", *lines])
    return colours(folder, palette, labelmap)


FORMS = {
    "coco.json": coco,
    "lengths.json": lambda path: coco(path, lengths=True),
    "cvat.xml": cvat,
    "studio.json": label_studio,
    "ids": ids,
    "colours": colours,
    "cvat_colours": cvat_colours,
}


@pytest.mark.parametrize("form", FORMS)
def test_every_tool_tells_the_same(tmp_path, form):
    if FORMS[form] is coco or form == "lengths.json":
        pytest.importorskip("pycocotools", reason="install the extra 'labels'")
    (found,) = annotations.read(FORMS[form](tmp_path / form), LABELS)
    assert annotations.frame_of(found.file, {"frame"}) == "frame"
    np.testing.assert_array_equal(found.labels, expected())


@pytest.mark.parametrize("form", ["coco.json", "cvat.xml", "studio.json", "cvat_colours"])
def test_a_class_that_is_unknown_is_named(tmp_path, form):
    pytest.importorskip("pycocotools", reason="install the extra 'labels'")
    fewer = LabelSet(LABELS.names[:2], LABELS.palette[:2])
    with pytest.raises(
        DataError, match="has the class 'lamp', which is none of floor, pallet; add"
    ):
        list(annotations.read(FORMS[form](tmp_path / form), fewer))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", "{", "a.json cannot be read: "),
        ("a.json", '[{"annotations": [{"result": []}]}]', "is no export of Label Studio: it lacks"),
        ("a.xml", "<annotations>", "a.xml cannot be read: "),
        ("a.xml", '<a><image name="x"/></a>', "is no export of 'CVAT for images 1.1'"),
        ("a.txt", "", "holds no labels that are known here; expected a folder of PNGs"),
    ],
)
def test_what_is_no_export_is_refused(tmp_path, name, content, words):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=words):
        list(annotations.read(tmp_path / name, LABELS))


def test_brushes_of_label_studio_need_another_export(tmp_path):
    path = label_studio(tmp_path / "a.json")
    path.write_text(path.read_text().replace("polygonlabels", "brushlabels"))
    with pytest.raises(DataError, match=r"has brushlabels, .* export brushes as COCO or PNG"):
        list(annotations.read(path, LABELS))


def test_values_and_colours_that_are_no_class_are_refused(tmp_path):
    ids(tmp_path / "ids")
    with pytest.raises(DataError, match="has the value 2, expected class ids from 0 to 1, or 255"):
        list(annotations.read(tmp_path / "ids", LabelSet(LABELS.names[:2], LABELS.palette[:2])))
    colours(tmp_path / "colours", [(1, 2, 3), *LABELS.palette[1:]])
    with pytest.raises(
        DataError, match=r"has the colour \(1, 2, 3\), which is none of the classes'"
    ):
        list(annotations.read(tmp_path / "colours", LABELS))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has no PNG"):
        list(annotations.read(tmp_path / "empty", LABELS))


# The command


@pytest.fixture
def data(tmp_path):
    """Two frames as training.record writes them, and the classes."""
    (tmp_path / "data/rgb").mkdir(parents=True)
    for name in ("frame", "other"):
        assert cv2.imwrite(str(tmp_path / f"data/rgb/{name}.jpg"), np.zeros((*SIZE, 3), np.uint8))
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"classes": CLASSES}, sort_keys=False))
    return tmp_path / "data"


def run(source, data):
    run_here(prepare, "labels", source, "--classes", data.parent / "mine.yaml", "--out", data)


def test_labels_come_beside_their_frames(data, capsys):
    run(cvat(data.parent / "cvat.xml"), data)
    stored = cv2.imread(str(data / "label/frame.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(stored, expected())
    assert "1 of 2 frames have labels" in capsys.readouterr().out
    known = read_classes(data / FILE)
    assert known.names == LABELS.names and known.palette[1] == (200, 140, 60)
    assert (known.traversable, known.obstacle) == (("floor",), ("pallet",))


def test_images_that_are_no_frames_are_told(data, capsys):
    with pytest.raises(DataError, match=r"labels of strange.jpg, and none of them is a frame"):
        run(cvat(data.parent / "cvat.xml", "strange.jpg"), data)
    assert not (data / "label").exists()


def test_labels_of_another_size_are_refused(data):
    assert cv2.imwrite(str(data / "rgb/frame.jpg"), np.zeros((80, 120, 3), np.uint8))
    with pytest.raises(
        DataError, match=r"are 40x60, but .*frame.jpg is 80x120; label the image as"
    ):
        run(cvat(data.parent / "cvat.xml"), data)


def test_ids_keep_their_meaning(data):
    """New classes come behind those that are there."""
    run(ids(data.parent / "ids"), data)
    mine = data.parent / "mine.yaml"
    mine.write_text(yaml.safe_dump({"classes": CLASSES | {"rug": {}}}, sort_keys=False))
    run(data.parent / "ids", data)
    assert read_classes(data / FILE).names == (*LABELS.names, "rug")
    mine.write_text(yaml.safe_dump({"classes": {"rug": {}} | CLASSES}, sort_keys=False))
    with pytest.raises(DataError, match="has the classes floor, pallet, lamp, rug, which new ones"):
        run(data.parent / "ids", data)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "classes: {floor: {group: wall}}",
            r"classes.floor.group: Input should be 'traversable' or",
        ),
        ("classes: {floor: {color: red}}", r"classes.floor.color: Extra inputs are not permitted"),
        ("classes: {}", "holds no classes: 0 classes, expected 1 to 255"),
        ("{", "holds no classes"),
        ("- floor", "the file: Input should be"),
    ],
)
def test_a_file_of_classes_that_is_wrong_is_named(tmp_path, text, words):
    (tmp_path / "odd.yaml").write_text(text)
    with pytest.raises(DataError, match=words):
        read_classes(tmp_path / "odd.yaml")


def test_classes_without_a_colour_get_different_ones(tmp_path):
    (tmp_path / "c.yaml").write_text("classes: {a: {}, b: {}, c: {}}")
    assert len(set(read_classes(tmp_path / "c.yaml").palette)) == 3
