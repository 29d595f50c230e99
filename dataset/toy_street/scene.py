"""Draw one toy street scene with its label; called by `demo_data.py`.

A pinhole camera stands in the lane of a street. Everything is placed in metres
(x right, y up, z ahead, the origin on the road below the camera) and painted from
far to near, the same polygon into the image and into the label.
"""

from functools import partial
from itertools import pairwise

import numpy as np

from dataset.toy_street import objects
from dataset.toy_street.canvas import (
    ASPHALT,
    LABEL_COLORS,
    LEAF,
    PAINT,
    STONE,
    WIDTH,
    Canvas,
    cast_shadows,
    disc,
    expose,
    ground,
    smooth_noise,
)

GLASS = [(50, 60, 75), (90, 110, 130), (200, 180, 120), (150, 170, 185)]


def draw_sky(canvas):
    rng = canvas.rng
    canvas.label[:] = LABEL_COLORS["Sky"]
    rows = int(canvas.horizon) + 1
    down = np.linspace(0, 1, rows, dtype=np.float32)[:, None, None]
    zenith, haze = np.float32(canvas.zenith), np.float32(canvas.haze)
    cloud = smooth_noise(rng, 96, 32)[:rows] + smooth_noise(rng, 32, 12)[:rows] / 2
    cover = np.clip(cloud + np.float32(rng.uniform(-0.3, 0.6)), 0, 1)[..., None] * 0.8
    sky = zenith + (haze - zenith) * down
    canvas.image[:rows, :, :3] = sky + (np.minimum(haze * 1.1, 250) - sky) * cover


def draw_ground(canvas, left, right, lane, crossings):
    """Pavement everywhere, then the carriageway, side streets and markings."""
    rng = canvas.rng
    pavement, asphalt = canvas.pick(ASPHALT + STONE), canvas.pick(ASPHALT)
    paint = canvas.pick([(225, 225, 220), (190, 190, 185), (215, 190, 90)])
    kerb = pavement * rng.uniform(0.75, 1.25)
    slab, grain = rng.uniform(0.6, 1.5), rng.uniform(8, 26)
    steps = 1.0 * 150 ** (np.arange(17) / 16)  # strips of one haze each
    for near, far in reversed(list(pairwise(steps))):
        canvas.fill(ground(-150, 150, near, far, 2), pavement, "Sidewalk", 25)
        canvas.fill(ground(left, right, near, far), asphalt, "Road", grain)
    for x0, x1 in ((left - 8, left), (right, right + 8)):
        for z in np.arange(2, 25, slab):
            joint = ground(x0, x1, z, z + 0.03, 2)
            canvas.fill(joint, pavement * 0.8, "Sidewalk", 20)
    for x0, x1 in ((left - 0.2, left), (right, right + 0.2)):
        canvas.fill(ground(x0, x1, 1, 120, 20), kerb, "Sidewalk", 20)
    for x0, x1, near, far in crossings:  # over the kerb
        canvas.fill(ground(x0, x1, near, far), asphalt, "Road", grain)
    for _ in range(rng.integers(0, 4)):  # mended asphalt
        x, z = rng.uniform(left, right - 2), rng.uniform(3, 25)
        patch = ground(x, x + rng.uniform(0.8, 2), z, z + rng.uniform(1, 6))
        canvas.fill(patch, asphalt * rng.uniform(0.75, 1.15), "Road", grain)
    length, gap = rng.uniform(1.5, 4), rng.uniform(2, 5)
    for z in np.arange(rng.uniform(1, 4), 90, length + gap):
        dash = ground(-lane / 2 - 0.08, -lane / 2 + 0.08, z, z + length)
        canvas.fill(dash, paint, "LaneMkgsDriv", grain)
    if rng.random() < 0.5:  # lines along the edge
        for x in (left + 0.35, right - 0.35):
            line = ground(x - 0.06, x + 0.06, 1, 100, 16)
            canvas.fill(line, paint, "LaneMkgsDriv", grain)
    if rng.random() < 0.4:  # a zebra crossing
        z = rng.uniform(7, 18)
        for x in np.arange(left + 0.5, right - 0.6, 1.1):
            canvas.fill(ground(x, x + 0.55, z, z + 3), paint, "LaneMkgsDriv", grain)


def draw_skyline(canvas):
    """Far houses and trees that close the street."""
    rng, x = canvas.rng, -20.0
    while x < WIDTH:
        width, height = rng.uniform(15, 60), rng.uniform(12, 75)
        top, base = canvas.horizon - height, canvas.horizon + 9
        haze = rng.uniform(0.4, 0.7)
        name, palette = ("Building", STONE) if rng.random() < 0.6 else ("Tree", LEAF)
        color = canvas.pick(palette) * (1 - haze) + np.multiply(canvas.haze, haze)
        outline = [(x, base), (x, top), (x + width, top), (x + width, base)]
        if name == "Tree":
            crown = disc(x + width / 2, base, 0, width * 0.8, height)[:, :2]
            outline = np.minimum(crown, (WIDTH, base))
        canvas.fill_pixels(outline, color, name, 12)
        x += width * rng.uniform(0.7, 1.0)


