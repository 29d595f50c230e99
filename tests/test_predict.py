"""Scoring and prediction as a user runs them, with an untrained network."""

import io
import json
import os
import re
import sys
import threading
from types import SimpleNamespace

import chainer
import numpy as np
import pytest
from conftest import COLORS
from PIL import Image

import predict
from evaluation import application, photo_segmenter
from evaluation.model_description import describe_model
from fcn_squeeze import FCN
from files import weights
from files.digest import file_digest
from files.errors import UserError, run_program
from files.opencv import cv2
from files.paths import from_here
from mini_batch_loader import DatasetPreProcessor

NAMES = list(COLORS)
TABLE = np.array(list(COLORS.values()), np.uint8)


@pytest.fixture
def scored_data(small_data):
    """A data set whose test images are no multiple of 16, and weights of an untrained network."""
    rng = np.random.default_rng(1)
    for i, size in enumerate([(50, 70), (37, 45)]):
        image = rng.integers(0, 256, (*size, 3), np.uint8)
        small_data.write_pair(f"test_{i}.png", image, seed=i)
    small_data.load()
    np.random.seed(7)
    small_data.model = FCN(3, 3)
    weights.save_npz(
        str(small_data.folder / "result/model/fcn_best.npz"), small_data.model
    )
    small_data.predict_folder = small_data.folder / "result" / "predict"
    return small_data


def run(data, *arguments) -> int:
    return predict.main(["--config", str(data.config_path), *map(str, arguments)])


def read_rgb(path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1]


def scores_of(data) -> dict:
    return json.loads((data.predict_folder / "scores.json").read_text())


def test_mirrored_scores_say_so(scored_data, capsys):
    figures = []
    for option in ([], ["--mirror"]):
        assert run(scored_data, *option) == 0
        figures.append(scores_of(scored_data))
    assert [f["mirrored"] for f in figures] == [False, True]
    assert figures[0]["confusion"] != figures[1]["confusion"]
    assert "averaged with the mirrored image" in capsys.readouterr().out
    report = (scored_data.folder / "result" / "report.html").read_text()
    assert "averaged with the mirrored image" in report


def test_scores_at_several_scales_say_so(scored_data, capsys):
    assert run(scored_data, "--scales", "1,2") == 0
    assert scores_of(scored_data)["scales"] == [1, 2]
    assert ", averaged at the scales 1, 2\n" in capsys.readouterr().out
    report = (scored_data.folder / "result" / "report.html").read_text()
    assert "averaged at the scales 1.0, 2.0" in report


@pytest.mark.parametrize("text", ["", "1,", "0", "nan", "5", "big"])
def test_scales_that_are_none_are_refused(scored_data, capsys, text):
    with pytest.raises(SystemExit):
        run(scored_data, f"--scales={text}")
    assert "is no list of factors from 0.25 to 4" in capsys.readouterr().err


def test_scores_are_those_of_one_confusion_matrix(scored_data):
    assert run(scored_data) == 0
    scores = scores_of(scored_data)
    dataset = DatasetPreProcessor(chainer.global_config.user_test_args)
    truths, predictions = [], []
    for i in range(2):
        image, truth = dataset[i]
        with chainer.using_config("train", False):
            h = scored_data.model.scores(image[None]).array[0]
        truths.append(truth.ravel())
        predictions.append(h.argmax(axis=0).ravel())
    truth, prediction = np.concatenate(truths), np.concatenate(predictions)
    assert scores["pixel_accuracy"] == pytest.approx((truth == prediction).mean())
    ious = []
    for number, entry in enumerate(scores["classes"]):
        both = ((truth == number) & (prediction == number)).sum()
        either = ((truth == number) | (prediction == number)).sum()
        ious.append(both / either)
        assert entry["name"] == NAMES[number]
        assert entry["iou"] == pytest.approx(both / either)
        assert entry["dice"] == pytest.approx(2 * both / (both + either))
        assert entry["recall"] == pytest.approx(both / (truth == number).sum())
        assert entry["pixels"] == (truth == number).sum()
    assert scores["mean_iou"] == pytest.approx(np.mean(ious))


def test_scores_at_photo_size_are_those_of_the_coloured_pictures(scored_data):
    run(scored_data)
    right = []
    for i in range(2):
        predicted = read_rgb(scored_data.predict_folder / f"test_{i}_color.png")
        truth = read_rgb(scored_data.images / f"test_{i}_L.png")
        assert predicted.shape == truth.shape
        right.append((predicted == truth).all(axis=2).ravel())
    accuracy = np.concatenate(right).mean()
    found = scores_of(scored_data)["at_photo_size"]["pixel_accuracy"]
    assert found == pytest.approx(accuracy)


