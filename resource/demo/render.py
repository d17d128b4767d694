"""Render the demo frames: two furnished rooms made of nothing but this script.

blender -b -P resource/demo/render.py -- OUTPUT_DIR [--size 640] [--samples 36] [--only 1,2]
                                         [--depth DEPTH_DIR]
"""

import argparse
import math
import random
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import bmesh
import bpy
import numpy as np
from mathutils import Euler, Matrix, Vector, noise

FOCAL, WIDTH, HEIGHT = 525.0, 640, 480  # pixels; the principal point is the image centre
RNG = random.Random(11)
CLOTHS, SOLIDS = [], []  # cloth to simulate and what it falls on
COVERS = ["7a2e2a", "2e4a6b", "3d5a3f", "d8cfbb", "1f2430", "b5823a"]
COVERS += ["8d8f93", "5b3a57", "c9b27c", "e6e2d8", "a3452f"]
MAGAZINES = ["8a3b32", "34506e", "d9d2c2", "2a2d33", "b98f4a", "60755c"]


# ---------------------------------------------------------------- materials
class Shader:
    """A node material in short-hand: inputs are values or sockets of other nodes."""

    def __init__(self, name):
        self.material = bpy.data.materials.new(name)
        self.material.use_nodes = True
        self.tree = self.material.node_tree
        self.bsdf = self.tree.nodes["Principled BSDF"]

    def node(self, kind, props=None, **inputs):
        made = self.tree.nodes.new("ShaderNode" + kind)
        for key, value in (props or {}).items():
            setattr(made, key, value)
        return self.feed(made, **inputs)

    def feed(self, node, **inputs):
        for key, value in inputs.items():
            socket = node.inputs[key.replace("_", " ")]
            if isinstance(value, bpy.types.NodeSocket):
                self.tree.links.new(value, socket)
            else:
                socket.default_value = value
        return node

    def place(self, stretch=(1, 1, 1)):
        """Object coordinates, shifted at random per object and scaled per axis."""
        shift = self.node("Math", {"operation": "MULTIPLY"})
        self.tree.links.new(self.node("ObjectInfo").outputs["Random"], shift.inputs[0])
        shift.inputs[1].default_value = 37.0
        where = self.node("TexCoord").outputs["Object"]
        mapping = self.node("Mapping", Vector=where, Location=shift.outputs[0], Scale=stretch)
        return mapping.outputs[0]

    def noise(self, scale, where, detail=6.0):
        made = self.node("TexNoise", Vector=where, Scale=scale, Detail=detail, Roughness=0.6)
        return made.outputs["Fac"]

    def mix(self, first, second, factor, blend="MIX"):
        props = {"blend_type": blend}
        return self.node("MixRGB", props, Fac=factor, Color1=first, Color2=second).outputs[0]

    def ramp(self, value, stops, interpolation="LINEAR"):
        made = self.node("ValToRGB", Fac=value)
        made.color_ramp.interpolation = interpolation
        while len(made.color_ramp.elements) < len(stops):
            made.color_ramp.elements.new(1.0)
        for element, (position, colour) in zip(made.color_ramp.elements, stops, strict=False):
            element.position, element.color = position, rgba(colour)
        return made.outputs[0]

    def bump(self, height, distance):
        made = self.node("Bump", Height=height, Distance=distance, Strength=0.6)
        self.feed(self.bsdf, Normal=made.outputs[0])


def rgba(colour):
    """Hex sRGB or a linear triple as linear RGBA."""
    if isinstance(colour, str):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        colour = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return (*colour, 1.0)


def surface(dark, light, scale=3.0, stretch=(1, 1, 1), rough=0.6, grain=200.0, depth=0.0005):
    """Two mottled colours and a fine bump: paint, cloth, wood or stone by its numbers."""
    sh = Shader(f"{dark} {light}")
    where = sh.place(stretch)
    tone = sh.ramp(sh.noise(scale, where), [(0.3, dark), (0.7, light)])
    sh.feed(sh.bsdf, Base_Color=tone, Roughness=rough)
    sh.bump(sh.noise(grain, where, 3.0), depth)
    return sh.material


def paint(colour, rough=0.7):
    sh = [int(colour[i : i + 2], 16) for i in (0, 2, 4)]
    dark = "".join(f"{int(c * 0.95):02x}" for c in sh)
    return surface(dark, colour, 1.3, rough=rough, grain=150, depth=0.0006)


def wood(dark, light, rough=0.4):
    return surface(dark, light, 2.2, (1.0, 14, 14), rough, 14, 0.0008)


def fabric(dark, light, scale=30.0):
    return surface(dark, light, scale, rough=0.95, grain=420, depth=0.0015)


def plain(colour, rough=0.4, metal=0.0):
    sh = Shader("plain " + colour)
    sh.feed(sh.bsdf, Base_Color=rgba(colour), Roughness=rough, Metallic=metal)
    return sh.material


def bricks(first, second, joint, size, gap, rough, grainy=0.5):
    """Floor boards or wall tiles on the local XY plane."""
    sh = Shader("bricks " + first)
    where = sh.node("TexCoord").outputs["Object"]
    colours = {"Color1": rgba(first), "Color2": rgba(second), "Mortar": rgba(joint)}
    sizes = {"Brick_Width": size[0], "Row_Height": size[1], "Mortar_Size": gap}
    brick = sh.node("TexBrick", {"offset": 0.37}, Vector=where, Scale=1.0, **colours, **sizes)
    grain = sh.noise(3.0, sh.place((1.2, 16, 1)))
    streaks = sh.ramp(grain, [(0.25, (0.45, 0.4, 0.36)), (0.75, (1.0, 1.0, 1.0))])
    tone = sh.mix(brick.outputs["Color"], streaks, grainy, "MULTIPLY")
    sh.feed(sh.bsdf, Base_Color=tone, Roughness=rough)
    sh.bump(brick.outputs["Fac"], -0.001)
    return sh.material


def striped(base, stripe, count, share=0.25):
    """Cloth with stripes across U of its UV map."""
    sh = Shader("striped " + base)
    split = sh.node("SeparateXYZ", Vector=sh.node("TexCoord").outputs["UV"]).outputs["X"]
    times = sh.node("Math", {"operation": "MULTIPLY"})
    sh.tree.links.new(split, times.inputs[0])
    times.inputs[1].default_value = count
    part = sh.node("Math", {"operation": "FRACT"})
    sh.tree.links.new(times.outputs[0], part.inputs[0])
    tone = sh.ramp(part.outputs[0], [(0.0, stripe), (share, base)], "CONSTANT")
    worn = sh.ramp(sh.noise(6.0, sh.place()), [(0.3, (0.85, 0.85, 0.85)), (0.7, (1, 1, 1))])
    sh.feed(sh.bsdf, Base_Color=sh.mix(tone, worn, 1.0, "MULTIPLY"), Roughness=0.95)
    sh.bump(sh.noise(420.0, sh.place(), 3.0), 0.0015)
    return sh.material


