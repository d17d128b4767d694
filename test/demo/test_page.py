"""The demo's page: whole in one file, and drawn by a real browser."""

from __future__ import annotations

import re

import numpy as np
import pytest

from docs import pictures
from sosd_ros.camera import Intrinsics
from sosd_ros.demo.page import Shown, page
from sosd_ros.labels import LabelSet

ORANGE, MAGENTA, LIME = (250, 128, 20), (255, 0, 255), (0, 255, 0)
LABELS = LabelSet(("wall & door", "floor"), (MAGENTA, LIME))
CAMERA = Intrinsics(100.0, 100.0, 47.5, 31.5, 96, 64)


def answer(far):
    """An orange wall, the lower half of which is floor; its left edge has no depth."""
    image = np.full((64, 96, 3), ORANGE, np.uint8)
    depth = np.full((64, 96), far, np.float32)
    depth[:, :8] = np.nan
    ids = np.zeros((64, 96), np.uint8)
    ids[32:] = 1
    return image, depth, ids


def text():
    shown = Shown("2 images", "5 Hz < 30 Hz", "topic  Hz", [(0.0, 0.1), (0.5, 0.2), (1.0, 0.12)])
    sheet = np.full((40, 80, 3), 250, np.uint8)
    return page(shown, [answer(2.0), answer(3.0)], [CAMERA, CAMERA], sheet, LABELS)


def test_the_page_needs_no_other_file():
    """No address but those that have their content in them; names cannot break it."""
    addresses = re.findall(r'(?:src|href)="([^"]*)"', text())
    assert addresses and all(address.startswith("data:") for address in addresses)
    assert "http" not in text()
    assert "wall &amp; door" in text() and "5 Hz &lt; 30 Hz" in text()


def test_latencies_are_drawn_and_told():
    """A dot each, and their median and 95th percentile."""
    assert text().count("<circle ") == 3
    assert "median: 120 ms" in text() and "95 %: 192 ms" in text()


def test_a_page_without_any_depth_can_be_written():
    image, depth, ids = answer(1.0)
    shown = Shown("", "", "", [(0.0, 0.1)])
    assert "<canvas>" in page(shown, [(image, depth * np.nan, ids)], [CAMERA], image, LABELS)


def in_the_middle(pixels, colour):
    """Whether what has a colour lies around the middle, to an eighth of the picture."""
    rows, columns = np.nonzero(np.abs(pixels.astype(int) - colour).max(axis=-1) < 24)
    middle = np.array([rows.mean(), columns.mean()]) / pixels.shape[:2]
    return bool((np.abs(middle - 0.5) < 0.125).all())


needs_browser = pytest.mark.skipif(
    not pictures.has_browser(), reason="no Chromium, or no playwright: install the extra 'test'"
)


@needs_browser
def test_a_browser_draws_the_cloud_in_both_colours_and_turns_it(tmp_path):
    """Those of the image, and of the classes; the mouse turns it, a double click turns it back."""
    file = tmp_path / "demo.html"
    file.write_text(text())
    with pictures.browser_page(800, 900) as shown:
        problems = []
        shown.on("pageerror", lambda error: problems.append(str(error)))
        shown.goto(file.as_uri())
        canvas = shown.locator("canvas")

        def has(*colours):
            return lambda pixels: all(pictures.share(pixels, colour) > 0.02 for colour in colours)

        first = pictures.drawn(canvas, has(ORANGE))
        assert in_the_middle(first, ORANGE)
        shown.get_by_role("button", name="Classes").click()
        pictures.drawn(canvas, has(MAGENTA, LIME))
        shown.get_by_role("button", name="Image", exact=True).click()
        box = canvas.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        shown.mouse.move(x, y)
        shown.mouse.down()
        shown.mouse.move(x + 150, y + 20)
        shown.mouse.up()
        turned = pictures.screenshot(canvas)
        assert has(ORANGE)(turned) and in_the_middle(turned, ORANGE)  # about its own middle
        assert np.mean(np.any(turned != first, axis=-1)) > 0.02
        canvas.dblclick()
        np.testing.assert_array_equal(pictures.screenshot(canvas), first)
        shown.locator("#pictures button").nth(1).click()
        pictures.drawn(canvas, has(ORANGE))
        assert problems == []
