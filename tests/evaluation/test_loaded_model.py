"""A model in three lines of Python: what it gives, what it leaves alone, and what it refuses."""

import doctest
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import chainer
import numpy as np
import pytest
from conftest import COLORS, EMULATION, ROOT, SmallData, emulated
from demo_model import write_demo_model
from PIL import Image
from tiny_run import limit_file_size, peak_memory

from dataset.label_reader import read_label
from evaluation import load, loaded_model
from evaluation.model_description import describe_model
from evaluation.segmenter import Segmenter
from fcn_squeeze import FCN
from files import weights
from files.errors import UserError
from files.opencv import cv2
from layers.device import choose_device

PHOTO = np.random.default_rng(2).integers(0, 256, (50, 70, 3), np.uint8)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two runs' folders, of networks that must be used differently, and their Segmenters."""
    folder = tmp_path_factory.mktemp("models")
    data = SmallData(folder / "set", 2, 1, 1, (32, 48))
    runs = []
    for name, settings in (
        ("plain", {"image_scale": 0.5, "normalizer": "none"}),
        ("grey", {"in_ch": 1, "user_multiple": 48, "bypass": True}),
    ):
        data.load(**settings)
        args = chainer.global_config.user_test_args
        model = FCN(args.n_class, args.in_ch, bypass=args.bypass)
        text = describe_model(args, 1.5)
        weights.save_npz(str(folder / name / "model" / "fcn_best.npz"), model, text)
        segmenter = Segmenter(model, args, choose_device(-1), temperature=1.5)
        runs.append((folder / name, segmenter))
    return runs


@pytest.fixture
def folder(models):
    return models[0][0]


def test_a_result_holds_classes_names_confidence_and_overlay(models):
    folder, segmenter = models[0]
    result = load(folder)(PHOTO)
    classes, confidence = segmenter.classes_and_confidence(PHOTO)
    assert np.array_equal(result.classes, classes)
    assert np.array_equal(result.confidence, confidence)
    assert result.names == tuple(COLORS)
    colors = np.array(list(COLORS.values()))[classes]
    assert np.abs(result.overlay - (PHOTO.astype(int) + colors) / 2).max() <= 0.5


@pytest.mark.parametrize("with_confidence", [False, True])
def test_the_confidence_may_be_computed_at_once(folder, with_confidence):
    result = load(folder)(PHOTO, with_confidence)
    assert ("confidence" in vars(result)) == with_confidence
    assert np.array_equal(result.confidence, load(folder)(PHOTO).confidence)


def test_file_array_and_pathlike_give_the_same(folder, tmp_path):
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    segment = load(str(folder / "model" / "fcn_best.npz"))
    expected = segment(PHOTO).classes
    assert np.array_equal(segment(tmp_path / "photo.png").classes, expected)
    assert np.array_equal(segment(str(tmp_path / "photo.png")).classes, expected)


def test_grey_arrays_are_those_of_three_equal_channels(folder):
    segment = load(folder)
    grey = PHOTO[..., 0]
    expected = segment(np.dstack([grey] * 3)).classes
    assert np.array_equal(segment(grey).classes, expected)
    assert np.array_equal(segment(grey[..., None]).classes, expected)


def test_several_models_in_several_threads_do_not_disturb_each_other(models):
    segments = [load(folder) for folder, _ in models]
    expected = [segment(PHOTO, True) for segment in segments]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda i: segments[i % 2](PHOTO, True), range(12)))
    for number, result in enumerate(results):
        assert np.array_equal(result.classes, expected[number % 2].classes)
        assert np.array_equal(result.confidence, expected[number % 2].confidence)


def test_no_global_configuration_is_read_or_changed(models, monkeypatch):
    settings = chainer.global_config
    for name in ("user_train_args", "user_val_args", "user_test_args"):
        monkeypatch.setattr(settings, name, None, raising=False)
    monkeypatch.setattr(settings, "user_multiple", 7)
    monkeypatch.setattr(settings, "dtype", chainer.mixed16)
    before = {**vars(settings)}
    for folder, segmenter in models:
        classes = load(folder)(PHOTO).classes
        seen = PHOTO
        if segmenter.in_ch == 1:
            seen = cv2.cvtColor(PHOTO, cv2.COLOR_RGB2GRAY)[..., None]
        assert np.array_equal(classes, segmenter.classes(seen))
    assert vars(settings) == before


