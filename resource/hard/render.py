"""Render views that are hard for depth from one camera, in the layout of our NYU Depth v2 folder.

blender -b -P resource/hard/render.py -- OUTPUT_DIR [--size 640] [--samples 36] [--only mirror,low]
"""

import argparse
import math
import struct
import sys
import tempfile
import zlib
from pathlib import Path

import bpy
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "demo"))
import render
from render import box, lathe, rod, spot


def mirror():
    """Wardrobe doors that are mirrors: the room in them lies behind the glass, by its looks."""
    render.bedroom()
    silver = render.plain("f2f2f2", 0.02, 1.0)
    for y in (0.9, 1.72):
        box(None, silver, (3.56, y, 0.1), (3.575, y + 0.78, 2.02), 0.003)
    return (0.9, 2.9, 1.45), (3.6, 1.4, 1.0)


def glass():
    """A glass wall across the living room: only its frame and reflections show it."""
    render.living_room()
    sh = render.Shader("glass")
    pane = sh.node("BsdfGlass", Roughness=0.0, IOR=1.45).outputs[0]
    sh.feed(sh.tree.nodes["Material Output"], Surface=pane)
    steel = render.plain("3a3d40", 0.35, 0.9)
    for y in (0.9, 2.1, 3.3, 4.5):
        box(None, steel, (3.98, y - 0.02, 0), (4.02, y + 0.02, 2.6))
    for y in (0.9, 2.1, 3.3):
        box(None, sh.material, (3.995, y + 0.02, 0.02), (4.005, y + 1.18, 2.58), 0)
    return (2.4, 2.6, 1.45), (5.6, 3.1, 0.95)


def corridor():
    """24 m long: more than twice as far as any training image shows."""
    tiles = render.bricks("7d7f80", "8b8d8c", "5a5b5b", (0.6, 0.6), 0.004, 0.25, 0.2)
    doors = [(x, x + 0.95, 0, 2.1) for x in range(2, 23, 4)]
    walls = render.shell(2.2, 24.0, 2.6, "cfcabd", tiles, {"west": doors, "east": doors})
    wood, trim = render.wood("8d6540", "a87d55"), render.paint("d8d5cd", 0.4)
    for side in ("west", "east"):
        for left, right, _, top in doors:
            render.door(walls[side], left, right, top, wood, trim)
    for y in range(2, 24, 4):
        render.ceiling_light(1.1, y, 2.6, 40, (1.0, 0.95, 0.88))
    render.plant(spot(None, 0.45, 9.0), 1.0)
    return (1.05, 0.6, 1.5), (1.1, 20.0, 1.2)


def unknown():
    """A traffic cone, a step ladder and a ball: none of them is among the 40 classes."""
    render.living_room()
    orange, white = render.plain("d9541e", 0.5), render.plain("e8e6e2", 0.5)
    at = spot(None, 3.45, 2.5)
    box(at, orange, (-0.2, -0.2, 0), (0.2, 0.2, 0.03))
    profile = [(0.15, 0.03), (0.1, 0.27), (0.1, 0.27), (0.065, 0.44), (0.065, 0.44), (0.025, 0.65)]
    lathe(at, orange, (0, 0, 0), profile)
    lathe(at, white, (0, 0, 0), [(0.102, 0.27), (0.067, 0.44)])
    ball = [(0.33 * math.sin(a * 0.2618), 0.33 - 0.33 * math.cos(a * 0.2618)) for a in range(13)]
    lathe(spot(None, 2.55, 2.55), render.plain("3f6fa8", 0.35), (0, 0, 0), ball)
    ladder, metal = spot(None, 4.3, 3.1, -25), render.plain("b9bcc0", 0.3, 0.9)
    for lean, front in ((12, -0.35), (-12, 0.35)):
        for x in (-0.22, 0.22):
            rod(ladder, metal, (x, front, 0), 0.018, 1.68, (-lean, 0, 0))
    for step in range(1, 6):
        y = -0.35 + 0.35 * step / 5.2
        box(ladder, metal, (-0.22, y - 0.05, 0.3 * step), (0.22, y + 0.05, 0.3 * step + 0.03))
    return (3.2, 0.35, 1.4), (3.2, 4.0, 0.55)


def low():
    """As a small robot sees the dining table: 0.22 m above the floor."""
    render.living_room()
    return (3.1, 2.5, 0.22), (5.6, 4.2, 0.42)


SCENES = {scene.__name__: scene for scene in (mirror, glass, corridor, unknown, low)}


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("output", type=Path)
    options.add_argument("--size", type=int, default=render.WIDTH)
    options.add_argument("--samples", type=int, default=36)
    options.add_argument("--only", default="", help="names of the views, e.g. mirror,low")
    args = options.parse_args(sys.argv[sys.argv.index("--") + 1 :])
    for folder in ("rgb", "depth", "label40"):
        (args.output / folder).mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(SCENES):
        if args.only and name not in args.only.split(","):
            continue
        scene = render.start(args.size, args.samples)
        eye, target = SCENES[name]()
        render.settle()
        render.aim(scene.camera, eye, target)
        shoot(scene, args.output, name, number)
    (args.output / "val.txt").write_text("".join(f"{name}\n" for name in SCENES))


def shoot(scene, output, name, number):
    """Image, depth in millimetres, and labels that say nothing."""
    with tempfile.TemporaryDirectory() as folder:
        render.depth_output(scene, folder)
        scene.render.filepath = f"{folder}/frame.png"
        bpy.ops.render.render(write_still=True)
        render.develop(scene.render.filepath, output / "rgb" / f"{name}.jpg", number)
        metres = render.read(next(Path(folder).glob("depth*.exr")), 1)[..., 0]
    millimetres = np.where(metres < 65, np.rint(1000 * metres), 0)
    write_grey(output / "depth" / f"{name}.png", millimetres, 16)
    write_grey(output / "label40" / f"{name}.png", np.zeros_like(millimetres), 8)


def write_grey(path, values, bits):
    """A PNG file of one channel, value for value."""
    height, width = values.shape
    rows = values.astype(">u2" if bits == 16 else "u1")
    lines = b"".join(b"\0" + row.tobytes() for row in rows)

    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(lines, 9)), chunk(b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


if __name__ == "__main__":
    main()
