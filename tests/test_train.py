import json
import os
import shutil
from unittest import mock

import chainer_compat

import chainer
import numpy as np
import pytest
from conftest import COLORS, SmallData, stored_weights, write_picture

import train
from files.errors import UserError, run_program

LOG_KEYS = {
    "epoch",
    "iteration",
    "elapsed_time",
    "main/loss",
    "main/cross_entropy",
    "main/accuracy",
    "main/miou",
    "validation/main/loss",
    "validation/main/accuracy",
    "validation/main/miou",
}


def run(small_data, *options: str, **changes) -> list[dict]:
    """Train, and return the log."""
    train.main(["--config", str(small_data.write_config(**changes)), *options])
    return json.loads((small_data.folder / "result" / "log").read_text())


def weights(small_data, version) -> dict[str, bytes]:
    with np.load(
        small_data.folder / "result" / "model" / f"fcn_{version}.npz"
    ) as archive:
        return {name: archive[name].tobytes() for name in archive.files}


def without_time(log: list[dict]) -> list[dict]:
    return [{k: v for k, v in entry.items() if k != "elapsed_time"} for entry in log]


def test_a_run_leaves_log_curves_models_and_configuration(small_data, capsys):
    log = run(small_data, training_params={"epochs": 4, "snapshot_epochs": 2})
    result = small_data.folder / "result"
    assert LOG_KEYS <= set(log[-1])
    assert [(e["epoch"], e["iteration"]) for e in log] == [
        (1, 3),
        (2, 6),
        (3, 9),
        (4, 12),
    ]
    models = {"fcn_2.npz", "fcn_4.npz", "fcn_best.npz", "fcn_final.npz"}
    assert set(os.listdir(result / "model")) == models
    assert {"curves.png", "config.yaml", "log"} <= set(os.listdir(result))
    lines = capsys.readouterr().out.splitlines()
    best = max(log, key=lambda e: e["validation/main/miou"])
    expected = f"pixel accuracy {best['validation/main/accuracy']:.1%}, mean IoU {best['validation/main/miou']:.1%}"
    assert any(expected in line for line in lines[-7:])
    for name in ("fcn_best.npz", "fcn_final.npz", "log", "curves.png"):
        assert any(
            line.endswith((name, f"{name} (the last epoch's)")) for line in lines[-7:]
        ), name


def test_figures_in_the_log_are_those_of_the_stored_model(small_data):
    """Loss, accuracy and mean IoU again, pixel by pixel, from the model of the last epoch."""
    from fcn_squeeze import FCN
    from mini_batch_loader import DatasetPreProcessor

    log = run(small_data, training_params={"epochs": 1})
    model = FCN(3, 3)
    chainer.serializers.load_npz(
        str(small_data.folder / "result/model/fcn_final.npz"), model
    )
    x, t = DatasetPreProcessor(chainer.global_config.user_val_args).load_data([0, 1])
    h = model.scores(x).array.astype(np.float64)
    p = np.exp(h) / np.exp(h).sum(axis=1, keepdims=True)
    prediction = h.argmax(axis=1)
    of_truth = np.take_along_axis(p, t[:, None], axis=1)
    ious = [
        np.sum((t == c) & (prediction == c)) / np.sum((t == c) | (prediction == c))
        for c in range(3)
    ]
    assert log[0]["validation/main/loss"] == pytest.approx(
        -np.log(of_truth).mean(), rel=1e-5
    )
    assert log[0]["validation/main/accuracy"] == pytest.approx(np.mean(prediction == t))
    assert log[0]["validation/main/miou"] == pytest.approx(np.mean(ious))


def test_training_mean_weighs_the_short_last_batch_by_its_pixels(small_data):
    """With a learning rate that moves nothing, the mean does not depend on the batch size."""
    still = {"learning_rate": 1e-30, "weight_decay": 0, "epochs": 1}
    logs = [
        run(small_data, "--overwrite", training_params={**still, "batch_size": size})
        for size in (2, 5)
    ]
    assert logs[0][0]["main/loss"] == pytest.approx(logs[1][0]["main/loss"], rel=1e-6)
    assert logs[0][0]["main/miou"] == pytest.approx(logs[1][0]["main/miou"], rel=1e-9)