def test_printed_table_has_the_numbers_of_the_json(scored_data, capsys):
    run(scored_data)
    printed = capsys.readouterr().out
    scores = scores_of(scored_data)
    assert f"pixel accuracy {100 * scores['pixel_accuracy']:.1f} %" in printed
    lines = [line.split() for line in printed.splitlines()]
    table = [line for line in lines if line and line[0] in NAMES]
    ranked = sorted(scores["classes"], key=lambda c: -c["iou"])
    for line, entry in zip(table, ranked, strict=True):
        assert line[0] == entry["name"]
        figures = [
            f"{100 * entry[key]:.1f}" for key in ("iou", "dice", "recall", "precision")
        ]
        assert line[1:9:2] == figures
        assert line[-1] == f"{entry['pixels']:,}"


def test_scoring_draws_its_pictures_and_the_report(scored_data):
    run(scored_data)
    for name in ("confusion.png", "best.png", "worst.png"):
        assert read_rgb(scored_data.predict_folder / name).std() > 0
    assert (scored_data.folder / "result" / "report.html").is_file()


def test_an_absent_class_is_null_in_the_json(scored_data):
    for i in range(2):
        path = scored_data.images / f"test_{i}_L.png"
        label = read_rgb(path)
        label[(label == TABLE[2]).all(axis=2)] = TABLE[0]
        cv2.imwrite(str(path), label[..., ::-1])
    run(scored_data)
    entry = scores_of(scored_data)["classes"][2]
    assert entry["iou"] is None
    assert entry["pixels"] == 0


def test_without_a_model_the_command_that_makes_one_is_named(small_data, capsys):
    small_data.load()
    with pytest.raises(SystemExit) as stop:
        run_program(lambda: run(small_data))
    assert stop.value.code == 2
    assert f"train.py --config {small_data.config_path}" in capsys.readouterr().err


def test_a_missing_test_image_is_named_before_any_is_scored(scored_data):
    (scored_data.images / "test_1.png").unlink()
    with pytest.raises(UserError, match=r"test_1\.png: no such image file"):
        run(scored_data)
    assert not scored_data.predict_folder.exists()


def test_test_images_without_any_label_are_an_error(scored_data):
    for i in range(2):
        path = str(scored_data.images / f"test_{i}_L.png")
        cv2.imwrite(path, np.full_like(cv2.imread(path), TABLE[0][::-1]))
    scored_data.write_config(ignore_labels=["Sky"])
    with pytest.raises(UserError, match="has a labelled pixel"):
        run(scored_data)


def test_class_numbers_and_colours_agree_with_the_network(scored_data):
    photo = scored_data.images / "test_0.png"
    assert run(scored_data, photo) == 0
    folder = scored_data.predict_folder / "inputs"
    with Image.open(folder / "test_0_classes.png") as picture:
        classes = np.asarray(picture)
    args = chainer.global_config.user_test_args
    segmenter = predict.Segmenter(scored_data.model, args, chainer.get_device("@numpy"))
    assert classes.dtype == np.uint8
    assert np.array_equal(classes, segmenter.classes(read_rgb(photo)))
    assert np.array_equal(read_rgb(folder / "test_0_color.png"), TABLE[classes])
    overlay = read_rgb(folder / "test_0_overlay.png").astype(int)
    half = (read_rgb(photo).astype(int) + TABLE[classes]) / 2
    assert np.abs(overlay - half).max() <= 0.5