def draw_building(canvas, x, side, near, far):
    """A house whose street front stands at x, from `near` to `far`."""
    rng = canvas.rng
    floors = int(rng.integers(2, 7))
    height, front, grain = floors * 3 + 0.8, far - near, rng.uniform(5, 45)
    wall = canvas.pick(STONE)
    corner = np.array([x, 0.0, near])
    if floors < 5:  # a pitched roof
        ridge = (side * 6, height + rng.uniform(2, 5), 0)
        gable = corner + [(-side * 0.3, height, 0), ridge, (side * 12, height, 0)]
        roof = canvas.pick(STONE + ASPHALT) * 0.85
        canvas.fill_solid(gable, (0, 0, front), roof, "Building", 40)
    facade = upright(x, near, far, 0, height)
    canvas.fill_solid(facade, (side * 12, 0, 0), wall, "Building", grain)
    glass = canvas.pick(GLASS)
    draw_windows(canvas, corner, np.array([0, 0, 1]), front, floors, wall, glass)
    draw_windows(canvas, corner, np.array([side, 0, 0]), 12, floors, wall, glass)
    if rng.random() < 0.5:  # a shop on the ground floor
        facing = (-side, 0, 0)
        paint = canvas.lit(canvas.pick(PAINT), facing)
        canvas.fill(upright(x, near, far, 0, 3), paint, "Building", 8)
        for z in np.arange(near + 0.4, far - 2, 2.4):
            pane = upright(x, z, z + 2, 0.6, 2.3)
            canvas.fill(pane, canvas.lit(glass * 0.8, facing), "Building", 8)


def draw_windows(canvas, corner, along, length, floors, wall, glass):
    """Rows of windows on the wall that runs from a corner for `length` metres."""
    rng = canvas.rng
    columns = max(1, int(length / rng.uniform(1.8, 3.2)))
    half = length / columns * rng.uniform(0.2, 0.38)
    right = (np.arange(columns) + 0.5) * (length / columns)
    up = 1.7 + 3.0 * np.arange(floors)
    middle = corner + right[:, None, None] * along + up[:, None] * [0, 1, 0]
    middle = middle.reshape(-1, 1, 3)
    facing = np.array([-np.sign(corner[0]), 0, 0]) if along[2] else (0, 0, -1)
    frame = wall * rng.uniform(0.6, 1.4)
    for color, grow in ((frame, 0.12), (glass, 0.0)):
        square = np.outer((-1, 1, 1, -1), along * (half + grow))
        square = square + np.outer((-1, -1, 1, 1), (0, 0.75 + grow, 0))
        canvas.fill(middle + square, canvas.lit(color, facing), "Building", 10)
    curtained = (middle + square)[rng.random(len(middle)) < 0.3]
    if len(curtained):
        canvas.fill(curtained, canvas.pick(STONE), "Building", 5)


def upright(x, near, far, low, high):
    """A rectangle that stands along the street, as a polygon (4, 3)."""
    return np.array([(x, low, near), (x, high, near), (x, high, far), (x, low, far)])


def draw_park(canvas, x, side, near, far):
    """Trees behind a fence."""
    rng = canvas.rng
    for z in np.arange(far, near, -rng.uniform(2.5, 4)):
        away = x + side * rng.uniform(1.5, 7)
        objects.draw_tree(canvas, away, max(z, 2.0), rng.uniform(3, 8))
    tall, color = rng.uniform(0.9, 1.9), canvas.pick(STONE + PAINT + LEAF)
    color = canvas.lit(color, (-side, 0, 0))
    canvas.fill(upright(x, near, far, 0, tall), color, "Fence", 15)
    post = color * rng.choice([0.6, 1.35])
    for z in np.arange(near, far - 0.1, rng.choice([0.35, 1.2, 2.0])):
        canvas.fill(upright(x, z, z + 0.08, 0, tall), post, "Fence", 10)


def plan_frontage(canvas):
    """What lines one side of the street: [(kind, near, far)], from here to the end."""
    rng, z, plan = canvas.rng, 1.0, []
    built = rng.uniform(0.4, 0.9)
    while z < 100:
        draw = rng.random()
        kind = "building" if draw < built else "park"
        length = rng.uniform(7, 18)
        if z > 12 and rng.random() < 0.15:
            kind, length = "street", rng.uniform(6, 8)
        plan.append((kind, z, z + length))
        z += length
    return plan


