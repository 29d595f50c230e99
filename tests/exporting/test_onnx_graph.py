"""Whether other engines that run the exported graph find what this project finds."""

import json

import chainer
import numpy as np
import pytest

from dataset.label_table import read_label_table
from evaluation.segmenter import Segmenter
from fcn_squeeze import FCN
from files.opencv import cv2
from image_normalizer import ImageNormalizer
from layers.device import choose_device

WHY = (
    "needs the extra onnx: UV_PROJECT_ENVIRONMENT=.venv-onnx uv run --extra onnx pytest"
)
onnx = pytest.importorskip("onnx", reason=WHY)
onnxruntime = pytest.importorskip("onnxruntime", reason=WHY)

from onnxruntime.tools.onnx_model_utils import make_input_shape_fixed

from exporting import onnx_graph, onnx_photo
from exporting.onnx_builder import GraphBuilder, Value
from exporting.onnx_graph import PhotoSettings

EVERY_NETWORK = [
    (dilated, bypass, in_ch)
    for dilated in (True, False)
    for bypass in (True, False)
    for in_ch in (3, 1)
]


def session(graph):
    onnx.checker.check_model(graph, full_check=True)
    return onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )


def session_of(make_nodes, dtype, *shape):
    """A graph of one step: make_nodes(g, x) gives the output, of as many axes as the input."""
    g = GraphBuilder()
    x = Value(g, "x", dtype)
    output = g.add("Identity", make_nodes(g, x), name="y")
    free = [f"free_{axis}" for axis, _ in enumerate(shape)]
    return session(g.model([(x, list(shape))], [(output, free)]))


def untrained(dilated=True, bypass=False, in_ch=3, n_class=3) -> FCN:
    np.random.seed(3)
    return FCN(n_class, in_ch, dilated=dilated, bypass=bypass)


def photo_of_size(height: int, width: int, channels: int = 3) -> np.ndarray:
    rng = np.random.default_rng(height * 1000 + width)
    noise = rng.integers(0, 256, (height, width, channels), np.uint8)
    return cv2.GaussianBlur(noise, (5, 5), 1).reshape(noise.shape)


@pytest.mark.parametrize(
    ("side", "scale", "expected"),
    [
        (100, 0.5, 48),
        (97, 1, 96),
        (64, 1, 64),
        (32, 0.5, 16),
        (31, 0.5, 15),
        (1, 0.5, 1),
    ],
)
def test_a_side_is_scaled_down_to_a_multiple_where_it_is_that_large(
    side, scale, expected
):
    def scaled(g, x):
        (height,) = onnx_photo.sides(g, x, 0)
        return g.add(
            "Unsqueeze", onnx_photo.scaled_side(g, height, scale, 16), np.array([0])
        )

    run = session_of(scaled, np.float32, "n").run
    (found,) = run(None, {"x": np.zeros(side, np.float32)})
    assert found == [expected]


@pytest.mark.parametrize("scale", [0.5, 0.25, 1 / 6, 1 / 3, 0.3, 0.37, 0.9, 0.06, 1])
@pytest.mark.parametrize("channels", [1, 3])
def test_scaling_is_opencvs_area_mean_to_the_last_bit(scale, channels):
    def shrink(g, photo):
        sides = onnx_photo.sides(g, photo, 1, 2)
        small = [onnx_photo.scaled_side(g, side, scale, 1) for side in sides]
        return onnx_photo.shrink(g, photo, *small)

    run = session_of(shrink, np.uint8, "n", "h", "w", channels).run
    for height, width in [(1, 1), (2, 70), (120, 96), (97, 131), (240, 180), (37, 5)]:
        rng = np.random.default_rng(height)
        photo = rng.integers(0, 256, (height, width, channels), np.uint8)
        size = max(1, int(width * scale)), max(1, int(height * scale))
        expected = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
        (found,) = run(None, {"x": photo[None]})
        assert np.array_equal(found[0], expected.reshape(*size[::-1], channels))