def test_broken_files_are_named_and_the_rest_is_done(scored_data, tmp_path, capsys):
    folder = tmp_path / "mixed"
    folder.mkdir()
    colour = np.random.default_rng(0).integers(0, 256, (30, 41, 3), np.uint8)
    cv2.imwrite(str(folder / "colour.jpg"), colour)
    cv2.imwrite(str(folder / "grey.png"), colour[..., 0])
    cv2.imwrite(str(folder / "alpha.png"), np.dstack([colour, colour[..., :1]]))
    cv2.imwrite(str(folder / "deep.png"), colour.astype(np.uint16) * 257)
    cv2.imwrite(str(folder / "tiny.png"), colour[:2, :3])
    Image.fromarray(colour).quantize(16).save(folder / "palette.png")
    whole = (folder / "colour.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "text.png").write_text("no picture")
    (folder / "empty.mp4").write_bytes(b"")
    assert run(scored_data, folder) == 2
    problems = capsys.readouterr().err
    for name in ("cut.jpg", "text.png", "empty.mp4"):
        assert f"error: {folder / name}: not a" in problems
    results = scored_data.predict_folder / "inputs"
    for name in ("colour", "grey", "alpha", "deep", "palette"):
        assert read_rgb(results / f"{name}_overlay.png").shape == (30, 41, 3)
    assert read_rgb(results / "tiny_classes.png").shape == (2, 3, 3)
    assert not list(results.glob("cut*"))


def test_a_photo_marked_as_turned_is_set_upright(scored_data, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    picture = Image.fromarray(np.zeros((20, 50, 3), np.uint8))
    picture.save(tmp_path / "turned.jpg", exif=exif)
    run(scored_data, tmp_path / "turned.jpg")
    path = scored_data.predict_folder / "inputs" / "turned_overlay.png"
    assert read_rgb(path).shape == (50, 20, 3)


def test_a_grey_network_takes_colour_photos(scored_data, tmp_path):
    scored_data.write_config(in_ch=1)
    model = tmp_path / "grey.npz"
    weights.save_npz(str(model), FCN(3, 1))
    photo = scored_data.images / "test_0.png"
    assert run(scored_data, photo, "--model", model) == 0


def test_a_video_keeps_its_frames_and_size(scored_data, tmp_path, capsys):
    path = str(tmp_path / "clip.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 12, (50, 34))
    for i in range(5):
        writer.write(np.full((34, 50, 3), 40 * i, np.uint8))
    writer.release()
    assert run(scored_data, path) == 0
    assert "5 frames" in capsys.readouterr().out
    video = cv2.VideoCapture(
        str(scored_data.predict_folder / "inputs" / "clip_overlay.webm")
    )
    assert video.get(cv2.CAP_PROP_FPS) == 12
    frames = []
    while (frame := video.read())[0]:
        frames.append(frame[1])
    assert [frame.shape for frame in frames] == [(34, 50, 3)] * 5


def test_a_cut_video_is_named_and_what_is_left_of_it_is_done(
    scored_data, tmp_path, capsys
):
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 12, (50, 34))
    for frame in np.random.default_rng(0).integers(0, 256, (5, 34, 50, 3), np.uint8):
        writer.write(frame)
    writer.release()
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 4])
    assert run(scored_data, path) == 2
    problem = capsys.readouterr().err
    assert f"error: {path}: the video is damaged or cut" in problem
    assert "of its 5 frames could not be read" in problem
    results = os.listdir(scored_data.predict_folder / "inputs")
    assert sorted(results) == ["clip_overlay.webm", "legend.png"]


def lack_of_memory_in_opencv():
    error = cv2.error("Insufficient memory")
    error.code = cv2.Error.StsNoMem
    return error


@pytest.mark.parametrize("lack", [MemoryError, lack_of_memory_in_opencv])
def test_a_photo_too_large_for_the_memory_is_named_and_the_rest_is_done(
    scored_data, monkeypatch, capsys, lack
):
    decode = application.decode

    def decode_with_little_memory(path, content):
        if path.endswith("test_0.png"):
            raise lack()
        return decode(path, content)

    monkeypatch.setattr(application, "decode", decode_with_little_memory)
    photos = [scored_data.images / f"test_{i}.png" for i in range(2)]
    assert run(scored_data, *photos) == 2
    problem = f"error: {photos[0]}: there is not enough memory for it\n"
    assert problem in capsys.readouterr().err
    results = scored_data.predict_folder / "inputs"
    assert not list(results.glob("test_0*"))
    assert len(list(results.glob("test_1*"))) == 3


def test_photos_are_read_and_written_while_the_network_works(scored_data, monkeypatch):
    threads = {}

    def noting(owner, name):
        function = getattr(owner, name)

        def call(*arguments, **options):
            threads.setdefault(name, set()).add(threading.get_ident())
            return function(*arguments, **options)

        monkeypatch.setattr(owner, name, call)

    noting(application, "decode")
    noting(application.PhotoSegmenter, "__call__")
    noting(photo_segmenter.Result, "save")
    photos = [scored_data.images / f"train_{i}.png" for i in range(4)]
    assert run(scored_data, *photos) == 0
    assert threads["__call__"] == {threading.get_ident()}
    assert all(len(found) == 1 for found in threads.values())
    assert len(set.union(*threads.values())) == 3