def test_loader_threads_do_not_change_the_weights(small_data):
    results = []
    for jobs in (0, 3):
        log = run(
            small_data, loader_jobs=jobs, augmentation_params={"do_augment": True}
        )
        results.append((without_time(log), weights(small_data, "final")))
    assert results[0] == results[1]


def test_resumed_run_is_the_run_that_would_have_been(small_data):
    whole = without_time(run(small_data, training_params={"epochs": 4}))
    expected = {version: weights(small_data, version) for version in ("best", "final")}
    shutil.rmtree(small_data.folder / "result")
    run(small_data, training_params={"epochs": 2})
    resumed = without_time(run(small_data, "--resume", training_params={"epochs": 4}))
    assert resumed == whole
    assert {
        version: weights(small_data, version) for version in ("best", "final")
    } == expected


def test_poly_power_changes_the_weights(small_data):
    poly = {"epochs": 1, "schedule": "poly"}
    run(small_data, training_params=poly)
    before = weights(small_data, "final")
    run(small_data, "--overwrite", training_params={**poly, "poly_power": 2})
    assert weights(small_data, "final") != before


def test_recipe_of_every_key_resumes_to_the_same_bytes(small_data):
    recipe = {
        "bypass": True,
        "training_params": {
            "epochs": 3,
            "schedule": "poly",
            "warmup_iterations": 4,
            "class_weights": 0.5,
            "lovasz": 0.5,
            "deep_supervision": 0.5,
            "init_deconvolutions": "bilinear",
            "weight_average": 0.9,
            "half_size_epochs": 2,
        },
        "augmentation_params": {
            "do_augment": True,
            "do_scale": False,
            "flips": "left_right",
            "zoom": [0.5, 2],
            "color_gain": [0.6, 1.4],
            "color_offset": 30,
            "gamma": [0.6, 1.7],
            "saturation": [0.5, 1.5],
        },
    }
    whole = without_time(run(small_data, **recipe))
    expected = weights(small_data, "final")
    result = small_data.folder / "result"
    for name in ("snapshot_iteration_00000009.npz", "log"):
        (result / name).unlink()
    resumed = without_time(run(small_data, "--resume", **recipe))
    assert (resumed, weights(small_data, "final")) == (whole, expected)


def test_epochs_are_part_of_a_decaying_schedule(small_data):
    run(small_data, training_params={"epochs": 1, "schedule": "poly"})
    with pytest.raises(UserError, match="training_params.epochs .1 there, 2 here"):
        run(small_data, "--resume", training_params={"epochs": 2, "schedule": "poly"})


def test_weights_of_the_classes_are_printed_and_stored(small_data, capsys):
    run(small_data, training_params={"epochs": 1, "class_weights": 0.5})
    assert "class weights in the loss" in capsys.readouterr().out
    rows = (small_data.folder / "result" / "class_weights.csv").read_text().split()
    assert rows[0] == "class,pixels,weight"
    assert {row.split(",")[0] for row in rows[1:]} == set(COLORS)


def trained_parameters(data, **changes) -> dict[str, bytes]:
    """The parameters of the last epoch, without the description that names the settings."""
    # Drawing takes half of the time of a training.
    with (
        mock.patch("training.progress.draw_curves"),
        mock.patch("evaluation.panels.draw_rows"),
    ):
        run(data, **changes)
    stored = stored_weights(data.folder / "result" / "model" / "fcn_final.npz")
    return {name: array.tobytes() for name, array in stored.items()}


@pytest.fixture(scope="module")
def weights_of_one_epoch(tmp_path_factory) -> dict[str, bytes]:
    """Of the recipe that write_config() writes, on the images of the small_data fixture."""
    folder = tmp_path_factory.mktemp("train") / "set"
    data = SmallData(folder, train=5, val=2, test=2, size=(32, 48))
    return trained_parameters(data, training_params={"epochs": 1})


