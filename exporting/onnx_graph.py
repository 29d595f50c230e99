"""The trained model as an ONNX graph, for other engines; export.py writes it.

The graph is written by hand and not with Chainer's onnx_chainer, which does not know the fast
CPU layers (layers/) and cannot start at the photo.
"""

import json
import math
from dataclasses import asdict, dataclass

import chainer
import numpy as np
import onnx
from chainer.utils.conv_nd import as_tuple

from dataset.label_table import LabelTable
from exporting import onnx_photo
from exporting.onnx_builder import GraphBuilder, Value
from fcn_squeeze import FCN


@dataclass(frozen=True)
class PhotoSettings:
    """What it takes to apply a model to a photo.

    Args:
        in_ch (int): channels of the photo, 3 (RGB) or 1 (grey).
        image_scale (float): how much smaller the network sees it, in (0, 1].
        normalizer (str): GCN, LCN or none.
        multiple (int): what height and width are brought to multiples of.
    """

    in_ch: int
    image_scale: float
    normalizer: str
    multiple: int

    @classmethod
    def from_config(cls) -> "PhotoSettings":
        """The settings of ``chainer.global_config``."""
        args = chainer.global_config.user_test_args
        multiple = math.lcm(16, chainer.global_config.user_multiple)
        return cls(args.in_ch, args.image_scale, args.normalizer, multiple)


def photo_graph(model: FCN, settings: PhotoSettings) -> onnx.ModelProto:
    """From the photo to the class of each pixel, as ``Segmenter.classes()``.

    The input ``photo`` is uint8 (N, H, W, in_ch), RGB or grey, of any size; the output
    ``classes`` is uint8 (uint16 above 256 classes) (N, H, W). ``scores``, float32 (N, n_class,
    h, w) at the size that the network sees, is computed on the way.
    """
    g = GraphBuilder()
    photo = Value(g, "photo", np.uint8)
    size = onnx_photo.sides(g, photo, 1, 2)
    scale, multiple = settings.image_scale, settings.multiple
    small = [onnx_photo.scaled_side(g, side, scale, multiple) for side in size]
    is_scaled = size[0] + size[1] > small[0] + small[1]
    x = g.choose(
        is_scaled,
        lambda: onnx_photo.shrink(g, photo, *small),
        lambda: photo.astype(np.float32),
    )
    x = g.add("Transpose", x, perm=[0, 3, 1, 2])
    x = onnx_photo.normalize(g, x, settings.normalizer)
    x = onnx_photo.fill_up(g, x, multiple)
    scores = add_network(g, model, x)
    ends = [g.add("Unsqueeze", side, np.array([0])) for side in small]
    start, end = np.zeros(2, np.int64), g.add("Concat", *ends, axis=0)
    scores = g.add("Slice", scores, start, end, np.array([2, 3]), name="scores")
    classes = g.choose(
        is_scaled,
        lambda: onnx_photo.upsampled_argmax(g, scores, *size),
        lambda: g.add("ArgMax", scores, axis=1, keepdims=0, dtype=np.int64),
    )
    kind = np.uint8 if model.n_class <= 256 else np.uint16
    classes = g.add("Identity", classes.astype(kind), name="classes")
    return g.model(
        [(photo, ["batch", "height", "width", settings.in_ch])],
        [(classes, ["batch", "height", "width"])],
    )


def network_graph(model: FCN) -> onnx.ModelProto:
    """The network alone, as ``FCN.scores()``.

    The input ``image`` is float32 (N, in_ch, H, W), normalised, H and W multiples of 16; the
    output ``scores`` is float32 (N, n_class, H, W), before softmax.
    """
    g = GraphBuilder()
    image = Value(g, "image", np.float32)
    scores = g.add("Identity", add_network(g, model, image), name="scores")
    in_ch = model.conv1.W.shape[1]
    return g.model(
        [(image, ["batch", in_ch, "height", "width"])],
        [(scores, ["batch", model.n_class, "height", "width"])],
    )


def describe(
    graph: onnx.ModelProto,
    model: FCN,
    settings: PhotoSettings,
    table: LabelTable,
    weights_sha256: str,
) -> None:
    """Store in the file's metadata what the numbers mean: JSON texts under one key each."""
    properties = {
        "names": list(table.names),
        "colors": table.colors.tolist(),
        "ignored": sorted(table.names[number] for number in table.ignored),
        "dilated": model.dilated,
        "bypass": model.bypass,
        **asdict(settings),
        "weights_sha256": weights_sha256,
    }
    texts = {k: json.dumps(v, ensure_ascii=False) for k, v in properties.items()}
    onnx.helper.set_model_props(graph, texts)


def add_network(g: GraphBuilder, model: FCN, x: Value) -> Value:
    """The nodes of ``FCN.scores()``, in its order."""

    links = dict(model.namedlinks())  # "/fire2/conv1": link

    def convolve(name: str, x: Value) -> Value:
        return _add_convolution(g, name, links[f"/{name}"], x)

    def fire(name: str, x: Value) -> Value:
        h = g.add("Elu", convolve(f"{name}/conv1", x))
        branches = convolve(f"{name}/conv2", h), convolve(f"{name}/conv3", h)
        return g.add("Elu", g.add("Concat", *branches, axis=1))

    def fire_with_bypass(name: str, x: Value) -> Value:
        return fire(name, x) + x if model.bypass else fire(name, x)

    h = g.add("Elu", _add_pooling(g, convolve("conv1", x)))  # 1/4
    p1 = convolve("score_pool1", h)
    h = fire("fire4", fire_with_bypass("fire3", fire("fire2", h)))
    h = _add_pooling(g, h)  # 1/8
    u4 = convolve("upsample_pool4", convolve("score_pool4", h))
    h = fire("fire6", fire_with_bypass("fire5", h))
    h = fire("fire8", fire_with_bypass("fire7", h))
    if not model.dilated:
        h = _add_pooling(g, h)  # 1/16
    h = fire_with_bypass("fire9", h)
    u9 = convolve("upsample_pool9", convolve("score_pool9", h))
    h = convolve("add_layer", g.add("Concat", p1, u4, u9, axis=1))
    return convolve("upsample_final", h)


def _add_convolution(g: GraphBuilder, name: str, link, x: Value) -> Value:
    is_deconvolution = isinstance(link, chainer.links.Deconvolution2D)
    parameters = [
        g.constant(chainer.cuda.to_cpu(param.array).astype(np.float32), f"{name}/{key}")
        for key, param in (("W", link.W), ("b", link.b))
    ]
    dilate = getattr(link, "dilate", 1)
    return g.add(
        "ConvTranspose" if is_deconvolution else "Conv",
        x,
        *parameters,
        kernel_shape=link.W.shape[2:],
        strides=as_tuple(link.stride, 2),
        pads=as_tuple(link.pad, 2) * 2,
        dilations=as_tuple(dilate, 2),
    )


def _add_pooling(g: GraphBuilder, x: Value) -> Value:
    # Chainer's windows cover the last row and column (cover_all). Sides are even here, so one
    # more row and column does the same, and needs no ceil_mode, which some engines lack.
    return g.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1])