def test_a_large_photo_is_alone_in_memory_and_gets_the_same_results(
    scored_data, monkeypatch
):
    photo = scored_data.images / "test_0.png"
    folder = scored_data.predict_folder / "inputs"
    assert run(scored_data, photo) == 0
    files = [path for path in folder.iterdir() if path.name.startswith("test_0")]
    expected = {path.name: path.read_bytes() for path in files}
    saved = []
    save = photo_segmenter.Result.save
    monkeypatch.setattr(application, "_LARGE_PIXELS", 100)
    monkeypatch.setattr(
        photo_segmenter.Result,
        "save",
        lambda *a: saved.append(threading.get_ident()) or save(*a),
    )
    assert run(scored_data, photo) == 0
    assert saved == [threading.get_ident()]
    assert {path.name: path.read_bytes() for path in files} == expected


def test_lines_about_inputs_come_in_their_order(scored_data, tmp_path, capsys):
    photos = [tmp_path / f"{name}.png" for name in ("a", "b", "c")]
    for path in photos:
        path.write_bytes(b"no photo")
    good = scored_data.images / "test_0.png"
    assert run(scored_data, photos[0], good, photos[1], good, photos[2]) == 2
    found = re.findall(r"([abc])\.png", capsys.readouterr().err)
    assert found == ["a", "b", "c"]


@pytest.mark.parametrize("lack", [MemoryError, lack_of_memory_in_opencv])
def test_a_listed_image_too_large_for_the_memory_is_named_and_the_rest_is_scored(
    scored_data, monkeypatch, capsys, lack
):
    classes, photos = predict.Segmenter.classes, []

    def too_large_at_first(self, photo):
        photos.append(photo)
        if len(photos) == 1:
            raise lack()
        return classes(self, photo)

    monkeypatch.setattr(predict.Segmenter, "classes", too_large_at_first)
    assert run(scored_data) == 2
    output = capsys.readouterr()
    problem = "there is not enough memory for it; set a smaller image_scale"
    assert f"test_0.png: {problem}" in output.err
    assert "without 1 of the 2 test images; the reasons are above" in output.out
    scores = scores_of(scored_data)
    assert [image["name"] for image in scores["images"]] == ["test_1.png"]
    assert scores["left_out"] == ["test_0.png"]
    _, truth = DatasetPreProcessor(chainer.global_config.user_test_args)[1]
    assert np.sum(scores["confusion"]) == (truth >= 0).sum()
    assert not (scored_data.predict_folder / "test_0_color.png").exists()
    assert (scored_data.predict_folder / "test_1_color.png").exists()
    assert (scored_data.predict_folder / "worst.png").exists()


def test_no_memory_for_any_listed_image_is_an_error(scored_data, monkeypatch):
    def too_large(self, photo):
        raise MemoryError

    monkeypatch.setattr(predict.Segmenter, "classes", too_large)
    with pytest.raises(UserError, match="not enough memory for any of the test images"):
        run(scored_data)


def test_no_temporary_file_is_left(scored_data):
    run(scored_data, scored_data.images / "test_0.png")
    names = [name for _, _, files in os.walk(scored_data.folder) for name in files]
    assert not [name for name in names if ".tmp" in name]


def test_a_photo_on_standard_input_goes_into_the_folder_that_is_named(
    scored_data, tmp_path, monkeypatch
):
    content = (scored_data.images / "test_0.png").read_bytes()
    stdin = SimpleNamespace(buffer=io.BytesIO(content))
    monkeypatch.setattr(sys, "stdin", stdin)
    folder = tmp_path / "new" / "results"
    assert run(scored_data, "-", "--output", folder) == 0
    endings = "classes", "color", "overlay"
    expected = [*(f"standard_input_{e}.png" for e in endings)]
    assert sorted(os.listdir(folder)) == sorted(["legend.png", *expected])
    run(scored_data, scored_data.images / "test_0.png")
    for ending in endings:
        other = scored_data.predict_folder / "inputs" / f"test_0_{ending}.png"
        ours = folder / f"standard_input_{ending}.png"
        assert ours.read_bytes() == other.read_bytes()


