"""Pages as a browser draws them: ``python docs/pictures.py`` takes the pictures of docs/view.md.

It runs the demo with its live view, and needs Chromium and the extra ``test``.
"""

from __future__ import annotations

import importlib.util
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

PICTURES = ROOT / "docs" / "pictures"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
TIMEOUT = 600.0  # seconds, for a browser that computes what a GPU would draw, on a busy machine
UNSETTLED = 1e-3  # of the values of a screenshot, that still change
# WebGL by the processor.
ARGUMENTS = (
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
)


def has_browser() -> bool:
    """Whether there is Chromium, and playwright to drive it."""
    return CHROMIUM is not None and importlib.util.find_spec("playwright") is not None


@contextmanager
def browser_page(width: int, height: int) -> Iterator[Any]:
    """A page of a headless Chromium, as playwright has it; dark, as the pages can be."""
    from playwright.sync_api import sync_playwright  # may be missing

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS])
        size = {"width": width, "height": height}
        page = browser.new_page(viewport=size, color_scheme="dark")
        page.set_default_timeout(1000 * TIMEOUT)
        yield page
        browser.close()


def screenshot(page: Any) -> np.ndarray:
    """What a page, or an element of one, looks like: (height, width, 3) uint8 RGB."""
    return np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))


def drawn(page: Any, is_drawn: Callable[[np.ndarray], bool]) -> np.ndarray:
    """The screenshot of a page, or of an element, once it shows what it should.

    Raises:
        TimeoutError: if it does not.
    """
    deadline = time.monotonic() + TIMEOUT
    while not is_drawn(pixels := screenshot(page)):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{page} does not draw what it should in {TIMEOUT:g} s")
    return pixels


def settled(page: Any) -> np.ndarray:
    """The screenshot of a page once it has not changed for a while."""

    def is_settled(pixels: np.ndarray) -> bool:
        page.wait_for_timeout(2_000)
        return float((screenshot(page) != pixels).mean()) < UNSETTLED

    return drawn(page, is_settled)


def colours(pixels: np.ndarray) -> int:
    """How many colours there are, in steps of 8: a page without pictures has few."""
    coarse = (pixels >> 3).astype(np.uint32)
    return len(np.unique(coarse[..., 0] << 10 | coarse[..., 1] << 5 | coarse[..., 2]))


def share(pixels: np.ndarray, colour: tuple[int, int, int], within: int = 24) -> float:
    """Of the pixels that have a colour, or nearly."""
    near = np.abs(pixels.astype(int) - colour).max(axis=-1) <= within
    return float(near.mean())


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "demo.png")
        # Slowly, since the browser has no GPU; by torch, which starts at once.
        options = ("--view", "--rate", "1", "--backend", "torch", "--out", str(out))
        command = [sys.executable, "-m", "sosd_ros.demo", *options]
        # In a session of its own, to be halted as a whole; rerun's server has one again.
        demo = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            address = ""
            for line in demo.stdout or ():
                if found := re.search(r"live view: (\S+)", line):
                    address = found[1]
                if "playing on" in line:
                    break
            with browser_page(1280, 800) as page:
                page.goto(f"{address}&renderer=webgl")
                drawn(page, lambda pixels: colours(pixels) > 2000)
                os.killpg(demo.pid, signal.SIGSTOP)  # all pictures become those of one frame
                _save(settled(page), "live_view.webp")
            with browser_page(1200, 900) as page:
                page.goto(out.with_suffix(".html").as_uri())
                _save(drawn(page, lambda pixels: colours(pixels) > 1000), "demo_page.webp")
        finally:
            os.killpg(demo.pid, signal.SIGCONT)
            demo.terminate()
            demo.wait()


def _save(pixels: np.ndarray, name: str) -> None:
    Image.fromarray(pixels).save(PICTURES / name, quality=90, method=6)
    print(f"{PICTURES / name}: {(PICTURES / name).stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
