"""A camera that paints a scene and its label at once; used by `scene.py`."""

import numpy as np

from files.opencv import cv2

HEIGHT, WIDTH = 480, 640

# The 32 classes of CamSeq01 (Fauqueur, Brostow, Cipolla 2007) and their RGB colours.
LABEL_COLORS = {
    "Animal": (64, 128, 64),
    "Archway": (192, 0, 128),
    "Bicyclist": (0, 128, 192),
    "Bridge": (0, 128, 64),
    "Building": (128, 0, 0),
    "Car": (64, 0, 128),
    "CartLuggagePram": (64, 0, 192),
    "Child": (192, 128, 64),
    "Column_Pole": (192, 192, 128),
    "Fence": (64, 64, 128),
    "LaneMkgsDriv": (128, 0, 192),
    "LaneMkgsNonDriv": (192, 0, 64),
    "Misc_Text": (128, 128, 64),
    "MotorcycleScooter": (192, 0, 192),
    "OtherMoving": (128, 64, 64),
    "ParkingBlock": (64, 192, 128),
    "Pedestrian": (64, 64, 0),
    "Road": (128, 64, 128),
    "RoadShoulder": (128, 128, 192),
    "Sidewalk": (0, 0, 192),
    "SignSymbol": (192, 128, 128),
    "Sky": (128, 128, 128),
    "SUVPickupTruck": (64, 128, 192),
    "TrafficCone": (0, 0, 64),
    "TrafficLight": (0, 64, 64),
    "Train": (192, 64, 128),
    "Tree": (128, 128, 0),
    "Truck_Bus": (192, 128, 192),
    "Tunnel": (64, 0, 64),
    "VegetationMisc": (192, 192, 0),
    "Void": (0, 0, 0),
    "Wall": (64, 192, 0),
}

# Colours are shared between classes on purpose, so that colour is no substitute for
# shape and place: paint for cars, clothes, doors and signs; stone for buildings,
# ground, fences and poles.
PAINT = [(170, 40, 40), (40, 70, 150), (225, 225, 220), (40, 42, 48), (200, 165, 50)]
PAINT += [(60, 110, 70), (130, 135, 140), (90, 160, 190), (180, 100, 60), (95, 60, 110)]
STONE = [(150, 145, 135), (165, 95, 75), (200, 190, 165), (115, 115, 120)]
STONE += [(185, 150, 110), (95, 105, 115), (210, 205, 200), (140, 165, 190)]
LEAF = [(70, 105, 45), (45, 80, 45), (110, 125, 55), (165, 110, 50), (95, 100, 70)]
ASPHALT = [(95, 95, 98), (120, 118, 112), (80, 84, 92), (135, 130, 125)]
SKIES = [  # colour at the top, colour at the horizon, strength of the sun
    ((90, 140, 205), (195, 215, 230), 1.0),
    ((120, 165, 215), (220, 225, 225), 0.8),
    ((165, 170, 178), (205, 207, 210), 0.0),
    ((205, 208, 212), (225, 225, 222), 0.15),
    ((95, 105, 150), (235, 180, 140), 0.7),
]


class Canvas:
    """A camera with its light, the image it takes and the label of that image."""

    def __init__(self, rng):
        self.rng = rng
        # The fourth channel is the strength of the surface texture, see `expose`.
        self.image = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
        self.label = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        self.focal = rng.uniform(430, 600)
        self.eye = np.array([0, rng.uniform(1.3, 2.6), 0])
        self.horizon = rng.uniform(175, 245)
        self.centre = WIDTH / 2 + rng.uniform(-60, 90)
        self.curve = rng.choice([-1, 1]) * rng.uniform(0, 0.003)  # of the street, 1/m
        self.zenith, self.haze, sun = SKIES[rng.integers(len(SKIES))]
        self.haze_distance = rng.uniform(120, 500)
        self.sun_strength = sun
        direction = np.array([rng.uniform(-1, 1), rng.uniform(0.6, 1.3), -0.4])
        self.sun = direction / np.sqrt(direction @ direction)

    def project(self, points):
        """Pixels (..., 2) of points (..., 3) in metres; z must be positive."""
        points = np.asarray(points, float)
        z = points[..., 2]
        pixels = np.empty((*points.shape[:-1], 2))
        right = points[..., 0] + self.curve * z * z  # the street bends, not the camera
        pixels[..., 0] = self.centre + self.focal * right / z
        pixels[..., 1] = self.horizon + self.focal * (self.eye[1] - points[..., 1]) / z
        return pixels

    def fill(self, points, color, name, grain=0):
        """Fill polygons (K, 3) or (N, K, 3), which must not overlap, in both pictures."""
        z = np.mean(np.asarray(points)[..., 2])
        haze = z / (z + self.haze_distance)
        color = np.multiply(color, 1 - haze) + np.multiply(self.haze, haze)
        self.fill_pixels(self.project(points), color, name, grain * (1 - haze))

    def fill_pixels(self, pixels, color, name, grain=0):
        """As `fill`, for pixels (K, 2) or (N, K, 2)."""
        pixels = np.rint(np.asarray(pixels) * 16).astype(np.int32)  # 1/16, so shift 4
        polygons = pixels.reshape(-1, *pixels.shape[-2:])
        ink = [int(c) for c in np.clip((*color, grain), 0, 255)]
        cv2.fillPoly(self.image, polygons, ink, shift=4)
        cv2.fillPoly(self.label, polygons, LABEL_COLORS[name], shift=4)

    def fill_solid(self, section, sweep, color, name, grain=0):
        """Fill the visible faces of the prism that a polygon (K, 3) sweeps, sunlit."""
        other = section + np.asarray(sweep, float)
        after = np.roll(section, -1, axis=0), np.roll(other, -1, axis=0)
        faces = [section, other, *np.stack((section, *after, other), axis=1)]
        middle = (section.mean(axis=0) + other.mean(axis=0)) / 2
        visible = []
        for face in faces:
            centre = face.mean(axis=0)
            normal = np.cross(face[1] - face[0], face[2] - face[1])
            normal *= np.sign(normal @ (centre - middle)) / np.sqrt(normal @ normal)
            view = centre - self.eye
            if normal @ view < 0:
                visible.append((view @ view, self.lit(color, normal), face))
        for _, shade, face in sorted(visible, key=lambda item: -item[0]):
            self.fill(face, shade, name, grain)

    def lit(self, color, normal):
        """The colour of a surface in this scene's light."""
        direct = self.sun_strength * max(0.0, float(self.sun @ np.asarray(normal)))
        return np.multiply(color, 0.72 + 0.12 * normal[1] + 0.4 * direct)

    def pick(self, palette, spread=20):
        """A random RGB colour between two of a palette."""
        one, two = self.rng.choice(palette, 2)
        mixed = one + (two - one) * self.rng.uniform(0, 0.6)
        return mixed + self.rng.uniform(-spread, spread) + self.rng.uniform(-6, 6, 3)