def test_class_numbers_of_a_video_are_written_on_request(scored_data, tmp_path):
    path = str(tmp_path / "clip.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 12, (50, 34))
    writer.write(np.zeros((34, 50, 3), np.uint8))
    writer.release()
    run(scored_data, path, "--output", tmp_path / "out", "--numbers")
    names = ["clip_classes.mkv", "clip_overlay.webm", "legend.png"]
    assert sorted(os.listdir(tmp_path / "out")) == names


@pytest.mark.parametrize("option", [["--output", "x"], ["--numbers"], ["--confidence"]])
def test_options_of_photos_and_videos_need_some(scored_data, capsys, option):
    with pytest.raises(SystemExit):
        run(scored_data, *option)
    assert "are for photos and videos; name some" in capsys.readouterr().err


def test_the_photos_that_the_model_is_least_sure_of_are_listed(
    scored_data, tmp_path, capsys
):
    photos = [scored_data.images / f"{name}.png" for name in ("test_0", "val_0")]
    run(scored_data, *photos, "--confidence", "--output", tmp_path / "out")
    args = chainer.global_config.user_test_args
    segmenter = predict.Segmenter(scored_data.model, args, chainer.get_device("@numpy"))
    means = [segmenter.classes_and_confidence(read_rgb(p))[1].mean() for p in photos]
    expected = [f"{photos[i]} {100 * means[i]:.1f} %" for i in np.argsort(means)]
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[-2:] == expected
    for path in photos:
        drawn = read_rgb(tmp_path / "out" / f"{path.stem}_confidence.png")
        assert drawn.shape[0] > read_rgb(path).shape[0]  # a legend stands below


def test_images_that_chose_the_best_model_are_counted(scored_data):
    run(scored_data, "--set", "test_image_pointer=val_pointer")
    assert scores_of(scored_data)["chosen_on"] == 2
    run(scored_data)
    assert scores_of(scored_data)["chosen_on"] == 0


@pytest.fixture
def second_model(scored_data):
    """File and network of other weights for the data of scored_data."""
    np.random.seed(8)
    model = FCN(3, 3)
    path = scored_data.folder / "second.npz"
    weights.save_npz(str(path), model)
    return path, model


def test_several_models_decide_by_the_mean_of_their_softmaxes(
    scored_data, second_model, capsys
):
    first = scored_data.folder / "result" / "model" / "fcn_best.npz"
    path, other = second_model
    assert run(scored_data, "--model", first, path) == 0
    scores = scores_of(scored_data)
    dataset = DatasetPreProcessor(chainer.global_config.user_test_args)
    confusion = np.zeros((3, 3), int)
    for i in range(2):
        image, truth = dataset[i]
        mean = 0
        for model in (scored_data.model, other):
            with chainer.using_config("train", False):
                h = np.float64(model.scores(image[None]).array[0])
            mean = mean + np.exp(h) / np.exp(h).sum(axis=0)
        np.add.at(confusion, (truth, mean.argmax(axis=0)), 1)
    assert scores["confusion"] == confusion.tolist()
    digest = file_digest(str(path))
    assert scores["model"] == "model/fcn_best.npz"
    assert scores["averaged_with"] == {"../second.npz": digest}
    assert f"averaged with {from_here(str(path))}" in capsys.readouterr().out
    report = (scored_data.folder / "result" / "report.html").read_text()
    assert "averaged with ../second.npz" in report


def test_models_and_photos_may_stand_behind_one_option(scored_data, second_model):
    first = scored_data.folder / "result" / "model" / "fcn_best.npz"
    photo = scored_data.images / "test_0.png"
    inputs = scored_data.predict_folder / "inputs"
    found = []
    for words in (
        ["--model", first, second_model[0], photo],
        [photo, "--model", first, "--model", second_model[0]],
        ["--model", first, photo],
    ):
        assert run(scored_data, *words) == 0
        found.append(cv2.imread(str(inputs / "test_0_classes.png")))
    assert (found[0] == found[1]).all()
    assert (found[0] != found[2]).any()


def test_models_that_need_different_inputs_are_not_averaged(scored_data, second_model):
    _, model = second_model
    paths = []
    for scale in (0.5, 0.25):
        scored_data.load(image_scale=scale)
        description = describe_model(chainer.global_config.user_train_args)
        paths.append(scored_data.folder / f"scale_{scale}.npz")
        weights.save_npz(str(paths[-1]), model, description)
    scored_data.write_config()
    with pytest.raises(
        UserError, match=r"image_scale: 0\.5, .*scale_0\.25.* with 0\.25"
    ):
        run(scored_data, "--model", *paths)
    assert run(scored_data, "--model", paths[0], paths[0]) == 0