def glow(colour, strength):
    sh = Shader("glow")
    light = sh.node("Emission", Color=rgba(colour), Strength=strength)
    sh.feed(sh.tree.nodes["Material Output"], Surface=light.outputs[0])
    return sh.material


def sheer(colour, amount=0.5):
    """Thin cloth or paper that lets light through."""
    sh = Shader("sheer " + colour)
    through = sh.node("BsdfTranslucent", Color=rgba(colour)).outputs[0]
    sh.feed(sh.bsdf, Base_Color=rgba(colour), Roughness=0.9)
    both = sh.node("MixShader", Fac=amount)
    sh.tree.links.new(sh.bsdf.outputs[0], both.inputs[1])
    sh.tree.links.new(through, both.inputs[2])
    sh.feed(sh.tree.nodes["Material Output"], Surface=both.outputs[0])
    return sh.material


def painting(stops, scale=2.5, bend=0.5, shine=0.0):
    """Layers of colour bent by noise: hills and sky, or something abstract."""
    sh = Shader("painting")
    where = sh.place()
    height = sh.node("SeparateXYZ", Vector=sh.node("TexCoord").outputs["UV"]).outputs["Y"]
    bent = sh.node("Math", {"operation": "MULTIPLY_ADD"})
    sh.tree.links.new(sh.noise(scale, where), bent.inputs[0])
    bent.inputs[1].default_value = bend
    sh.tree.links.new(height, bent.inputs[2])
    level = sh.node("Math", {"operation": "ADD"})
    sh.tree.links.new(bent.outputs[0], level.inputs[0])
    level.inputs[1].default_value = -bend / 2
    tone = sh.ramp(level.outputs[0], stops)
    sh.feed(sh.bsdf, Base_Color=tone, Roughness=0.35)
    if shine:
        light = sh.node("Emission", Color=tone, Strength=shine)
        sh.feed(sh.tree.nodes["Material Output"], Surface=light.outputs[0])
    return sh.material


# ---------------------------------------------------------------- shapes
def spot(parent=None, x=0.0, y=0.0, turn=0.0, z=0.0):
    """An empty that carries a piece of furniture: its back at y = 0, its front towards -y."""
    empty = bpy.data.objects.new("spot", None)
    empty.location, empty.rotation_euler = (x, y, z), (0, 0, math.radians(turn))
    return link(empty, parent)


def link(thing, parent):
    thing.parent = parent
    bpy.context.scene.collection.objects.link(thing)
    return thing


def solid(parent, mat, work, smooth=False):
    """The bmesh as an object."""
    mesh = bpy.data.meshes.new("part")
    bmesh.ops.recalc_face_normals(work, faces=work.faces)
    for face in work.faces:
        face.smooth = smooth
    work.to_mesh(mesh)
    work.free()
    mesh.materials.append(mat)
    return link(bpy.data.objects.new("part", mesh), parent)


def box(parent, mat, low, high, bevel=0.004, segments=2, tilt=(0, 0, 0)):
    """A bevelled box between two corners; its local X (wood grain) is its longest side."""
    size = [abs(b - a) for a, b in zip(low, high, strict=False)]
    long = size.index(max(size))
    turn = Euler([(0, 0, 0), (0, 0, math.pi / 2), (0, math.pi / 2, 0)][long]).to_matrix()
    size[0], size[long] = size[long], size[0]
    work = bmesh.new()
    bmesh.ops.create_cube(work, size=1.0, matrix=Matrix.Diagonal((*size, 1.0)))
    made = solid(parent, mat, work)
    tilted = Euler([math.radians(t) for t in tilt]).to_matrix() @ turn
    made.rotation_euler = tilted.to_euler()
    made.location = [(a + b) / 2 for a, b in zip(low, high, strict=False)]
    edge = made.modifiers.new("bevel", "BEVEL")
    edge.width, edge.segments = min(bevel, min(size) * 0.45), segments
    return made


def lathe(parent, mat, where, profile, steps=40, tilt=(0, 0, 0)):
    """A (radius, height) profile turned about Z; a point given twice makes a sharp edge."""
    work = bmesh.new()
    angles = [2 * math.pi * i / steps for i in range(steps)]
    rings = [
        [work.verts.new((r * math.cos(a), r * math.sin(a), z)) for a in angles] for r, z in profile
    ]
    for (low, high), (a, b) in zip(pairwise(rings), pairwise(profile), strict=True):
        for i in range(steps if a != b else 0):
            j = (i + 1) % steps
            work.faces.new((low[i], low[j], high[j], high[i]))
    made = solid(parent, mat, work, smooth=True)
    made.location, made.rotation_euler = where, [math.radians(t) for t in tilt]
    return made


def rod(parent, mat, where, radius, length, tilt=(0, 0, 0)):
    ends = [(0.0, 0.0), (radius, 0.0)] * 2 + [(radius, length)] * 2 + [(0.0, length)]
    return lathe(parent, mat, where, ends[:2] + ends[3:], 20, tilt)


def sheet(parent, mat, shape, columns, rows):
    """The surface shape(u, v), with its UV map."""
    work = bmesh.new()
    uv = work.loops.layers.uv.new()
    grid = [[(i / columns, j / rows) for i in range(columns + 1)] for j in range(rows + 1)]
    verts = [[work.verts.new(shape(u, v)) for u, v in row] for row in grid]
    for j in range(rows):
        for i in range(columns):
            corners = [(j, i), (j, i + 1), (j + 1, i + 1), (j + 1, i)]
            face = work.faces.new([verts[a][b] for a, b in corners])
            for loop, (a, b) in zip(face.loops, corners, strict=False):
                loop[uv].uv = grid[a][b]
    return solid(parent, mat, work, smooth=True)


# ---------------------------------------------------------------- cloth
def drape(parent, mat, centre, size, cell=0.03, thick=0.012, turn=0.0, puff=0.0):
    """A piece of cloth that falls on whatever is in SOLIDS."""
    spin = Matrix.Rotation(math.radians(turn), 3, "Z")

    def flat(u, v):
        lift = (0.05 + 0.1 * puff) * noise.noise((u * 6, v * 6, centre[0] * 7))
        return spin @ Vector(((u - 0.5) * size[0], (v - 0.5) * size[1], lift)) + Vector(centre)

    made = sheet(parent, mat, flat, int(size[0] / cell), int(size[1] / cell))
    settings = made.modifiers.new("cloth", "CLOTH").settings
    settings.quality, settings.mass, settings.shrink_min = 6, 0.4, -0.06 - 0.08 * puff
    settings.bending_stiffness = 2.0 + 8 * puff
    CLOTHS.append((made, thick))
    return made