def test_a_list_gives_an_iterator_of_results_with_names_of_their_own(folder):
    results = load(folder)([PHOTO, PHOTO[:20]])
    assert next(results).name == "photo"
    second = next(results)
    assert second.name == "photo-2"
    assert second.classes.shape == (20, 70)
    assert next(results, None) is None


def test_photos_of_a_generator_are_taken_one_by_one(folder):
    taken = []
    results = load(folder)(taken.append(n) or PHOTO for n in range(1_000_000_000))
    names = [next(results).name for _ in range(3)]
    assert names == ["photo", "photo-2", "photo-3"]
    assert taken == [0, 1, 2]


def test_a_photo_that_cannot_be_used_does_not_end_the_iterator(folder):
    results = load(folder)([PHOTO, "nowhere.png", PHOTO / 255, PHOTO[:20]])
    assert next(results).name == "photo"
    for sentence in ("no such image file", "float64"):
        with pytest.raises(UserError, match=sentence):
            next(results)
    assert next(results).classes.shape == (20, 70)
    assert next(results, None) is None


def test_saved_class_numbers_are_a_palette_of_the_classes_colours(folder, tmp_path):
    segment = load(folder)
    result = segment(PHOTO)
    paths = result.save(tmp_path / "new", "x")
    names = [f"x_{what}.png" for what in ("classes", "color", "overlay")]
    assert [os.path.relpath(path, tmp_path / "new") for path in paths] == names
    with Image.open(paths[0]) as picture:
        assert np.array_equal(np.asarray(picture), result.classes)
        colors = np.array(list(COLORS.values()))[result.classes]
        assert np.array_equal(np.asarray(picture.convert("RGB")), colors)
    as_label = read_label(paths[0], segment._table, PHOTO.shape[:2])
    assert np.array_equal(as_label, result.classes)
    assert result.confidence.min() > 0
    assert os.path.exists(result.save(tmp_path)[3])


def test_the_worked_example_of_the_docstring_is_true(tmp_path, monkeypatch):
    write_demo_model(tmp_path)
    Image.fromarray(PHOTO).resize((160, 112)).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    examples = doctest.DocTestFinder().find(load, globs=vars(loaded_model))
    outcome = doctest.DocTestRunner().run(examples[0])
    assert outcome.attempted > 8 and not outcome.failed


@pytest.mark.parametrize(
    ("photo", "sentence"),
    [
        (PHOTO / 255, r"float64 .*\(photo \* 255\)\.astype"),
        (np.full((4, 4), np.nan, np.float32), "none is NaN"),
        (PHOTO > 9, r"bool .*photo\.astype\(np\.uint8\) \* 255"),
        (PHOTO.astype(np.uint16), r"uint16 .*photo // 257"),
        (PHOTO.astype(np.int64), "int64 .*give an array of uint8"),
        (np.zeros((5, 6, 4), np.uint8), r"alpha; give photo\[\.\.\., :3\]"),
        (np.zeros((3, 50, 60), np.uint8), r"stand first; give photo\.transpose"),
        (np.zeros((2, 5, 6, 3), np.uint8), r"as a list: list\(photos\)"),
        (np.zeros((5, 6, 7), np.uint8), r"\(H, W\) or \(H, W, 3\)"),
        (np.zeros(5, np.uint8), r"\(H, W\) or \(H, W, 3\)"),
        (np.zeros((0, 6), np.uint8), "without any pixel"),
        (5, "is of the type builtins.int"),
        ("nowhere.png", "nowhere.png: no such image file"),
    ],
    ids=str,
)
def test_what_is_no_photo_is_refused_in_a_sentence(folder, photo, sentence):
    with pytest.raises(UserError, match=sentence):
        load(folder)(photo)
    if not isinstance(photo, int):
        with pytest.raises(UserError, match=sentence):
            next(load(folder)([photo]))


def test_a_photo_of_one_pixel_has_a_class(folder):
    result = load(folder)(np.zeros((1, 1, 3), np.uint8))
    assert result.classes.shape == result.confidence.shape == (1, 1)


def segment_huge(folder: str) -> tuple:
    return load(folder)(np.zeros((10_000, 10_000), np.uint8)).classes.shape


