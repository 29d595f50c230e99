"""Sizes, costs and receptive fields of the network's layers; learn.py prints and shows them.

The page computes the same for a size that its reader enters (learning/page/layers.js).
"""

import math
from typing import NamedTuple

import chainer

from fcn_squeeze import FCN
from files.text_table import align

PHOTO = "photo"
_POOLING = {"ksize": 3, "stride": 2}  # all max pooling of the network
# The sizes of the receptive fields of neighbouring outputs repeat after so many outputs.
_PERIOD = 16


class Layer(NamedTuple):
    """A layer's geometry.

    Args:
        name (str): as the attribute of the model; "fire2/conv1" is inside fire2.
        kind (str): "conv", "pool", "deconv", or "concat" (joins maps, computes nothing).
        inputs (tuple of str): the layers that it reads; PHOTO is the image.
        in_maps, maps (int): channels of its input and of its output.
        ksize, stride, pad, dilate (int): of a deconvolution, pad is cut off the output.
        parameters (int): weights and biases.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    in_maps: int
    maps: int
    ksize: int = 1
    stride: int = 1
    pad: int = 0
    dilate: int = 1
    parameters: int = 0

    def out_size(self, n: int) -> int:
        """Side of the output for side n of the input, by the chapter's formulas.

        Pooling rounds up where convolution rounds down (Chainer's ``cover_all=True``).
        """
        if self.kind == "deconv":
            return self.stride * (n - 1) + self.ksize - 2 * self.pad
        reach = n - self.dilate * (self.ksize - 1) - 1 + 2 * self.pad
        steps = reach / self.stride
        return (math.ceil(steps) if self.kind == "pool" else math.floor(steps)) + 1

    def multiplications(self, size: tuple[int, int], out: tuple[int, int]) -> int:
        """Products of an input (H, W) with the weights.

        A convolution reads the kernel once for each output pixel, a deconvolution writes it once
        for each input pixel.
        """
        if self.kind not in ("conv", "deconv"):
            return 0
        height, width = size if self.kind == "deconv" else out
        return height * width * self.ksize**2 * self.in_maps * self.maps


class Row(NamedTuple):
    """What a layer makes of an image of one size.

    Args:
        layer (Layer): its geometry.
        size, out (tuple of int): (H, W) of its input and of its output.
        multiplications (int): for one image.
        map_bytes (int): of its output, float32, for one image.
        field (int): side of the receptive field, in pixels of the photo.
        jump (float): pixels of the photo between neighbouring pixels of its output.
        start (float): row (and column) of the photo, from 0, on which the receptive field of the
            output's first pixel is centred.
    """

    layer: Layer
    size: tuple[int, int]
    out: tuple[int, int]
    multiplications: int
    map_bytes: int
    field: int
    jump: float
    start: float


def layers_of(model: FCN) -> dict[str, Layer]:
    """The layers of a model by name, each after those that it reads."""
    layers: dict[str, Layer] = {}
    links = dict(model.namedlinks())  # "/fire2/conv1": link

    def link(name: str, source: str) -> str:
        layers[name] = _layer_of_link(name, links[f"/{name}"], source)
        return name

    def pool(name: str, source: str) -> str:
        maps = layers[source].maps
        layers[name] = Layer(name, "pool", (source,), maps, maps, **_POOLING)
        return name

    def concat(name: str, *sources: str) -> str:
        maps = sum(layers[source].maps for source in sources)
        layers[name] = Layer(name, "concat", sources, maps, maps)
        return name

    def fire(name: str, source: str) -> str:
        squeezed = link(f"{name}/conv1", source)
        expanded = [link(f"{name}/{part}", squeezed) for part in ("conv2", "conv3")]
        return concat(name, *expanded)

    def fires(first: int, last: int, source: str) -> str:
        for number in range(first, last + 1):
            source = fire(f"fire{number}", source)
        return source

    pool1 = pool("pool1", link("conv1", PHOTO))
    score1 = link("score_pool1", pool1)
    pool4 = pool("pool4", fires(2, 4, pool1))
    up4 = link("upsample_pool4", link("score_pool4", pool4))
    top = fires(5, 8, pool4)
    if not model.dilated:
        top = pool("pool8", top)
    top = fires(9, 9, top)
    up9 = link("upsample_pool9", link("score_pool9", top))
    link("upsample_final", link("add_layer", concat("concat", score1, up4, up9)))
    return layers


def _layer_of_link(name: str, link: chainer.Link, source: str) -> Layer:
    is_deconvolution = isinstance(link, chainer.links.Deconvolution2D)
    maps, in_maps, ksize, _ = link.W.shape
    if is_deconvolution:
        in_maps, maps = maps, in_maps
    return Layer(
        name,
        "deconv" if is_deconvolution else "conv",
        (source,),
        in_maps,
        maps,
        ksize,
        stride=chainer.utils.conv_nd.as_tuple(link.stride, 2)[0],
        pad=chainer.utils.conv_nd.as_tuple(link.pad, 2)[0],
        dilate=chainer.utils.conv_nd.as_tuple(link.dilate, 2)[0],
        parameters=sum(param.size for param in link.params()),
    )


def box(layers: dict[str, Layer], name: str, first: int, last: int) -> tuple[int, int]:
    """The rows of the photo that rows first to last of a layer's output depend on.

    The same holds for columns. Rows outside of the photo are padding.
    """
    needed = {name: (first, last)}
    for layer in reversed(layers.values()):  # each before those that it reads
        if layer.name not in needed:
            continue
        (first, last), s, p = needed[layer.name], layer.stride, layer.pad
        if layer.kind == "deconv":  # reads the rows u with 0 <= row + p - s u < ksize
            first, last = -((layer.ksize - 1 - p - first) // s), (last + p) // s
        else:
            first, last = first * s - p, last * s - p + layer.dilate * (layer.ksize - 1)
        for source in layer.inputs:
            low, high = needed.get(source, (first, last))
            needed[source] = min(low, first), max(high, last)
    return needed[PHOTO]


def table_of(layers: dict[str, Layer], height: int, width: int) -> dict[str, Row]:
    """What each layer makes of an image of a size.

    Jump and start follow Araujo, Norris, Sim: *Computing receptive fields of convolutional
    neural networks* (Distill, 2019); a deconvolution of stride s divides the jump by s. So does
    the receptive field, up to the first deconvolution; behind it, neighbouring outputs see boxes
    of different sizes, of which the largest counts.

    Args:
        layers: as layers_of() gives them.
        height, width: of the image; multiples of user_multiple.
    """
    rows: dict[str, Row] = {}
    for name, layer in layers.items():
        size, jump, start = (height, width), 1.0, 0.0
        if layer.inputs != (PHOTO,):
            # Of joined maps, the one that sees most: its box holds the boxes of the others.
            widest = max(
                (rows[source] for source in layer.inputs), key=lambda r: r.field
            )
            size, jump, start = widest.out, widest.jump, widest.start
        out = layer.out_size(size[0]), layer.out_size(size[1])
        reach = (layer.ksize - 1) / 2
        if layer.kind == "deconv":
            start += (layer.pad - reach) / layer.stride * jump
            jump /= layer.stride
        else:
            start += (layer.dilate * reach - layer.pad) * jump
            jump *= layer.stride
        boxes = (box(layers, name, pixel, pixel) for pixel in range(_PERIOD))
        field = max(last - first + 1 for first, last in boxes)
        products = layer.multiplications(size, out)
        # Joined maps are those of the inputs, already counted there.
        map_bytes = 4 * layer.maps * out[0] * out[1] * (layer.kind != "concat")
        rows[name] = Row(layer, size, out, products, map_bytes, field, jump, start)
    return rows


def as_text(rows: dict[str, Row]) -> str:
    """The table for a terminal."""
    head = "layer kernel stride pad dilation input output parameters"
    lines = [
        [*head.split(), "mult (M)", "maps (KiB)", "receptive field", "jump", "offset"]
    ]
    for row in rows.values():
        layer = row.layer
        shape = (layer.ksize, layer.stride, layer.pad, layer.dilate)
        lines.append(
            [
                f"  {layer.name}" if "/" in layer.name else layer.name,
                *(["-"] * 4 if layer.kind == "concat" else map(str, shape)),
                f"{layer.in_maps} x {row.size[0]} x {row.size[1]}",
                f"{layer.maps} x {row.out[0]} x {row.out[1]}",
                f"{layer.parameters:,}",
                f"{row.multiplications / 1e6:.2f}",
                f"{row.map_bytes / 1024:,.0f}",
                str(row.field),
                f"{row.jump:g}",
                f"{row.start:g}",
            ]
        )
    total = sum(row.layer.parameters for row in rows.values())
    products = sum(row.multiplications for row in rows.values()) / 1e6
    kib = sum(row.map_bytes for row in rows.values()) / 1024
    sums = ["all", *[""] * 6, f"{total:,}", f"{products:.2f}", f"{kib:,.0f}", *[""] * 3]
    return align([*lines, sums])