def disc(x, y, z, rx, ry=None, n=16):
    """An upright ellipse that faces the camera, as a polygon (n, 3)."""
    angle = np.arange(n) * (2 * np.pi / n)
    ry = rx if ry is None else ry
    return np.stack((x + rx * np.cos(angle), y + ry * np.sin(angle), 0 * angle + z), 1)


def rod(x0, y0, x1, y1, z, width):
    """A straight bar that faces the camera, as a polygon (4, 3)."""
    length = np.hypot(x1 - x0, y1 - y0)
    dx, dy = (y1 - y0) / length * width / 2, (x0 - x1) / length * width / 2
    across, start, end = np.array([(dx, dy, 0), (x0, y0, z), (x1, y1, z)])
    return np.array([start - across, start + across, end + across, end - across])


def ground(x0, x1, z0, z1, n=6):
    """A strip of ground along the street, as a polygon (2 n, 3) that follows the bend."""
    z = z0 * (z1 / z0) ** (np.arange(n) / (n - 1))
    left = np.stack((0 * z + x0, 0 * z, z), axis=1)
    return np.concatenate((left, (left + (x1 - x0, 0, 0))[::-1]))


def smooth_noise(rng, across, down):
    """Noise float32 (HEIGHT, WIDTH) in [-1, 1]; its blobs are (across, down) pixels."""
    shape = (HEIGHT // down + 2, WIDTH // across + 2)
    coarse = rng.integers(0, 256, shape, dtype=np.uint8)
    size = (shape[1] * across, shape[0] * down)
    fine = cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR_EXACT)
    return fine[:HEIGHT, :WIDTH] / np.float32(127.5) - 1


def cast_shadows(canvas, footprints):
    """Darken the ground beside boxes (x0, x1, z0, z1, height); the label stays."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    shift = -canvas.sun[[0, 2]] / canvas.sun[1] if canvas.sun_strength > 0.2 else (0, 0)
    for x0, x1, z0, z1, height in footprints:
        base = np.array([(x0, 0, z0), (x1, 0, z0), (x1, 0, z1), (x0, 0, z1)])
        tip = base + np.multiply(height, [shift[0], 0, shift[1]])
        corners = np.concatenate((base, tip))
        corners[:, 2] = np.maximum(corners[:, 2], 1.0)
        hull = cv2.convexHull(np.rint(canvas.project(corners)).astype(np.int32))
        cv2.fillConvexPoly(mask, hull, 1)
    mask[: int(canvas.horizon)] = 0
    shaded = mask > 0
    dim = 0.7 - 0.25 * canvas.sun_strength
    canvas.image[shaded] = canvas.image[shaded] * [dim, dim, dim, 1]


def expose(canvas):
    """Image uint8 (H, W, 3) that a small camera would make of the painted one."""
    rng = canvas.rng
    grain = smooth_noise(rng, 4, 4) + smooth_noise(rng, 12, 9) + smooth_noise(rng, 2, 2)
    image = canvas.image[..., :3].astype(np.float32)
    image += (grain * canvas.image[..., 3] * np.float32(0.5))[..., None]
    # Exposure, white balance, contrast and uneven light change every colour.
    light = np.float32(rng.uniform(0.7, 1.2)) + np.float32(0.12) * smooth_noise(
        rng, 320, 240
    )
    tint = 1 + rng.uniform(-0.09, 0.09, 3)
    image *= light[..., None] * tint.astype(np.float32)
    image = 110 + (image - 110) * np.float32(rng.uniform(0.75, 1.1))
    image = cv2.GaussianBlur(np.clip(image, 0, 255).astype(np.uint8), (3, 3), 0)
    noise = rng.integers(-6, 7, image.shape, dtype=np.int16)
    return np.clip(image + noise, 0, 255).astype(np.uint8)