def pillow(parent, mat, where, size, tilt=(0, 0, 0), pressure=4.0):
    """A flat bag of cloth blown up: pillows and cushions (size is X, Y and rim height)."""
    work = bmesh.new()
    uv = work.loops.layers.uv.new()
    bmesh.ops.create_cube(work, size=1.0, matrix=Matrix.Diagonal((*size, 1.0)))
    flat_edges = [e for e in work.edges if abs(e.verts[0].co.z - e.verts[1].co.z) < 1e-6]
    bmesh.ops.subdivide_edges(work, edges=flat_edges, cuts=21, use_grid_fill=True)
    for face in work.faces:
        for loop in face.loops:
            loop[uv].uv = (loop.vert.co.x / size[0] + 0.5, loop.vert.co.y / size[1] + 0.5)
    made = solid(parent, mat, work, smooth=True)
    made.location, made.rotation_euler = where, [math.radians(t) for t in tilt]
    cloth = made.modifiers.new("cloth", "CLOTH")
    cloth.settings.use_pressure = True
    cloth.settings.uniform_pressure_force, cloth.settings.shrink_min = pressure, -0.04
    cloth.settings.effector_weights.gravity = 0.0
    cloth.collision_settings.use_collision = False
    CLOTHS.append((made, 0.0))
    return made


def settle(frames=50):
    """Run the cloth simulations and keep their last state."""
    scene = bpy.context.scene
    for thing in SOLIDS:
        thing.modifiers.new("collision", "COLLISION")
        thing.collision.thickness_outer, thing.collision.cloth_friction = 0.008, 30.0
    for frame in range(1, frames + 1):
        scene.frame_set(frame)
    graph = bpy.context.evaluated_depsgraph_get()
    for thing, thick in CLOTHS:
        mesh = bpy.data.meshes.new_from_object(thing.evaluated_get(graph))
        thing.modifiers.clear()
        thing.data = mesh
        if thick:
            skin = thing.modifiers.new("thick", "SOLIDIFY")
            skin.thickness, skin.offset = thick, 1.0
        thing.modifiers.new("smooth", "SUBSURF").render_levels = 1
    CLOTHS.clear()
    SOLIDS.clear()


# ---------------------------------------------------------------- the shell of a room
def wall(start, turn, length, height, mat, trim, holes=()):
    """A wall along local X with holes (from, to, bottom, top); the room lies towards -y."""
    base = spot(None, *start, turn)
    edge = -0.12
    for left, right, bottom, top in sorted(holes):
        box(base, mat, (edge, 0, 0), (left, 0.12, height), 0)
        box(base, trim, (max(edge, 0), -0.015, 0), (left - 0.07 * (not bottom), 0, 0.09))
        box(base, mat, (left, 0, top), (right, 0.12, height), 0)
        if bottom:
            box(base, mat, (left, 0, 0), (right, 0.12, bottom), 0)
            box(base, trim, (left, -0.015, 0), (right, 0, 0.09))
        edge = right
    box(base, mat, (edge, 0, 0), (length + 0.12, 0.12, height), 0)
    box(base, trim, (max(edge, 0), -0.015, 0), (length, 0, 0.09))
    return base


def lamp(parent, kind, where, power, colour, size=0.05, tilt=(0, 0, 0)):
    data = bpy.data.lights.new("lamp", kind)
    data.energy, data.color = power, colour
    if kind == "AREA":
        data.shape, data.size, data.size_y = "RECTANGLE", *size
    elif kind == "POINT":
        data.shadow_soft_size = size
    else:
        data.angle = size
    made = link(bpy.data.objects.new("lamp", data), parent)
    made.location, made.rotation_euler = where, [math.radians(t) for t in tilt]
    made.visible_camera = False
    return made


def window(base, hole, cloth, power, colour=(0.85, 0.93, 1.0)):
    """A window frame with panes, a bright outdoors, daylight, a rail and two curtains."""
    left, right, bottom, top = hole
    white, middle = paint("e4e2dc", 0.4), (left + right) / 2
    for x in (left + 0.03, middle, right - 0.03):
        box(base, white, (x - 0.03, 0.04, bottom), (x + 0.03, 0.09, top))
    for z in (bottom + 0.03, (bottom + 2 * top) / 3, top - 0.03):
        box(base, white, (left, 0.045, z - 0.025), (right, 0.085, z + 0.025))
    box(base, white, (left - 0.06, -0.06, bottom - 0.03), (right + 0.06, 0.05, bottom))
    garden = [(0.3, "56634a"), (0.36, "8d9b7c"), (0.42, "c5cdc4"), (0.52, "e8eef5")]
    view = painting(garden, 0.9, 0.6, 2.5)
    outside = sheet(base, view, lambda u, v: (middle + 20 * u - 10, 2.5, 9 * v - 2), 1, 1)
    outside.visible_shadow = outside.visible_diffuse = False
    sides = (right - left, top - bottom)
    lamp(base, "AREA", (middle, 0.14, (bottom + top) / 2), power, colour, sides, (-90, 0, 0))
    metal = plain("4a4540", 0.3, 0.8)
    rod(base, metal, (left - 0.45, -0.1, top + 0.14), 0.012, right - left + 0.9, (0, 90, 0))
    for start, end in ((left - 0.4, left + 0.12), (right - 0.12, right + 0.4)):
        curtain(base, cloth, start, end, 0.04, top + 0.15)


def curtain(base, cloth, start, end, low, high, at=-0.1, deep=1.0):
    phase = RNG.random() * 9

    def folds(u, v):
        wave = noise.noise((u * 7, v * 0.7, phase)) * 2.5
        depth = deep * (0.035 + 0.015 * (1 - v)) * math.sin(u * (10 + 28 * deep) + wave + phase)
        x = start + (end - start) * (u + 0.02 * math.sin(v * 4 + phase) * (1 - v))
        return x, at + depth, low + (high - low) * v

    sheet(base, cloth, folds, 120, 24)


def door(base, left, right, top, mat, trim):
    """A closed panel door in its frame, with a handle and a light switch beside it."""
    box(base, mat, (left, 0.02, 0.01), (right, 0.06, top), 0.002)
    for low, high in ((0.15, 0.85), (1.0, top - 0.15)):
        for x in (left + 0.12, (left + right) / 2 + 0.04):
            inset = (right - left) / 2 - 0.16
            box(base, mat, (x, 0.005, low), (x + inset, 0.03, high), 0.02, 3)
    for x in (left - 0.07, right):
        box(base, trim, (x, -0.02, 0), (x + 0.07, 0.1, top))
    box(base, trim, (left - 0.07, -0.02, top), (right + 0.07, 0.1, top + 0.07))
    brass = plain("b09a6a", 0.25, 1.0)
    rod(base, brass, (left + 0.07, 0.03, 1.0), 0.01, 0.07, (90, 0, 0))
    box(base, brass, (left + 0.06, -0.06, 0.99), (left + 0.18, -0.04, 1.01), 0.008, 3)
    box(base, plain("e8e6e0"), (left - 0.25, -0.01, 1.1), (left - 0.17, 0, 1.22), 0.005)