@pytest.mark.parametrize("name", ["GCN", "LCN"])
@pytest.mark.parametrize("size", [(40, 56), (3, 5), (1, 1)])
def test_normalisation_is_that_of_the_image_normalizer(name, size):
    images = np.stack([photo_of_size(*size), photo_of_size(*size) // 2 + 9])
    images[1, :, :, 2] = 77  # a constant channel becomes 0
    normalize = getattr(ImageNormalizer(), name)
    expected = [normalize(image).transpose(2, 0, 1) for image in images]
    step = session_of(
        lambda g, x: onnx_photo.normalize(g, x, name), np.float32, "n", 3, "h", "w"
    )
    x = images.transpose(0, 3, 1, 2).astype(np.float32)
    (found,) = step.run(None, {"x": x})
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert not found[1, 2].any()


def test_sides_are_filled_up_with_their_mirror_image():
    fill = session_of(
        lambda g, x: onnx_photo.fill_up(g, x, 16), np.float32, "n", 1, "h", "w"
    )
    for height, width in [(16, 32), (17, 31), (1, 2), (3, 7), (9, 10)]:
        x = np.arange(height * width, dtype=np.float32).reshape(1, 1, height, width)
        edges = (0, -height % 16), (0, -width % 16)
        expected = np.pad(x[0, 0], edges, mode="reflect")
        assert np.array_equal(fill.run(None, {"x": x})[0][0, 0], expected)


@pytest.mark.parametrize(("dilated", "bypass", "in_ch"), EVERY_NETWORK)
def test_the_network_alone_gives_the_scores(dilated, bypass, in_ch):
    model = untrained(dilated, bypass, in_ch)
    network = session(onnx_graph.network_graph(model))
    rng = np.random.default_rng(0)
    for size in [(32, 48), (64, 16)]:
        x = rng.normal(0, 1, (2, in_ch, *size)).astype(np.float32)
        with chainer.no_backprop_mode():
            expected = model.scores(x).array
        (found,) = network.run(None, {"image": x})
        np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(("dilated", "bypass", "in_ch"), EVERY_NETWORK)
def test_opencv_runs_the_network_alone(tmp_path, dilated, bypass, in_ch):
    model = untrained(dilated, bypass, in_ch)
    graph = onnx_graph.network_graph(model)
    if bypass:  # OpenCV 4.11 adds maps only where it knows their sizes
        make_input_shape_fixed(graph.graph, "image", [2, in_ch, 48, 64])
    path = str(tmp_path / "network.onnx")
    onnx.save(graph, path)
    x = np.random.default_rng(0).normal(0, 1, (2, in_ch, 48, 64)).astype(np.float32)
    with chainer.no_backprop_mode():
        expected = model.scores(x).array
    network = cv2.dnn.readNetFromONNX(path)
    network.setInput(x)
    np.testing.assert_allclose(network.forward(), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("dilated", "bypass", "in_ch"), [(True, False, 3), (False, True, 1)]
)
@pytest.mark.parametrize(
    ("normalizer", "scale"), [("GCN", 0.5), ("LCN", 0.3), ("none", 1.0), ("GCN", 1.0)]
)
def test_the_photo_graph_gives_the_segmenters_classes(
    small_data, dilated, bypass, in_ch, normalizer, scale
):
    small_data.load(in_ch=in_ch, normalizer=normalizer, image_scale=scale)
    model = untrained(dilated, bypass, in_ch)
    args = chainer.global_config.user_test_args
    segmenter = Segmenter(model, args, choose_device(-1))
    graph = session(onnx_graph.photo_graph(model, PhotoSettings.from_config()))
    for size in [(1, 1), (3, 70), (61, 77)]:
        photos = np.stack(
            [photo_of_size(*size, in_ch), 255 - photo_of_size(*size, in_ch)]
        )
        (found,) = graph.run(None, {"photo": photos})
        expected = np.stack([segmenter.classes(photo) for photo in photos])
        assert found.dtype == np.uint8
        assert found.shape == expected.shape
        # One pixel's two best scores may be equal but for rounding.
        assert np.count_nonzero(found != expected) <= 1


def test_more_than_256_classes_are_16_bit_numbers():
    graph = onnx_graph.photo_graph(
        untrained(n_class=257), PhotoSettings(3, 0.5, "none", 16)
    )
    kind = graph.graph.output[0].type.tensor_type.elem_type
    assert kind == onnx.TensorProto.UINT16


def test_one_class_is_all_there_is():
    graph = session(
        onnx_graph.photo_graph(untrained(n_class=1), PhotoSettings(3, 0.5, "GCN", 16))
    )
    (classes,) = graph.run(None, {"photo": photo_of_size(20, 30)[None]})
    assert not classes.any()


def test_metadata_say_what_the_numbers_mean(small_data):
    small_data.load(ignore_labels=["Road"], image_scale=0.5, user_multiple=48)
    model = untrained(bypass=True)
    settings = PhotoSettings.from_config()
    graph = onnx_graph.photo_graph(model, settings)
    table = read_label_table(small_data.folder / "label_color", ["Road"])
    onnx_graph.describe(graph, model, settings, table, "a1b2")
    texts = session(graph).get_modelmeta().custom_metadata_map
    assert {key: json.loads(text) for key, text in texts.items()} == {
        "names": ["Sky", "Road", "Car"],
        "colors": [[128, 128, 128], [128, 64, 128], [64, 0, 128]],
        "ignored": ["Road"],
        "dilated": True,
        "bypass": True,
        "in_ch": 3,
        "image_scale": 0.5,
        "normalizer": "GCN",
        "multiple": 48,
        "weights_sha256": "a1b2",
    }