def render_scene(seed: int, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw scene number `index`; it depends on nothing else but the seed.

    Args:
        seed (int): of the whole set, not negative.
        index (int): of the scene in the set, not negative.

    Returns:
        tuple: image uint8 (480, 640, 3), RGB; label uint8 (480, 640, 3), RGB, every
        pixel exactly one of `LABEL_COLORS`.
    """
    rng = np.random.default_rng([seed, index])
    canvas = Canvas(rng)
    lane = rng.uniform(2.8, 3.6)
    right = lane / 2 + rng.choice([0.3, 2.2])
    left = -1.5 * lane - rng.choice([0.3, 2.2])
    items, footprints, crossings = [], [], []

    def add(z, draw, *args, box=None):
        items.append((z, partial(draw, canvas, *args)))
        if box:
            footprints.append(box)

    for side, kerb in ((-1, left), (1, right)):
        walk = rng.uniform(2, 4.5)
        front = kerb + side * walk
        for kind, near, far in plan_frontage(canvas):
            if kind == "street":
                crossings.append((*sorted((kerb, kerb + side * 80)), near, far))
                if near < 40:  # a car comes out of the side street or goes in
                    x = kerb + rng.uniform(-4, 6)
                    add_vehicle(rng, add, x, near + 1.5, "across")
            else:
                draw = draw_building if kind == "building" else draw_park
                box = (*sorted((front, front + side * 8)), near, far, 8)
                # Street furniture beside a house is nearer than its far corner.
                add(far, draw, front, side, near, far, box=box)
        add_furniture(rng, add, side, kerb, walk)
        if rng.random() < 0.6:  # parked cars
            z = rng.uniform(4, 14)
            while z < 60 and abs(kerb) > 2.5:
                x, heading = (kerb - 1.9, "away") if side > 0 else (kerb, "toward")
                z += add_vehicle(rng, add, x, z, heading) + rng.uniform(1, 11)
    add_traffic(rng, add, lane)

    draw_sky(canvas)
    draw_ground(canvas, left, right, lane, crossings)
    cast_shadows(canvas, footprints)
    draw_skyline(canvas)
    for _, draw in sorted(items, key=lambda item: -item[0]):
        draw()
    if rng.random() < 0.6:
        objects.draw_bonnet(canvas)
    image, label = expose(canvas), canvas.label
    if rng.random() < 0.5:  # traffic on the left
        image, label = image[:, ::-1], label[:, ::-1]
    return np.ascontiguousarray(image), np.ascontiguousarray(label)


def add_traffic(rng, add, lane):
    """Vehicles that drive in both lanes."""
    for x, heading in ((-0.9, "away"), (-lane - 0.9, "toward")):
        z = rng.uniform(7, 30)
        while z < 70:
            z += add_vehicle(rng, add, x + rng.uniform(-0.3, 0.3), z, heading)
            z += rng.uniform(6, 40)


def add_vehicle(rng, add, x, z, heading):
    """Add any vehicle; returns its length."""
    kinds = objects.VEHICLES
    vehicle = kinds[rng.choice(list(kinds), p=[0.35, 0.35, 0.18, 0.12])]
    size = vehicle.width, vehicle.length
    wide, deep = size[::-1] if heading == "across" else size
    height = vehicle.outline[1][1]
    box = (x, x + wide, z, z + deep, height)
    add(z, objects.draw_vehicle, vehicle, x, z, heading, box=box)
    return vehicle.length


def add_furniture(rng, add, side, kerb, walk):
    """Posts, signs, trees and people along one pavement."""
    edge = kerb + side * 0.5
    for z in np.arange(rng.uniform(6, 16), 70, rng.uniform(14, 26)):
        add(z, objects.draw_lamp_post, edge, z, -side * rng.uniform(0.5, 1.6))
    for z in rng.uniform(6, 30, rng.integers(0, 3)):
        add(z, objects.draw_sign, edge + side * 0.2, z)
    for z in rng.uniform(7, 25, rng.integers(0, 2)):
        add(z, objects.draw_traffic_light, edge, z)
    if rng.random() < 0.4:
        for z in np.arange(rng.uniform(7, 14), 60, rng.uniform(8, 14)):
            crown = (edge - 1, edge + 1, z, z + 2, 5)
            add(z, objects.draw_tree, edge + side * 0.4, z, box=crown)
    for z in rng.uniform(5, 30, rng.integers(1, 6)):
        x = kerb + side * rng.uniform(0.5, walk - 0.4)
        add(z, objects.draw_person, x, z, box=(x - 0.2, x + 0.2, z, z + 0.2, 1.7))
    if rng.random() < 0.35:
        z, x = rng.uniform(6, 18), kerb - side * rng.uniform(0.6, 1.2)
        add(z, objects.draw_bicyclist, x, z, box=(x - 0.3, x + 0.3, z, z + 0.3, 1.7))