def picture(base, x, z, width, height, stops, frame, bend=0.5, border=0.05):
    """A framed print with a passe-partout, hung just a little askew."""
    hang = spot(base, x, -0.001, 0, z)
    hang.rotation_euler[1] = math.radians(RNG.uniform(-0.8, 0.8))
    w, h = width / 2, height / 2
    for sx in (-1, 1):
        box(hang, frame, (sx * w - 0.015, -0.03, -h - 0.015), (sx * w + 0.015, 0, h + 0.015))
        box(hang, frame, (-w, -0.03, sx * h - 0.015), (w, 0, sx * h + 0.015))
    box(hang, paint("e9e6dc"), (-w, -0.012, -h), (w, -0.001, h), 0)
    art, w, h = painting(stops, 2.5 / max(width, height), bend), w - border, h - border
    sheet(hang, art, lambda u, v: (2 * w * u - w, -0.013, 2 * h * v - h), 1, 1)


def shell(width, depth, height, colour, boards, holes):
    """Floor, ceiling and the four walls by compass point."""
    mat, trim = paint(colour), paint("e6e3db", 0.4)
    floor = box(None, boards, (-0.1, -0.1, -0.05), (width + 0.1, depth + 0.1, 0), 0)
    box(None, paint("e9e7e2"), (-0.1, -0.1, height), (width + 0.1, depth + 0.1, height + 0.1), 0)
    plan = {
        "north": ((0, depth), 0, width),
        "east": ((width, depth), -90, depth),
        "south": ((width, 0), 180, width),
        "west": ((0, 0), 90, depth),
    }
    SOLIDS.append(floor)
    return {k: wall(*plan[k], height, mat, trim, holes.get(k, ())) for k in plan}


# ---------------------------------------------------------------- furniture
def legs(at, mat, width, depth, height, thick=0.04, inset=0.03):
    for x in (inset - width / 2, width / 2 - inset - thick):
        for y in (-inset - thick, inset - depth):
            box(at, mat, (x, y, 0), (x + thick, y + thick, height))


def table(at, mat, width, depth, height, thick=0.03):
    top = box(at, mat, (-width / 2, -depth, height - thick), (width / 2, 0, height), 0.008, 3)
    legs(at, mat, width, depth, height - thick, 0.05)
    for y in (-0.06, 0.04 - depth):
        half, low = width / 2 - 0.05, height - 0.11
        box(at, mat, (-half, y, low), (half, y + 0.02, low + 0.08))
    SOLIDS.append(top)


def chair(at, mat, seat):
    legs(at, mat, 0.42, 0.42, 0.44, 0.035, 0.005)
    SOLIDS.append(box(at, seat, (-0.22, -0.44, 0.43), (0.22, 0, 0.47), 0.015, 3))
    for x in (-0.21, 0.175):
        box(at, mat, (x, -0.03, 0.44), (x + 0.035, 0.005, 0.93), 0.008, tilt=(-5, 0, 0))
    for z in (0.6, 0.73, 0.86):
        rail = box(at, mat, (-0.2, 0.0, z), (0.2, 0.02, z + 0.08), 0.008)
        rail.location.y += (z - 0.68) * 0.09 - 0.02
        SOLIDS.append(rail)


def cupboard(at, mat, width, depth, height, doors, rows=1, low=0.08, metal="6f6a62"):
    """A carcass with door or drawer fronts and handles."""
    box(at, mat, (-width / 2, -depth + 0.02, low), (width / 2, 0, height), 0.003)
    if low:
        box(at, plain("2b2724"), (0.02 - width / 2, 0.06 - depth, 0), (width / 2 - 0.02, 0, low))
    wide, tall = width / doors, (height - low) / rows
    for i in range(doors):
        for j in range(rows):
            x, z = i * wide - width / 2, low + j * tall
            end = (x + wide - 0.003, 0.02 - depth, z + tall - 0.003)
            box(at, mat, (x + 0.003, -depth, z + 0.003), end, 0.004)
            handle = plain(metal, 0.3, 0.9)
            if rows > 1:
                x, z, size = x + wide / 2 - 0.06, z + tall / 2, (0.12, 0.012)
            else:
                x += 0.04 if i % 2 else wide - 0.055
                z, size = z + tall * (0.45 if low else 0.08), (0.012, 0.14)
            box(at, handle, (x, -depth - 0.025, z), (x + size[0], -depth, z + size[1]))


def books(at, left, right, z, depth, tall, fill=1.0):
    """A row of books with labelled spines; the last one leans."""
    x, stop = left + 0.005, left + (right - left) * fill
    while x < stop - 0.05:
        wide, high = RNG.uniform(0.014, 0.048), tall * RNG.uniform(0.62, 0.93)
        front, cover = -depth + RNG.uniform(0.01, 0.05), RNG.choice(COVERS)
        lean = 9 if x > stop - 0.11 and fill < 1 else 0
        end = (x + wide, front + 0.15, z + high)
        last = box(at, plain(cover, 0.5), (x, front, z), end, 0.003, tilt=(0, lean, 0))
        last.location.x += high * math.sin(math.radians(lean)) / 2
        if not lean and RNG.random() < 0.7:
            label, where = plain(RNG.choice(COVERS), 0.5), z + high * RNG.uniform(0.55, 0.75)
            end = (x + wide - 0.002, front + 0.01, where + 0.05)
            box(at, label, (x + 0.002, front - 0.0006, where), end, 0)
        x += wide + RNG.uniform(0.0005, 0.003)


def stack(at, x, y, z, count):
    """Some books or magazines lying on each other."""
    for _ in range(count):
        high, turn = RNG.uniform(0.008, 0.035), RNG.uniform(-14, 14)
        cover = plain(RNG.choice(MAGAZINES), 0.45)
        size = RNG.uniform(0.18, 0.23), RNG.uniform(0.12, 0.16)
        low = (x - size[0] / 2, y - size[1] / 2, z)
        box(at, cover, low, (low[0] + size[0], low[1] + size[1], z + high), 0.003, 2, (0, 0, turn))
        z += high


def shelf(at, mat, width, depth, height, rows):
    for x in (-width / 2, width / 2 - 0.02):
        box(at, mat, (x, -depth, 0), (x + 0.02, 0, height))
    box(at, mat, (-width / 2, -0.01, 0), (width / 2, 0, height))
    step = (height - 0.09) / rows
    for row in range(rows + 1):
        z = 0.05 + row * step
        box(at, mat, (-width / 2, -depth + 0.003, z), (width / 2, 0, z + 0.02))
        if row < rows:
            fill = RNG.choice((1.0, 0.8, 0.65))
            books(at, 0.02 - width / 2, width / 2 - 0.02, z + 0.02, depth, step - 0.03, fill)
            if fill < 0.75:
                stack(at, width / 2 - 0.17, -0.14, z + 0.02, 3)