def test_the_recipe_as_it_is_gives_the_same_weights_in_any_folder(
    small_data, weights_of_one_epoch
):
    trained = trained_parameters(small_data, training_params={"epochs": 1})
    assert trained == weights_of_one_epoch


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"dilated": False},
        {"dtype": "mixed16"},
        {"training_params": {"learning_rate": 0.01}},
        {"training_params": {"weight_decay": 0.5}},
        {"training_params": {"batch_size": 3}},
        {"training_params": {"epochs": 3}},
        {"bypass": True},
        {"training_params": {"schedule": "poly"}},
        {"training_params": {"warmup_iterations": 2}},
        {"training_params": {"class_weights": 0.5}},
        {"training_params": {"lovasz": 0.5}},
        {"training_params": {"deep_supervision": 0.5}},
        {"training_params": {"init_deconvolutions": "bilinear"}},
        {"training_params": {"weight_average": 0.9}},
    ],
    ids=str,
)
def test_every_key_of_the_training_changes_the_weights(
    small_data, weights_of_one_epoch, change
):
    trained = trained_parameters(
        small_data, **{"training_params": {"epochs": 1}, **change}
    )
    assert trained != weights_of_one_epoch


def test_training_learns_what_colour_says(small_data):
    """Images in which the colour gives the class away must become easy."""
    colors = np.array(list(COLORS.values()), np.uint8)
    for split, count in (("train", 5), ("val", 2)):
        for i in range(count):
            blocks = np.random.default_rng(i).integers(0, 3, (4, 6))
            image = colors[np.kron(blocks, np.ones((8, 8), int))]
            small_data.write_pair(f"{split}_{i}.png", image, seed=i)
    log = run(
        small_data,
        training_params={"epochs": 30, "learning_rate": 0.003, "snapshot_epochs": 30},
    )
    assert log[-1]["validation/main/accuracy"] > 0.8
    assert log[-1]["main/loss"] < log[0]["main/loss"] / 2


@pytest.mark.filterwarnings("error")
def test_training_gives_no_warning(small_data):
    log = run(small_data, training_params={"epochs": 1})
    assert len(log) == 1


@pytest.mark.filterwarnings("ignore:(overflow|invalid value):RuntimeWarning")
def test_loss_that_is_not_finite_names_epoch_iteration_and_images(small_data):
    with pytest.raises(UserError) as caught:
        run(small_data, training_params={"learning_rate": 1e18, "epochs": 9})
    message = str(caught.value)
    assert "the loss is" in message and "in epoch 1, iteration 2" in message
    assert "train_" in message


def test_debug_mode_checks_every_layer(small_data):
    run(small_data, debug_mode=True, training_params={"epochs": 1})
    assert chainer.is_debug()
    chainer.set_debug(False)


