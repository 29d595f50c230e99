"""Training on images of any size, as in the Data Science Bowl 2018: grey cells, masks of 0 and 255."""

import json

import numpy as np
import pytest
from conftest import SmallData, write_picture
from tiny_run import TinyRun

import data_check
import predict
from files.errors import UserError

# Heights and widths of its images.
SIZES = [(256, 256), (256, 320), (520, 696), (360, 360), (512, 640)]
CROP = [48, 64]


def cells(folder, sizes=SIZES) -> SmallData:
    """Bright discs on a dark, noisy ground, in sizes that come in turn."""
    data = SmallData(folder, train=5, val=4, test=3, size=(16, 16))
    table = "r,g,b,label\n0,0,0,background\n255,255,255,cell\n"
    (data.folder / "label_color").write_text(table)
    rng = np.random.default_rng(1)
    for number, path in enumerate(sorted(data.images.glob("*_L.png"))):
        height, width = sizes[number % len(sizes)]
        rows, columns = np.mgrid[:height, :width]
        mask = np.zeros((height, width), bool)
        for y, x in rng.uniform(0, (height, width), (6, 2)):
            mask |= (rows - y) ** 2 + (columns - x) ** 2 < 50**2
        noise = rng.integers(0, 60, (height, width))
        name = path.name.replace("_L", "")
        write_picture(data.images / name, (mask * 150 + noise).astype(np.uint8))
        write_picture(path, mask.astype(np.uint8) * 255)
    return data


def run_of(data: SmallData, **changes) -> TinyRun:
    return TinyRun(
        data,
        in_ch=1,
        image_scale=0.125,
        label_values="grey_levels",
        augmentation_params={"do_augment": True, "zoom": [0.75, 1.5]},
        **changes,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> TinyRun:
    """4 epochs, resumed after the second."""
    run = run_of(cells(tmp_path_factory.mktemp("resumed") / "set"), crop_size=CROP)
    assert run.here("--set", "training_params.epochs=2") == 0
    assert run.here("--resume") == 0
    return run


def test_resumed_run_is_the_run_that_would_have_been(trained, tmp_path):
    undisturbed = run_of(cells(tmp_path / "set"), crop_size=CROP)
    assert undisturbed.here() == 0
    assert trained.results() == undisturbed.results()


def test_test_images_are_scored_whole(trained):
    assert predict.main(["--config", str(trained.config_path)]) == 0
    scores = json.loads((trained.out / "predict" / "scores.json").read_text())
    # The first three of SIZES, scaled, and cropped to multiples of 16.
    expected = 32 * 32 + 32 * 32 + 64 * 80
    assert sum(entry["pixels"] for entry in scores["classes"]) == expected


def test_data_check_finds_nothing_wrong_and_draws_all(trained, capsys):
    assert data_check.main(["--config", str(trained.config_path)]) == 0
    output = capsys.readouterr().out
    assert "0 errors, 0 warnings" in output
    assert (trained.out / "data_check.png").exists()


def test_without_the_key_the_error_names_two_images_and_the_line_to_add(tmp_path):
    run = run_of(cells(tmp_path / "set"))
    with pytest.raises(UserError) as caught:
        run.here()
    message = str(caught.value)
    assert "train_0.png gives 32 x 32 pixels, train_1.png 80 x 64" in message
    line = message.rpartition("configuration: ")[2]
    run.config_path.write_text(run.config_path.read_text() + line + "\n")
    assert run.here("--set", "training_params.epochs=1") == 0


def test_validation_images_of_different_sizes_need_no_key(tmp_path):
    data = cells(tmp_path / "set", [(256, 256)])
    write_picture(data.images / "val_1.png", np.zeros((300, 400), np.uint8))
    write_picture(data.images / "val_1_L.png", np.eye(300, 400, dtype=np.uint8) * 255)
    run = run_of(data, training_params={"epochs": 1})
    assert run.here() == 0