def table_lamp(at, x, y, z, scale=1.0, power=14, body="5f7480"):
    k, base = scale, plain(body, 0.25)
    foot = [(0, 0), (0.07, 0), (0.075, 0.02), (0.05, 0.05)]
    profile = [*foot, (0.085, 0.14), (0.06, 0.22), (0.012, 0.27), (0.012, 0.32)]
    lathe(at, base, (x, y, z), [(r * k, h * k) for r, h in profile])
    shade(at, x, y, z + 0.28 * k, 0.15 * k, 0.2 * k, power)


def shade(at, x, y, z, radius, height, power):
    mat = sheer("efdcb8", 0.55)
    lathe(at, mat, (x, y, z), [(radius, 0), (radius * 0.68, height)])
    bulb = (x, y, z + height * 0.45)
    lathe(at, glow("ffdfb0", 12), bulb, [(0, -0.03), (0.025, -0.01), (0.025, 0.02), (0, 0.035)], 16)
    lamp(at, "POINT", bulb, power, (1.0, 0.72, 0.42), 0.04)


def floor_lamp(at, power=28):
    metal = plain("8f8a80", 0.3, 0.9)
    rod(at, metal, (0, 0, 0), 0.14, 0.02)
    rod(at, metal, (0, 0, 0), 0.012, 1.45)
    shade(at, 0, 0, 1.35, 0.22, 0.27, power)


def ceiling_light(x, y, height, power, colour=(1.0, 0.82, 0.6)):
    globe = [(0, -0.1), (0.09, -0.085), (0.15, -0.04), (0.16, 0), (0, 0)]
    made = lathe(None, glow("ffe9c8", 6), (x, y, height - 0.01), globe)
    made.visible_shadow = False
    lamp(None, "POINT", (x, y, height - 0.16), power, colour, 0.1)


def mug(at, x, y, z, colour="d8d4cc"):
    outer = [(0, 0), (0.036, 0), (0.039, 0.005), (0.039, 0.09)]
    profile = [*outer, (0.034, 0.09), (0.034, 0.01), (0, 0.01)]
    lathe(at, plain(colour, 0.25), (x, y, z), profile)


def carton(at):
    card = surface("8d7350", "a98d68", 2, rough=0.85)
    box(at, card, (-0.2, -0.3, 0), (0.2, 0, 0.27), 0.004)
    for side in (-0.165, 0.165):
        low, high = (side - 0.06, -0.298, 0.27), (side + 0.06, -0.002, 0.274)
        box(at, card, low, high, 0, tilt=(0, side * 180, 0))
    box(at, plain("d9d4c8"), (0.02, -0.301, 0.1), (0.13, -0.2, 0.18), 0)


def plant(at, size=1.0, count=26):
    pot = [(0, 0), (0.11, 0), (0.15, 0.25), (0.135, 0.25), (0.13, 0.2), (0, 0.2)]
    lathe(at, paint("a8674a"), (0, 0, 0), [(r * size, z * size) for r, z in pot])
    green = surface("24401f", "4f7038", 5, rough=0.45)
    for i in range(count):
        long, rise = size * RNG.uniform(0.4, 0.75), RNG.uniform(0.5, 1.3)
        angle, wide = i * 2.4 + RNG.uniform(-0.3, 0.3), size * RNG.uniform(0.05, 0.08)
        sheet(at, green, leaf(0.2 * size, long, wide, rise, angle), 4, 10)


def leaf(start, long, wide, rise, angle):
    def shape(u, v):
        out = long * v * math.cos(rise) + 0.25 * long * v * v
        up = start + long * v * math.sin(rise) - 0.45 * long * v**3
        side = wide * math.sin(math.pi * min(1, v * 0.8 + 0.2 * v * v)) * (u - 0.5) * 2
        x, y = math.cos(angle), math.sin(angle)
        return x * out - y * side, y * out + x * side, up + abs(u - 0.5) * wide * 0.5

    return shape


def bed(at, mat, cover, linen, cushion):
    box(at, mat, (-0.85, -0.05, 0), (0.85, 0, 1.02), 0.012, 3)
    frame = box(at, mat, (-0.83, -2.08, 0.12), (0.83, -0.05, 0.32), 0.01, 3)
    legs(at, mat, 1.66, 2.08, 0.13, 0.07)
    mattress = box(at, linen, (-0.8, -2.05, 0.3), (0.8, -0.06, 0.54), 0.06, 5)
    SOLIDS.extend((frame, mattress))
    drape(at, cover, (0.02, -1.28, 0.62), (2.1, 1.62), 0.028, 0.04, 2, 0.25)
    for x in (-0.4, 0.41):
        tilt = (28, RNG.uniform(-3, 3), RNG.uniform(-5, 5))
        pillow(at, linen, (x, -0.3, 0.68), (0.68, 0.46, 0.03), tilt)
    pillow(at, cushion, (0.08, -0.52, 0.73), (0.42, 0.42, 0.03), (48, 0, 6))


def sofa(at, mat, seats=3, colours=()):
    width = seats * 0.64
    box(at, mat, (-width / 2, -0.88, 0.1), (width / 2, 0, 0.3), 0.03, 4)
    side = width / 2 + 0.02
    SOLIDS.append(box(at, mat, (-side, -0.26, 0.1), (side, 0, 0.78), 0.06, 5))
    for x in (-width / 2 - 0.18, width / 2):
        SOLIDS.append(box(at, mat, (x, -0.9, 0.08), (x + 0.18, 0, 0.6), 0.05, 5))
    legs(at, plain("2a211b"), width, 0.88, 0.12, 0.05)
    for i in range(seats):
        x = (i - seats / 2) * 0.64
        low = (x + 0.004, -0.92, 0.29), (x + 0.636, -0.22, 0.45)
        SOLIDS.append(box(at, mat, *low, 0.05, 5, (RNG.uniform(-1, 1), RNG.uniform(-1, 1), 0)))
        pillow(at, mat, (x + 0.32, -0.3, 0.64), (0.6, 0.42, 0.1), (76, 0, RNG.uniform(-2, 2)), 1.5)
    for i, colour in enumerate(colours):
        x = (-1) ** i * (width / 2 - 0.24)
        pillow(at, colour, (x, -0.48, 0.63), (0.44, 0.44, 0.03), (66, 0, (-1) ** (i + 1) * 24))


def television(at, width=1.1):
    dark, height = plain("0d0e10", 0.15), width * 0.57
    box(at, plain("17181a"), (-0.25, -0.3, 0), (0.25, -0.1, 0.015))
    box(at, dark, (-0.05, -0.2, 0), (0.05, -0.17, 0.1))
    low, high = (-width / 2, -0.22, 0.07), (width / 2, -0.17, 0.07 + height)
    box(at, plain("1b1c1e", 0.3), low, high, 0.008)
    inside = (0.02 - width / 2, -0.222, 0.095), (width / 2 - 0.02, -0.2, 0.05 + height)
    box(at, plain("050608", 0.08), *inside, 0)