class TestErrors:
    def error(self, small_data, capsys, *options: str, **changes) -> str:
        """The sentence printed before exit code 2."""
        with pytest.raises(SystemExit) as caught:
            run_program(lambda: run(small_data, *options, **changes))
        assert caught.value.code == 2
        return capsys.readouterr().err

    def test_missing_image_is_found_before_training(self, small_data, capsys):
        (small_data.images / "val_1.png").unlink()
        assert "val_1.png: no such image file" in self.error(small_data, capsys)
        assert not (small_data.folder / "result").exists()

    def test_missing_label(self, small_data, capsys):
        (small_data.images / "train_3_L.png").unlink()
        assert "train_3_L.png: no such label" in self.error(small_data, capsys)

    def test_images_of_different_sizes(self, small_data, capsys):
        small_data.write_pair("train_4.png", np.zeros((64, 64, 3), np.uint8))
        message = self.error(small_data, capsys)
        assert "train_0.png gives 48 x 32 pixels, train_4.png 64 x 64" in message

    def test_different_sizes_are_fine_one_at_a_time(self, small_data):
        small_data.write_pair("train_4.png", np.zeros((64, 64, 3), np.uint8))
        log = run(small_data, training_params={"batch_size": 1, "epochs": 1})
        assert log[0]["iteration"] == 5

    def test_missing_test_image_is_found_before_training(self, small_data, capsys):
        (small_data.images / "test_1.png").unlink()
        assert "test_1.png: no such image file" in self.error(small_data, capsys)

    def test_validation_list_without_a_label_has_nothing_to_measure(
        self, small_data, capsys
    ):
        for path in small_data.images.glob("val_*_L.png"):
            write_picture(path, np.full((32, 48), 2, np.uint8))
        message = self.error(small_data, capsys, ignore_labels=["Car"])
        assert "val_pointer: no pixel of its images has a label" in message

    def test_augmentation_scale_that_leaves_too_little(self, small_data, capsys):
        message = self.error(
            small_data,
            capsys,
            augmentation_params={"do_augment": True, "scale": [1.5, 0.4]},
        )
        assert "scaled to 19 x 12 pixels" in message
        assert "make augmentation_params.scale larger" in message

    @pytest.mark.filterwarnings("ignore:(overflow|invalid value):RuntimeWarning")
    def test_nan_in_debug_mode_names_epoch_iteration_and_images(
        self, small_data, capsys
    ):
        params = {"learning_rate": 1e18, "epochs": 9}
        message = self.error(
            small_data, capsys, debug_mode=True, training_params=params
        )
        chainer.set_debug(False)
        assert "in epoch 1, iteration 2" in message and "train_" in message

    def test_output_path_that_cannot_be_written(self, small_data, capsys):
        (small_data.folder / "file").touch()
        message = self.error(small_data, capsys, output_path="file/result")
        assert "output_path: cannot write" in message

    def test_gpu_without_cupy_gives_the_reason(self, small_data, capsys):
        if chainer.backends.cuda.available:
            pytest.skip("CuPy is installed")
        assert "gpu: 0 cannot be used: No module named 'cupy'" in self.error(
            small_data, capsys, gpu=0
        )

    def test_resume_from_no_such_file(self, small_data, capsys):
        assert "--resume: cannot read" in self.error(
            small_data, capsys, "--resume", "nope.npz"
        )

    def test_resume_of_another_network_names_parameter_and_shapes(
        self, small_data, capsys
    ):
        run(small_data, training_params={"epochs": 1})
        snapshot = str(small_data.folder / "result" / "snapshot_iteration_00000003.npz")
        message = self.error(small_data, capsys, "--resume", snapshot, dilated=False)
        assert (
            "parameter upsample_pool9/W is (3, 3, 4, 4) there and (3, 3, 8, 8) here"
            in message
        )
        assert "dilated (True there, False here)" in message


def test_the_chapters_lines_work_as_they_stand(small_data):
    """The lines that the chapter prints, and its loop, after a configuration is loaded."""
    from fcn_squeeze import FCN
    from train import prepare_dataset

    small_data.load()
    train_mini_batch_loader, train_data_size = prepare_dataset()
    model = FCN(
        chainer.global_config.user_train_args.n_class,
        chainer.global_config.user_train_args.in_ch,
    )
    optimizer = chainer.optimizers.Adam()
    optimizer.setup(model)
    optimizer.add_hook(
        chainer.optimizer.WeightDecay(
            chainer.global_config.user_train_args.training_params.weight_decay
        )
    )
    losses = []
    for _ in range(3):
        raw_x, raw_t = train_mini_batch_loader.load_data(range(train_data_size))
        x, t = chainer.Variable(raw_x), chainer.Variable(raw_t)
        model.zerograds()
        loss = model(x, t)
        loss.backward()
        optimizer.update()
        losses.append(float(loss.data))
    assert losses[2] < losses[0]
    assert 0 <= model.accuracy <= 1 and model.iou.shape == (3,)
    assert model.h.shape == (5, 3, 32, 48)


def test_grey_images_with_two_classes_as_numbers_train(small_data):
    (small_data.folder / "label_color").write_text(
        "0,0,0,background\n255,255,255,thing\n"
    )
    for path in small_data.images.glob("*_L.png"):
        classes = np.random.default_rng(0).integers(0, 2, (32, 48)).astype(np.uint8)
        write_picture(path, classes)
        write_picture(path.with_name(path.name.replace("_L", "")), classes * 100)
    log = run(small_data, in_ch=1, dilated=False, training_params={"epochs": 1})
    assert log[0]["validation/main/miou"] > 0
    with np.load(small_data.folder / "result/model/fcn_final.npz") as archive:
        assert archive["conv1/W"].shape == (96, 1, 7, 7)
        assert archive["upsample_pool9/W"].shape == (2, 2, 8, 8)
