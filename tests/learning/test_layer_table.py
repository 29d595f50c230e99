"""The table's numbers are those of the real network."""

import chainer_compat

import chainer
import numpy as np
import pytest

from fcn_squeeze import FCN
from learning.layer_table import as_text, box, layers_of, table_of


def network(dilated: bool, n_class: int = 12) -> FCN:
    return FCN(n_class, 3, dilated=dilated)


def rows_of(dilated: bool, height: int, width: int, n_class: int = 12):
    return table_of(layers_of(network(dilated, n_class)), height, width)


class Recorder(chainer.LinkHook):
    """The maps that the links of a network read and give in one forward pass."""

    name = "Recorder"

    def __init__(self):
        self.maps = {}

    def forward_postprocess(self, args):
        # The network's own conv1 comes first; those of the Fire modules are called so, too.
        self.maps.setdefault(args.link.name, args.out.array)
        before = {"fire2": "pool1", "fire5": "pool4", "fire9": "pool8"}
        if args.link.name in before:
            source = args.args[0]
            self.maps[before[args.link.name]] = chainer.as_array(source)


def maps_of(model: FCN, images: np.ndarray) -> dict[str, np.ndarray]:
    # Not in no_backprop_mode(): conv1 would be one function with its pooling.
    with chainer.using_config("train", False), Recorder() as recorder:
        model.scores(images)
    return recorder.maps


@pytest.mark.parametrize("dilated", [True, False])
def test_parameters_are_those_of_the_model(dilated):
    rows = rows_of(dilated, 32, 48)
    wanted = sum(param.size for param in network(dilated).params())
    assert sum(row.layer.parameters for row in rows.values()) == wanted
    if dilated:
        assert wanted == 765_236  # the chapter's network at 12 classes


def test_multiplications_add_up_to_those_worked_out_by_hand():
    rows = rows_of(True, 176, 240, n_class=32)
    # 44 x 60 inputs, each written through a 16 x 16 kernel from 32 maps to 32 maps.
    assert rows["upsample_final"].multiplications == 44 * 60 * 16 * 16 * 32 * 32
    # 88 x 120 outputs, each read through a 7 x 7 kernel from 3 maps to 96 maps.
    assert rows["conv1"].multiplications == 88 * 120 * 7 * 7 * 3 * 96
    assert sum(row.multiplications for row in rows.values()) == 1_446_635_520


@pytest.mark.parametrize("dilated", [True, False])
@pytest.mark.parametrize("size", [(32, 48), (112, 160)])
def test_sizes_are_those_of_the_networks_maps(dilated, size):
    rows = rows_of(dilated, *size)
    maps = maps_of(network(dilated), np.zeros((1, 3, *size), np.float32))
    measured = {"conv1", "pool1", "pool4", "fire9", "upsample_pool9", "upsample_final"}
    assert measured <= maps.keys()
    for name in maps.keys() & rows.keys():
        assert maps[name].shape[1:] == (rows[name].layer.maps, *rows[name].out), name


def all_ones(dilated: bool) -> FCN:
    """A network in which whatever changes an input pixel upwards shows in all that see it."""
    model = network(dilated, n_class=2)
    for param in model.params():
        is_bias = param.array.ndim == 1
        param.array[...] = 0 if is_bias else 1 / (param.size / param.shape[0])
    return model


@pytest.mark.parametrize("dilated", [True, False])
def test_receptive_fields_are_the_pixels_that_change_an_output(dilated):
    side = 224
    rows = rows_of(dilated, side, 16, n_class=2)
    names = ["conv1", "pool1", "fire2", "fire3", "fire4", "pool4", "fire5", "fire6"]
    names += ["fire7", "fire8", "fire9", "upsample_pool4", "upsample_pool9"]
    names += ["add_layer", "upsample_final", *([] if dilated else ["pool8"])]
    # One image a row of pixels: black but for that row.
    images = np.zeros((side, 3, side, 16), np.float32)
    images[np.arange(side), :, np.arange(side)] = 1e4
    model = all_ones(dilated)
    layers = layers_of(model)
    seen = {}
    for some in np.split(images, 7):
        for name, maps in maps_of(model, some).items():
            changed = (maps > 0).any(axis=(1, 3))
            seen.setdefault(name, []).append(changed)
    for name in names:
        changed = np.concatenate(seen[name])  # (row of the photo, row of the map)
        middle = changed.shape[1] // 2
        sizes = []
        period = max(1, int(16 / rows[name].jump))
        for pixel in range(middle, middle + period):
            found = np.flatnonzero(changed[:, pixel])
            assert (found[0], found[-1]) == box(layers, name, pixel, pixel), name
            sizes.append(found[-1] - found[0] + 1)
        assert max(sizes) == rows[name].field, name


@pytest.mark.parametrize(
    ("dilated", "wanted"),
    [
        (True, [7, 11, 19, 27, 35, 43, 59, 75, 91, 107, 139]),
        (False, [7, 11, 19, 27, 35, 43, 59, 75, 91, 107, 123, 155]),
    ],
)
def test_receptive_fields_are_those_worked_out_by_hand(dilated, wanted):
    rows = rows_of(dilated, 32, 32)
    names = ["conv1", "pool1", "fire2", "fire3", "fire4", "pool4"]
    names += ["fire5", "fire6", "fire7", "fire8", *([] if dilated else ["pool8"])]
    assert [rows[name].field for name in [*names, "fire9"]] == wanted


def test_the_text_has_a_line_a_layer_and_the_sums():
    rows = rows_of(True, 32, 48)
    lines = as_text(rows).splitlines()
    assert len(lines) == len(rows) + 2
    assert "765,236" in lines[-1]
    fire9 = next(line for line in lines if line.startswith("fire9"))
    assert fire9.split()[-3:] == ["139", "8", "6"]