@pytest.mark.slow
def test_a_photo_of_100_megapixels_takes_less_than_3_gib(folder):
    shape, memory = peak_memory(segment_huge, str(folder))
    assert shape == (10_000, 10_000)
    assert memory < 3 << 10


def damaged(path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def of_another_number_of_classes(path) -> None:
    text = weights.read_description(str(path))
    weights.save_npz(str(path), FCN(5, 3), text)


def described(change):
    def write(path) -> None:
        description = json.loads(weights.read_description(str(path)))
        change(description)
        weights.save_npz(str(path), FCN(3, 3), json.dumps(description))

    return write


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (damaged, "is damaged|checksum|changed"),
        (lambda path: path.write_bytes(path.read_bytes()[:5000]), "no usable .npz"),
        (
            of_another_number_of_classes,
            r"parameter add_layer/W is \(5, 15, 1, 1\) there",
        ),
        (
            lambda path: weights.save_npz(str(path), FCN(3, 3)),
            "does not say how it was",
        ),
        (
            described(lambda d: d.update(temperature=0)),
            "broken .temperature: Input should",
        ),
        (described(lambda d: d["settings"].update(in_ch=2)), "broken .in_ch"),
        (described(lambda d: d.update(classes=[])), "broken .classes"),
        (
            described(lambda d: d["classes"][0].__setitem__(1, [0, 0, 256])),
            "colour is not from 0 to 255",
        ),
    ],
)
def test_a_model_file_that_cannot_be_used_is_told_in_a_sentence(
    folder, tmp_path, harm, sentence
):
    path = tmp_path / "model.npz"
    path.write_bytes((folder / "model" / "fcn_best.npz").read_bytes())
    harm(path)
    with pytest.raises(UserError, match=sentence):
        load(path)


def test_a_folder_that_is_no_run_and_a_path_that_is_nothing_are_named(tmp_path):
    with pytest.raises(UserError, match="is no folder of a run: it holds no model/fcn"):
        load(tmp_path)
    with pytest.raises(UserError, match="nothing: no such file or folder"):
        load(tmp_path / "nothing")


@pytest.mark.parametrize("device", ["cpu", "cuda:0", -2, None, 0.0])
def test_a_device_that_is_no_number_of_one_is_refused(folder, device):
    with pytest.raises(UserError, match=f"device is {device!r}; give -1 for the CPU"):
        load(folder, device)


def test_a_gpu_that_is_missing_is_told_in_the_callers_words(folder, monkeypatch):
    monkeypatch.setattr(chainer.backends.cuda, "available", False)
    with pytest.raises(UserError, match="device: 3 cannot .*set device: -1 to use"):
        load(folder, device=3)


def save_on_full_disk(folder: str, out: str) -> tuple:
    result = load(folder)(PHOTO)
    limit_file_size(100)
    try:
        result.save(out)
    except UserError as error:
        return str(error), os.listdir(out)
    return "no error", []


def test_a_full_disk_is_told_and_leaves_no_part_of_a_file(folder, tmp_path):
    (message, left), _ = peak_memory(save_on_full_disk, str(folder), str(tmp_path))
    assert f"cannot write {tmp_path}/photo_classes.png" in message
    assert left == []


@emulated
def test_a_model_on_a_gpu_gives_the_classes_of_the_cpu(folder, tmp_path):
    program = (
        "import sys, numpy as np, chainer_compat, chainer; from evaluation import load\n"
        "photo = np.random.default_rng(2).integers(0, 256, (50, 70, 3), np.uint8)\n"
        "before = {**vars(chainer.global_config)}\n"
        "segment = load(sys.argv[1], device=0)\n"
        "assert segment._segmenter._model.conv1.W.device.name == '@cupy:0'\n"
        "result = segment(photo, True)\n"
        "assert vars(chainer.global_config) == before\n"
        "np.savez(sys.argv[2], result.classes, result.confidence)\n"
    )
    path = os.pathsep.join([str(EMULATION), str(ROOT)])
    words = [sys.executable, "-c", program, str(folder), str(tmp_path / "out.npz")]
    subprocess.run(words, env={**os.environ, "PYTHONPATH": path}, check=True)
    on_cpu = load(folder)(PHOTO, True)
    with np.load(tmp_path / "out.npz") as found:
        assert (found["arr_0"] == on_cpu.classes).mean() > 0.999
        np.testing.assert_allclose(found["arr_1"], on_cpu.confidence, atol=1e-4)
