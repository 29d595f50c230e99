"""What stands in a toy street: vehicles, people, trees, posts; used by `scene.py`."""

from typing import NamedTuple

import numpy as np

from dataset.toy_street.canvas import (
    ASPHALT,
    HEIGHT,
    LEAF,
    PAINT,
    STONE,
    WIDTH,
    disc,
    rod,
)

TYRE, RIM = (28, 28, 28), (130, 130, 130)
REAR_LAMP, HEAD_LAMP = (205, 35, 35), (255, 255, 235)


class Vehicle(NamedTuple):
    """A side view in metres along and up, from the rear end to the front end."""

    label: str
    outline: list  # without the underside; edge 0: rear window, edge 2: windscreen
    window: list
    axles: tuple
    width: float
    underside: float

    @property
    def length(self):
        return self.outline[-1][0]


VEHICLES = {
    "saloon": Vehicle(
        "Car",
        [(0, 0.95), (0.9, 1.4), (2.2, 1.4), (3.1, 0.95), (4.4, 0.8)],
        [(0.5, 0.98), (1.0, 1.3), (2.15, 1.3), (2.8, 0.96)],
        (0.8, 3.5),
        1.75,
        0.3,
    ),
    "hatchback": Vehicle(
        "Car",
        [(0, 0.95), (0.4, 1.5), (2.2, 1.5), (3.0, 0.98), (3.9, 0.85)],
        [(0.35, 1.0), (0.55, 1.4), (2.1, 1.4), (2.7, 1.0)],
        (0.7, 3.1),
        1.7,
        0.3,
    ),
    "van": Vehicle(
        "Car",
        [(0, 1.15), (0.1, 2.0), (3.6, 2.0), (4.3, 1.2), (4.9, 1.0)],
        [(2.6, 1.2), (2.6, 1.8), (3.5, 1.8), (4.0, 1.2)],
        (0.9, 4.0),
        1.95,
        0.35,
    ),
    "bus": Vehicle(
        "Truck_Bus",
        [(0, 1.5), (0.05, 3.0), (9.0, 3.0), (9.1, 1.3), (9.15, 0.9)],
        [(0.4, 1.5), (0.4, 2.5), (8.8, 2.5), (8.8, 1.5)],
        (2.0, 7.0),
        2.5,
        0.4,
    ),
}


def draw_vehicle(canvas, vehicle, x, z, heading):
    """A vehicle whose left near corner is at (x, z).

    heading: "away" and "toward" run along the street, "across" at right angles.
    """
    name, outline, window, axles, width, underside = vehicle
    length, across = vehicle.length, heading == "across"
    paint, glass = canvas.pick(PAINT), canvas.pick([(45, 50, 58), (95, 110, 120)], 12)

    def place(side_view, over):
        """Points (K, 3) of a side view that stands `over` metres from the left side."""
        along, up = np.transpose(side_view)
        along = length - along if heading == "toward" else along
        over = 0 * along + over
        right, ahead = (along, over) if across else (over, along)
        return np.stack((x + right, up, z + ahead), axis=1)

    if not across:
        for left in (0.15, width - 0.15):  # tyres, seen from the end
            tyre = rod(x + left, 0, x + left, 0.5, z + 0.3, 0.2)
            canvas.fill(tyre, TYRE, name)
    profile = [(0, underside), *outline, (length, underside)]
    body = place(profile, 0)
    canvas.fill_solid(body, place(profile, width) - body, paint, name, 4)
    seen = 0 if across or x + width / 2 > 0 else width
    canvas.fill(place(window, seen), glass, name, 6)
    for axle in axles:
        for radius, color in ((0.34, TYRE), (0.19, RIM)):
            wheel = disc(axle, 0.34, 0, radius)[:, :2]
            canvas.fill(place(wheel, seen), color, name)
    if across:
        return

    # The end that faces the camera: a window, two lamps, bumper and number plate.
    low, high = outline[:2] if heading == "away" else outline[3:1:-1]
    low, high = place([low, high], 0)
    low, high = low + 0.1 * (high - low), low + 0.85 * (high - low)
    screen = [low, low, high, high] + np.outer((0.12, 0.88, 0.86, 0.14), (width, 0, 0))
    canvas.fill(screen, glass, name, 6)
    middle, up = x + width / 2, 0.6 * low[1] + 0.1
    lamp = np.multiply(REAR_LAMP if heading == "away" else HEAD_LAMP, 0.9)
    for left in (0.12 * width, 0.88 * width):
        bar = rod(x + left - 0.15, up, x + left + 0.15, up, z, 0.16)
        canvas.fill(bar, lamp, name)
    plate = canvas.pick([(230, 230, 225), (220, 190, 60)])
    bumper = rod(x + 0.1, underside, x + width - 0.1, underside, z, 0.12)
    canvas.fill(bumper, paint * 0.5, name)
    canvas.fill(rod(middle - 0.25, 0.5, middle + 0.25, 0.5, z, 0.12), plate, name)


def draw_person(canvas, x, z, name="Pedestrian", seat=0.0):
    """Someone on foot or, with `seat` metres of lift, on a bicycle."""
    rng = canvas.rng
    s, step = rng.uniform(0.8, 1.05), rng.uniform(0.05, 0.25)
    coat, trousers = canvas.pick(PAINT + STONE), canvas.pick(PAINT + STONE)
    skin = canvas.pick([(225, 180, 150), (150, 105, 80), (95, 65, 50)], 8)
    hair = canvas.pick([(40, 32, 28), (120, 90, 55), (150, 145, 140), (60, 60, 90)])
    hip, neck = 0.85 * s + seat * 0.4, 1.48 * s + seat * 0.4
    for foot in (-step, step):
        canvas.fill(rod(x + foot, seat * 0.7, x, hip, z, 0.17 * s), trousers, name, 15)
    for hand in (-0.28, 0.28):
        arm = rod(x + hand * s, hip + 0.05, x + hand * 0.6, neck - 0.06, z, 0.12 * s)
        canvas.fill(arm, coat * 0.85, name, 15)
    canvas.fill(rod(x, hip - 0.1, x, neck, z, 0.42 * s), coat, name, 15)
    canvas.fill(disc(x, neck + 0.14 * s, z, 0.11 * s, 0.14 * s), skin, name)
    canvas.fill(disc(x, neck + 0.2 * s, z, 0.12 * s, 0.09 * s), hair, name)