def kitchen(base, start, end):
    """Base and wall cabinets, worktop, tiles, sink, cooker hood and small things."""
    x, width = (start + end) / 2, end - start
    front, top = wood("7d6348", "a5876a"), surface("3a3836", "6a6661", 40, rough=0.25)
    cupboard(spot(base, x), front, width, 0.6, 0.86, 4)
    box(base, top, (start - 0.02, -0.63, 0.86), (end + 0.02, 0, 0.9), 0.006, 3)
    wall_tiles = bricks("d9d4c6", "e2ded3", "b0aba0", (0.15, 0.15), 0.003, 0.2, 0.1)
    tiles = box(base, wall_tiles, (start, -0.008, 0.9), (end, 0, 1.45), 0)
    tiles.rotation_euler, tiles.data = (math.radians(90), 0, 0), tiles.data.copy()
    tiles.data.transform(Matrix.Rotation(math.radians(-90), 4, "X"))
    cupboard(spot(base, start + width * 0.3, z=1.45), front, width * 0.6, 0.35, 0.7, 3, 1, 0)
    steel = plain("a9abad", 0.28, 1.0)
    box(base, steel, (end - 0.75, -0.45, 1.55), (end - 0.15, 0, 1.65), 0.01)
    box(base, steel, (end - 0.6, -0.3, 1.65), (end - 0.3, 0, 2.4), 0.004)
    box(base, plain("101112", 0.1), (end - 0.74, -0.57, 0.9), (end - 0.16, -0.08, 0.907))
    box(base, steel, (start + 0.35, -0.53, 0.895), (start + 0.95, -0.1, 0.905))
    box(base, plain("55585a", 0.4, 1.0), (start + 0.39, -0.49, 0.9), (start + 0.91, -0.16, 0.907))
    rod(base, steel, (start + 0.65, -0.07, 0.9), 0.014, 0.25)
    rod(base, steel, (start + 0.65, -0.07, 1.14), 0.012, 0.2, (90, 0, 0))
    box(base, plain("d3d1cb", 0.35), (x - 0.2, -0.38, 0.9), (x + 0.25, -0.05, 1.16), 0.012, 3)
    box(base, plain("15171a", 0.12), (x - 0.17, -0.383, 0.94), (x + 0.11, -0.3, 1.12))
    lid = [(0.1, 0.13), (0.02, 0.145), (0.02, 0.165), (0, 0.165)]
    pot = [(0, 0), (0.1, 0), (0.1, 0), (0.1, 0.13), *lid]
    lathe(base, steel, (end - 0.55, -0.42, 0.907), pot)
    neck = [(0.03, 0.16), (0.013, 0.19), (0.012, 0.25), (0, 0.25)]
    for i, colour in enumerate(("c9b48a", "7d4b33", "3c5940")):
        bottle = [(0, 0), (0.036, 0), (0.037, 0.13), *neck]
        shape = [(r, z * (0.7 + 0.15 * i)) for r, z in bottle]
        lathe(base, plain(colour, 0.15), (start + 0.1 + 0.09 * i, -0.1, 0.9), shape)
    mug(base, start + 1.1, -0.3, 0.9, "7d2f2a")
    oven = plain("121315", 0.12), (end - 0.74, -0.632, 0.14), (end - 0.16, -0.59, 0.72)
    box(base, *oven, 0.004)
    box(base, steel, (end - 0.74, -0.634, 0.73), (end - 0.16, -0.59, 0.85), 0.004)
    rod(base, steel, (end - 0.7, -0.665, 0.68), 0.01, 0.5, (0, 90, 0))
    towel = striped("d8d2c4", "9a4038", 6, 0.3)
    rod(base, steel, (start + 0.25, -0.64, 0.8), 0.008, 0.4, (0, 90, 0))
    curtain(base, towel, start + 0.3, start + 0.6, 0.3, 0.8, -0.64, 0.3)


# ---------------------------------------------------------------- the rooms and their views
def bedroom():
    """Bed, night stands, wardrobe, desk, shelf, window; eye and target of each view."""
    hole = (2.0, 3.5, 0.9, 2.15)
    boards = bricks("6f4a2c", "9c7650", "22150c", (1.3, 0.13), 0.003, 0.35, 0.7)
    holes = {"west": [hole], "south": [(0.5, 1.35, 0, 2.05)]}
    walls = shell(4.2, 4.6, 2.55, "c8bfa9", boards, holes)
    oak, dark, white = wood("6e5036", "8f6c4a"), wood("3b2516", "59391f"), paint("e2dfd6", 0.45)
    window(walls["west"], hole, sheer("a89a86", 0.3), 130)
    door(walls["south"], 0.5, 1.35, 2.05, white, white)
    north, blue = walls["north"], fabric("2f4866", "3d587a")
    cover, linen = striped("7d8fa6", "d8d6cf", 9, 0.3), fabric("cfcac0", "dcd8d0")
    bed(spot(north, 2.15), dark, cover, linen, blue)
    for x in (0.95, 3.35):
        cupboard(spot(north, x, -0.02), dark, 0.5, 0.4, 0.52, 1, 2)
    table_lamp(north, 0.9, -0.2, 0.52)
    table_lamp(north, 3.42, -0.2, 0.52, power=10)
    stack(north, 1.08, -0.3, 0.52, 3)
    mug(north, 3.25, -0.3, 0.52, "3f5f6e")
    hills = [(0.3, "2f3d2a"), (0.5, "5f7350"), (0.66, "8d9fae"), (0.8, "d9dde0"), (1.0, "9fb6cf")]
    picture(north, 2.15, 1.62, 0.95, 0.6, hills, plain("2a1d14"))
    cupboard(spot(walls["east"], 2.9), oak, 1.7, 0.6, 2.05, 3)
    warm = [(0.2, "3a1f1c"), (0.45, "a3452f"), (0.6, "d9a45b"), (0.9, "efe3c4")]
    picture(walls["east"], 1.2, 1.5, 0.42, 0.56, warm, plain("1d1d1d"), 0.9)
    shelf(spot(walls["south"], 2.35), oak, 0.9, 0.28, 1.85, 5)
    picture(walls["south"], 3.45, 1.55, 0.5, 0.4, hills, oak, 0.7)
    desk = spot(walls["west"], 0.85, -0.01)
    table(desk, oak, 1.2, 0.6, 0.74)
    television(spot(desk, -0.1, 0.05, 0, 0.74), 0.52)
    box(desk, plain("202124"), (-0.3, -0.5, 0.74), (0.12, -0.36, 0.755))
    stack(desk, 0.4, -0.35, 0.74, 5)
    mug(desk, 0.3, -0.15, 0.74)
    seat = spot(desk, 0.05, -0.95, 172)
    chair(seat, dark, fabric("4a4440", "5a534d"))
    drape(seat, fabric("7c3b38", "8c4a44"), (0.06, -0.3, 0.56), (0.62, 0.5), 0.025, 0.004, 18)
    rug = striped("8a4f3d", "c2ab86", 11, 0.35)
    sheet(spot(None, 2.2, 1.6), rug, lambda u, v: (u * 1.9 - 0.95, v * 1.3 - 0.65, 0.012), 20, 14)
    basket = spot(None, 3.75, 3.5)
    profile = [(0, 0), (0.2, 0), (0.24, 0.5), (0.22, 0.5), (0.18, 0.1)]
    lathe(basket, fabric("8f7a55", "a8926a", 60), (0, 0, 0), profile)
    pillow(basket, fabric("b5b8bd", "c5c8cc"), (0, 0, 0.46), (0.36, 0.38, 0.04), (14, 9, 30))
    carton(spot(None, 1.5, 0.65, 17))
    ceiling_light(2.1, 2.2, 2.55, 45)
    return [
        ((0.75, 0.75, 1.5), (2.5, 4.0, 0.75)),
        ((1.15, 1.9, 1.5), (2.6, 4.5, 0.72)),
        ((3.3, 1.1, 1.5), (1.1, 3.9, 0.8)),
        ((3.2, 3.0, 1.4), (0.3, 1.3, 0.85)),
        ((1.2, 3.6, 1.5), (2.3, 0.3, 0.85)),
        ((0.6, 2.2, 1.45), (3.6, 3.7, 0.8)),
    ]