def draw_bicyclist(canvas, x, z):
    turn = canvas.rng.choice([0.2, 1.0])  # seen from the end or from the side
    frame = canvas.pick(PAINT)
    for wheel in (-0.5, 0.5):
        rim = disc(x + wheel * turn, 0.34, z, 0.34 * turn, 0.34)
        hole = disc(x + wheel * turn, 0.34, z, 0.26 * turn, 0.26)
        # Two outlines in one call fill what is in one of them only: a ring.
        canvas.fill(np.stack((rim, hole)), TYRE, "Bicyclist")
    tubes = [(-0.5, 0.34, 0.3, 0.75), (-0.15, 0.85, 0, 0.3), (0.5, 0.34, 0.3, 1.0)]
    for x0, y0, x1, y1 in tubes:
        tube = rod(x + x0 * turn, y0, x + x1 * turn, y1, z, 0.06)
        canvas.fill(tube, frame, "Bicyclist")
    draw_person(canvas, x - 0.1 * turn, z, "Bicyclist", seat=0.4)


def draw_tree(canvas, x, z, height=None):
    rng = canvas.rng
    height = rng.uniform(4, 9) if height is None else height
    leaf, radius = canvas.pick(LEAF), height * rng.uniform(0.22, 0.36)
    bark = canvas.pick([(90, 75, 60), (110, 105, 95), (70, 60, 55)])
    canvas.fill(rod(x, 0, x, height * 0.6, z, 0.05 * height), bark, "Tree", 40)
    for turn in range(0, 24, 1 if z < 25 else 3):  # fewer clumps far away
        spot = rng.uniform(-1, 1, 2)
        spot /= max(1.0, np.hypot(*spot))
        bright = 0.72 + 0.02 * turn + 0.15 * spot[1] + 0.1 * canvas.sun[0] * spot[0]
        right, up = 0.8 * radius * spot[0], height * (0.68 + 0.27 * spot[1])
        clump = disc(x + right, up, z, radius * rng.uniform(0.25, 0.5), n=9)
        clump[:, :2] += rng.uniform(-0.06, 0.06, (9, 2)) * height
        canvas.fill(clump, leaf * bright, "Tree", 70)


def draw_lamp_post(canvas, x, z, arm):
    color, top = canvas.pick(ASPHALT + STONE), canvas.rng.uniform(4.5, 8)
    canvas.fill(rod(x, 0, x, top, z, 0.16), color, "Column_Pole", 8)
    canvas.fill(rod(x, top, x + arm, top + 0.2, z, 0.1), color, "Column_Pole", 8)
    canvas.fill(disc(x + arm, top + 0.15, z, 0.35, 0.12), color * 1.2, "Column_Pole")


def draw_sign(canvas, x, z):
    rng = canvas.rng
    high, size = rng.uniform(2.0, 2.9), rng.uniform(0.32, 0.5)
    post = canvas.pick(ASPHALT + STONE)
    canvas.fill(rod(x, 0, x, high, z, 0.1), post, "Column_Pole", 8)
    corners = rng.choice([3, 4, 8, 16])  # warning, plate, stop, order
    rim, board = canvas.pick(PAINT), canvas.pick(PAINT)
    plate = disc(0, 0, 0, size, n=corners)
    if corners == 3:
        plate = plate[:, [1, 0, 2]]  # a tip up
    if corners == 4:
        plate = rod(-1.3 * size, 0, 1.3 * size, 0, 0, 1.5 * size)
    for scale, color in ((1.0, rim), (0.78, board)):
        canvas.fill(plate * scale + [x, high, z], color, "SignSymbol", 4)
    bar = rod(x - size * 0.4, high, x + size * 0.4, high, z, size * 0.2)
    canvas.fill(bar, rim * 0.7, "SignSymbol")


def draw_traffic_light(canvas, x, z):
    rng = canvas.rng
    high = rng.uniform(2.4, 3.4)
    post = canvas.pick(ASPHALT + STONE)
    canvas.fill(rod(x, 0, x, high, z, 0.13), post, "Column_Pole", 8)
    case = canvas.pick([(35, 38, 40), (60, 75, 60), (190, 160, 50)])
    canvas.fill(rod(x, high - 0.1, x, high + 1.1, z, 0.46), case, "TrafficLight", 5)
    on = rng.integers(3)
    for lamp, color in enumerate(((60, 220, 120), (250, 190, 60), (245, 60, 50))):
        color = np.multiply(color, 1.0 if lamp == on else 0.25)
        canvas.fill(disc(x, high + 0.15 + 0.35 * lamp, z, 0.14), color, "TrafficLight")


def draw_bonnet(canvas):
    """The camera's own car, which is nothing to learn: Void."""
    rng = canvas.rng
    top, shift = HEIGHT - rng.uniform(10, 34), rng.uniform(-60, 60)
    bonnet = disc(WIDTH / 2 + shift, HEIGHT + 60, 0, 420, HEIGHT + 60 - top, n=64)
    canvas.fill_pixels(bonnet[:, :2], canvas.pick(PAINT) * 0.7, "Void", 4)