def living_room():
    """Sofa corner, dining table and a kitchen wall in one long room."""
    west, north = (1.9, 3.6, 0.75, 2.15), (4.4, 5.9, 0.9, 2.15)
    boards = bricks("8a6848", "b3936c", "3a2818", (1.1, 0.1), 0.0025, 0.3, 0.7)
    holes = {"west": [west], "north": [north], "south": [(1.2, 2.05, 0, 2.05)]}
    walls = shell(6.6, 5.0, 2.6, "d3cdbb", boards, holes)
    oak, walnut, white = wood("78583a", "9c7a54"), wood("3f2819", "5d3c25"), paint("e2dfd6", 0.45)
    window(walls["west"], west, sheer("b9a98c", 0.35), 160)
    window(walls["north"], north, sheer("8c5a48", 0.3), 120)
    door(walls["south"], 1.2, 2.05, 2.05, wood("8d6540", "a87d55"), white)
    couch = spot(walls["north"], 2.0, -0.06)
    red, cream = fabric("7e2f2a", "93403a"), striped("d5cbb5", "6b7f88", 7, 0.4)
    sofa(couch, fabric("5d6158", "6d7167"), 3, (red, cream))
    throw = striped("c2a877", "7a5a3c", 8, 0.3)
    drape(couch, throw, (0.92, -0.5, 0.92), (0.75, 1.15), 0.026, 0.006, 6)
    hills = [(0.3, "3a4a38"), (0.48, "7f8f6a"), (0.6, "b9a77c"), (0.75, "cfd8dd"), (1.0, "8fa9c4")]
    sea = [(0.25, "24364a"), (0.5, "44708a"), (0.62, "c9d3cf"), (0.9, "e9dfc8")]
    picture(walls["north"], 1.5, 1.6, 0.7, 0.52, hills, oak)
    picture(walls["north"], 2.35, 1.58, 0.5, 0.62, sea, plain("1c1a18"), 0.9)
    floor_lamp(spot(walls["north"], 0.4, -0.4))
    low = spot(None, 2.0, 3.65)
    table(low, walnut, 1.1, 0.6, 0.42)
    stack(low, -0.3, -0.25, 0.42, 4)
    stack(low, 0.1, -0.42, 0.42, 1)
    mug(low, 0.25, -0.2, 0.42, "c9c4b8")
    bowl = [(0, 0), (0.05, 0), (0.13, 0.07), (0.12, 0.07), (0.05, 0.015), (0, 0.015)]
    lathe(low, plain("4f6a72", 0.2), (0.38, -0.38, 0.42), bowl)
    rug = striped("9c8f7a", "5c3f36", 13, 0.3)
    sheet(spot(None, 2.0, 3.3), rug, lambda u, v: (u * 2.4 - 1.2, v * 1.7 - 0.85, 0.012), 20, 14)
    side = spot(walls["south"], 4.55)
    cupboard(side, walnut, 1.6, 0.45, 0.5, 2, 2)
    television(spot(side, 0.05, 0, 0, 0.5))
    stack(side, -0.68, -0.2, 0.5, 4)
    shelf(spot(walls["west"], 1.0), oak, 1.1, 0.3, 2.0, 6)
    plant(spot(None, 3.65, 4.6), 1.15)
    dining = spot(None, 5.1, 4.0)
    table(dining, oak, 1.4, 0.85, 0.75)
    cloth = fabric("6a5a48", "7c6b57")
    for x, y, turn in ((-0.35, -1.05, 180), (0.38, -0.98, 172), (-0.33, 0.2, 3), (0.36, 0.25, -6)):
        chair(spot(dining, x, y, turn), walnut, cloth)
    lathe(dining, plain("b8b2a2", 0.3), (0.1, -0.4, 0.75), bowl)
    for i in range(5):
        at = (0.1 + 0.045 * math.cos(i * 1.3), -0.4 + 0.045 * math.sin(i * 1.3), 0.83 - 0.005 * i)
        ball = [(0.037 * math.sin(a * 0.393), -0.037 * math.cos(a * 0.393)) for a in range(9)]
        lathe(dining, surface("9a4a1c", "c8752a", 8, rough=0.4), at, ball, 20)
    mug(dining, -0.4, -0.3, 0.75, "8a9aa0")
    stack(dining, -0.3, -0.6, 0.75, 2)
    kitchen(walls["east"], 2.3, 4.7)
    fridge = spot(walls["east"], 1.85)
    cupboard(fridge, plain("d5d5d2", 0.35), 0.62, 0.65, 1.75, 1, 2)
    for x, z, colour in ((-0.2, 1.35, "e9e4d0"), (0.02, 1.42, "c9d6df"), (-0.15, 1.12, "e0b04c")):
        box(fridge, paint(colour), (x, -0.653, z), (x + 0.15, -0.65, z + 0.2), 0, 2, (0, x * 20, 0))
    sofa(spot(walls["west"], 2.75, -0.16, 8), fabric("7a4a35", "8b5a43"), 1, (cream,))
    chest = spot(walls["south"], 2.95)
    cupboard(chest, oak, 0.9, 0.42, 0.85, 2, 3)
    table_lamp(chest, -0.25, -0.2, 0.85, 1.15, 16, "8a4b3a")
    stack(chest, 0.2, -0.2, 0.85, 5)
    picture(walls["south"], 3.0, 1.7, 0.5, 0.4, hills, walnut)
    picture(walls["south"], 4.55, 1.75, 0.9, 0.55, sea, oak, 0.9)
    carton(spot(None, 2.95, 1.0, -15))
    pillow(None, fabric("2f4866", "3d587a"), (3.5, 1.75, 0.09), (0.5, 0.5, 0.05), (2, -3, 30))
    stack(spot(None, 1.5, 1.7, 40), 0, 0, 0, 3)
    lamp(None, "SUN", (0, 0, 5), 7.0, (1.0, 0.88, 0.72), 0.02, (0, -54, 8))
    stack(spot(None, 1.0, 0.75), 0, 0, 0, 6)
    ceiling_light(1.9, 2.4, 2.6, 45)
    ceiling_light(5.0, 2.0, 2.6, 55)
    return [
        ((3.3, 1.2, 1.5), (1.5, 4.8, 0.7)),
        ((1.6, 1.6, 1.4), (2.2, 4.8, 0.65)),
        ((3.7, 3.3, 1.4), (0.2, 1.9, 0.75)),
        ((2.3, 3.0, 1.5), (5.6, 4.0, 0.85)),
        ((3.8, 2.6, 1.5), (6.5, 1.3, 0.95)),
        ((1.3, 3.9, 1.5), (2.9, 0.3, 0.75)),
    ]


# ---------------------------------------------------------------- camera and pictures
def start(size, samples):
    """An empty scene, ready for Cycles, with the camera's intrinsics."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    CLOTHS.clear()
    SOLIDS.clear()
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.seed = samples, 5
    scene.cycles.use_denoising = has_denoiser()
    scene.cycles.samples *= 1 if has_denoiser() else 8  # a Blender built without it
    scene.cycles.max_bounces, scene.cycles.diffuse_bounces = 6, 5
    scene.cycles.use_adaptive_sampling, scene.cycles.adaptive_threshold = True, 0.03
    scene.cycles.sample_clamp_indirect, scene.cycles.caustics_reflective = 6.0, False
    scene.render.resolution_x, scene.render.resolution_y = size, size * HEIGHT // WIDTH
    scene.view_settings.view_transform, scene.view_settings.look = "Filmic", "Medium High Contrast"
    scene.view_settings.exposure = 0.2
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.data.sensor_fit, camera.data.sensor_width = "HORIZONTAL", 36.0
    camera.data.lens, camera.data.clip_start = 36.0 * FOCAL / WIDTH, 0.05
    scene.camera = link(camera, None)
    return scene


def has_denoiser():
    import _cycles

    return _cycles.with_openimagedenoise


def aim(camera, eye, target):
    """Look from eye to target with the small roll of a hand."""
    look = Vector(target) - Vector(eye)
    roll = Matrix.Rotation(math.radians(RNG.uniform(-1.5, 1.5)), 4, "Z")
    camera.matrix_world = (
        Matrix.Translation(eye) @ look.to_track_quat("-Z", "Y").to_matrix().to_4x4() @ roll
    )


def read(path, channels):
    """The pixels of an image file as rows from the top."""
    image = bpy.data.images.load(str(path))
    pixels = np.empty(image.size[0] * image.size[1] * image.channels, np.float32)
    image.pixels.foreach_get(pixels)
    return pixels.reshape(image.size[1], image.size[0], image.channels)[::-1, :, :channels]


def blur(pixels, side=0.17):
    wide = np.pad(pixels, ((1, 1), (1, 1), (0, 0)), "edge")
    for axis in (0, 1):
        around = np.roll(wide, 1, axis) + np.roll(wide, -1, axis)
        wide = (1 - 2 * side) * wide + side * around
    return wide[1:-1, 1:-1]


def develop(source, target, number):
    """What a cheap colour camera adds: softness, vignetting, noise and JPEG."""
    pixels = blur(read(source, 3))
    height, width, _ = pixels.shape
    y, x = np.mgrid[-0.75 : 0.75 : height * 1j, -1 : 1 : width * 1j]
    grain = np.random.default_rng(number)
    speckle = grain.normal(0, 0.008, (height, width, 1))
    tint = blur(grain.normal(0, 0.014, pixels.shape))
    pixels = np.clip(pixels * (1 - 0.1 * (x * x + y * y))[..., None] + speckle + tint, 0, 1)
    image = bpy.data.images.new("frame", width, height)
    opaque = np.dstack((pixels, np.ones((height, width))))
    image.pixels.foreach_set(opaque[::-1].astype(np.float32).ravel())
    image.file_format, image.filepath_raw = "JPEG", str(target)
    image.save(quality=88)


def depth_output(scene, folder):
    """Write the Z pass of each frame to folder as EXR."""
    scene.view_layers[0].use_pass_z = True
    scene.use_nodes = True
    nodes = scene.node_tree.nodes
    layers, out = nodes["Render Layers"], nodes.new("CompositorNodeOutputFile")
    out.base_path, out.format.file_format, out.format.color_depth = str(folder), "OPEN_EXR", "32"
    scene.node_tree.links.new(layers.outputs["Depth"], out.inputs[0])
    out.file_slots[0].path = "depth"


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("output", type=Path)
    options.add_argument("--size", type=int, default=WIDTH)
    options.add_argument("--samples", type=int, default=36)
    options.add_argument("--only", default="", help="numbers of the frames, e.g. 1,2")
    options.add_argument("--depth", type=Path, help="folder for exact depth (metres, NN.npy)")
    args = options.parse_args(sys.argv[sys.argv.index("--") + 1 :])
    wanted = {int(n) for n in args.only.split(",") if n}
    args.output.mkdir(parents=True, exist_ok=True)
    number = 0
    for room in (bedroom, living_room):
        first = number + 1
        scene = start(args.size, args.samples)
        views = room()
        number += len(views)
        if wanted and not wanted & set(range(first, number + 1)):
            continue
        settle()
        for index, (eye, target) in enumerate(views, first):
            aim(scene.camera, eye, target)
            if not wanted or index in wanted:
                shoot(scene, args, index)


def shoot(scene, args, index):
    with tempfile.TemporaryDirectory() as folder:
        if args.depth:
            depth_output(scene, folder)
        scene.render.filepath = f"{folder}/frame.png"
        bpy.ops.render.render(write_still=True)
        develop(scene.render.filepath, args.output / f"{index:02d}.jpg", index)
        if args.depth:
            args.depth.mkdir(parents=True, exist_ok=True)
            exr = next(Path(folder).glob("depth*.exr"))
            np.save(args.depth / f"{index:02d}.npy", read(exr, 1)[..., 0])


if __name__ == "__main__":
    main()
