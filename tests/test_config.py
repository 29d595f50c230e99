import os
import re
from pathlib import Path
from typing import Annotated

import chainer_compat

import chainer
import pytest
import yaml

import config
from config import dump_config, load_config, read_config
from dataset.label_table import read_label_table
from dataset.list_reader import read_list
from files.errors import UserError
from files.yaml_reader import flatten

ROOT = Path(__file__).parent.parent


def error_of(small_data, *overrides: str, **changes) -> str:
    with pytest.raises(UserError) as caught:
        load_config(small_data.write_config(**changes), overrides)
    return str(caught.value)


def error_of_file(path) -> str:
    with pytest.raises(UserError) as caught:
        load_config(path)
    return str(caught.value)


def test_global_config_holds_the_chapters_settings(small_data):
    small_data.load(
        training_params={"weight_decay": 0.25}, augmentation_params={"do_augment": True}
    )
    train = chainer.global_config.user_train_args
    test = chainer.global_config.user_test_args
    assert chainer.global_config.user_multiple == 16
    assert (train.train, test.train) == (True, False)
    assert train.training_params.weight_decay == 0.25
    assert train.aug_params.do_augment and train.aug_params.params.do_flip
    assert not test.aug_params.do_augment
    assert (train.n_class, train.in_ch, train.gpu, train.debug_mode) == (
        3,
        3,
        -1,
        False,
    )
    assert train.image_pointer_path == str(small_data.folder / "train_pointer")
    assert test.image_pointer_path == str(small_data.folder / "test_pointer")
    assert train.label_path == str(small_data.folder / "label_color")
    assert train.output_path == str(small_data.folder / "result")
    assert test.model_path.format(test.model_version).endswith(
        "result/model/fcn_best.npz"
    )


def test_relative_paths_are_relative_to_the_file(small_data, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert small_data.load().image_dir_path == str(small_data.images)


def test_override_stands_in_for_the_key_of_the_file(small_data):
    path = small_data.write_config()
    loaded = load_config(
        path, ["training_params.epochs=7", "ignore_labels=[Car]", "seed=3"]
    )
    assert (loaded.training_params.epochs, loaded.seed) == (7, 3)
    assert chainer.global_config.user_train_args.label_table.ignored == {2}


def test_number_without_a_dot_before_its_exponent_is_a_number(small_data):
    assert (
        small_data.load(
            training_params={"learning_rate": "1e-3"}
        ).training_params.learning_rate
        == 1e-3
    )


def test_stored_configuration_loads_to_the_same_settings(small_data):
    loaded = small_data.load()
    elsewhere = small_data.folder / "result" / "deep"
    elsewhere.mkdir(parents=True)
    (elsewhere / "config.yaml").write_text(dump_config(loaded, elsewhere))
    assert load_config(elsewhere / "config.yaml") == loaded


def test_every_key_stands_in_config_yaml_with_a_comment():
    text = (ROOT / "config.yaml").read_text()
    commented_out = {"n_class", "background_label", "crop_size", "init_weights"}
    assert set(flatten(yaml.safe_load(text))) | commented_out == {
        key
        for key in config.KEYS
        if key not in ("training_params", "augmentation_params")
    }
    for key in [k.rpartition(".")[2] for k in config.KEYS]:
        paragraph = next(p for p in text.split("\n\n") if f"{key}:" in p)
        assert "#" in paragraph, key


def test_every_key_stands_in_the_table_of_the_docs():
    text = (ROOT / "docs" / "configuration.md").read_text()
    named = set(re.findall(r"`[\w.]*?(\w+)`", text))
    assert {key.rpartition(".")[2] for key in config.KEYS} - named == {
        "training_params",
        "augmentation_params",
    }


CAMSEQ01 = {
    "image_dir_path": str(ROOT / "data/CamSeq01"),
    "train_image_pointer": str(ROOT / "camseq01/train_image_pointer"),
    "val_image_pointer": str(ROOT / "camseq01/test_image_pointer"),
    "test_image_pointer": str(ROOT / "camseq01/test_image_pointer"),
    "label_path": str(ROOT / "data/CamSeq01/label_colors.txt"),
    "output_path": str(ROOT / "result/camseq01"),
    "ignore_labels": [],
    "ignore_index": 255,
    "label_values": "class_numbers",
    "background_label": None,
    "init_weights": None,
    "n_class": None,
    "in_ch": 3,
    "image_scale": 0.25,
    "user_multiple": 16,
    "crop_size": None,
    "normalizer": "GCN",
    "dilated": True,
    "bypass": False,
    "training_params.learning_rate": 0.001,
    "training_params.schedule": "constant",
    "training_params.poly_power": 0.9,
    "training_params.warmup_iterations": 0,
    "training_params.batch_size": 20,
    "training_params.weight_decay": 0.0005,
    "training_params.epochs": 99,
    "training_params.restarts": [],
    "training_params.patience": 0,
    "training_params.snapshot_epochs": 5,
    "training_params.class_weights": 0,
    "training_params.freeze": [],
    "training_params.lovasz": 0,
    "training_params.deep_supervision": 0,
    "training_params.init_deconvolutions": "random",
    "training_params.weight_average": 0,
    "training_params.half_size_epochs": 0,
    "augmentation_params.do_augment": True,
    "augmentation_params.do_flip": True,
    "augmentation_params.flips": "both",
    "augmentation_params.do_scale": False,
    "augmentation_params.scale": [0.25, 0.5],
    "augmentation_params.change_brightness": False,
    "augmentation_params.change_contrast": False,
    "augmentation_params.zoom": [1, 1],
    "augmentation_params.color_gain": [1, 1],
    "augmentation_params.color_offset": 0,
    "augmentation_params.gamma": [1, 1],
    "augmentation_params.saturation": [1, 1],
    "gpu": -1,
    "dtype": "float32",
    "communicator": "auto",
    "seed": 0,
    "loader_jobs": 2,
    "cache_size": 256,
    "debug_mode": False,
}
RECOMMENDED = {
    **CAMSEQ01,
    "output_path": str(ROOT / "result/camseq01_recommended"),
    "ignore_labels": ["Void"],
    "bypass": True,
    "training_params.learning_rate": 0.002,
    "training_params.schedule": "poly",
    "training_params.warmup_iterations": 20,
    "training_params.batch_size": 5,
    "training_params.snapshot_epochs": 33,
    "training_params.class_weights": 0.25,
    "training_params.lovasz": 2,
    "augmentation_params.flips": "left_right",
    "augmentation_params.zoom": [0.75, 1.75],
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("camseq01.yaml", CAMSEQ01), ("camseq01_recommended.yaml", RECOMMENDED)],
    ids=["book", "recommended"],
)
def test_camseq01_is_the_books_experiment_or_the_recommended_one(name, expected):
    found = flatten(read_config(ROOT / name).model_dump())
    assert {key: found[key] for key in expected} == expected
    # Other keys, which the book does not know, have their default.
    assert set(flatten(yaml.safe_load((ROOT / name).read_text()))) <= set(expected)


class TestMadeUpKey:
    """What follows from one new line in Config."""

    @pytest.fixture(params=[(), (config.Mark.FREE,), (config.Mark.PATH,)], ids=str)
    def marks(self, request):
        return request.param

    def test_key_of_a_section_has_its_marks(self, monkeypatch, marks):
        class Params(config.TrainingParams):
            momentum: Annotated[(float, *marks, "not a mark")] = 0.5

        class Extended(config.Config):
            training_params: Params = Params()

        monkeypatch.setattr(config, "KEYS", config._keys(Extended))
        key = "training_params.momentum"
        assert [mark for mark in config.Mark if key in config.marked(mark)] == [*marks]

    def test_key_is_passed_on(self, small_data):
        class Extended(config.Config):
            momentum: float = 0.5

        loaded = small_data.load()
        config.set_global_config(Extended(**loaded.model_dump()))
        assert chainer.global_config.user_test_args.momentum == 0.5


class TestErrors:
    def test_missing_file(self, tmp_path):
        with pytest.raises(
            UserError, match=r"configuration: cannot read .*nope.yaml: No such file"
        ):
            load_config(tmp_path / "nope.yaml")

    def test_yaml_that_does_not_parse_gives_line_and_column(self, small_data):
        small_data.config_path.write_text("gpu: -1\nseed: [1, 2\nin_ch: }\n")
        with pytest.raises(
            UserError, match=r"config.yaml, line 3, column \d+: no valid YAML"
        ):
            load_config(small_data.config_path)

    @pytest.mark.parametrize("text", ["", "just text", "[1, 2]"])
    def test_yaml_that_is_no_mapping(self, small_data, text):
        small_data.config_path.write_text(text)
        with pytest.raises(UserError, match="expected lines 'key: value'"):
            load_config(small_data.config_path)

    def test_unknown_key_gives_its_line_and_the_nearest_known_one(self, small_data):
        path = small_data.write_config()
        lines = [*path.read_text().splitlines(), "imge_scale: 0.5"]
        path.write_text("\n".join(lines))
        with pytest.raises(UserError) as caught:
            load_config(path)
        assert (
            f"line {len(lines)}: unknown key imge_scale; did you mean image_scale?"
            in str(caught.value)
        )

    def test_unknown_key_of_a_section(self, small_data):
        message = error_of(small_data, training_params={"epoch": 3})
        assert (
            "unknown key training_params.epoch; did you mean training_params.epochs?"
            in message
        )

    def test_key_set_twice(self, small_data):
        path = small_data.write_config()
        path.write_text(path.read_text() + "seed: 1\nseed: 2\n")
        with pytest.raises(UserError, match="seed is set a second time"):
            load_config(path)

    def test_missing_key(self, small_data):
        path = small_data.write_config()
        path.write_text(path.read_text().replace("label_path: label_color\n", ""))
        with pytest.raises(
            UserError, match="label_path: the key is missing; only labels that"
        ):
            load_config(path)

    def test_last_epochs_see_the_whole_size(self, small_data):
        epochs = ["training_params.epochs=3", "training_params.half_size_epochs=3"]
        with pytest.raises(
            UserError,
            match="half_size_epochs: 3 is not allowed; it should be less than",
        ):
            load_config(small_data.write_config(), epochs)

    @pytest.mark.parametrize(
        "override",
        [
            "training_params.batch_size=0",
            "training_params.batch_size=2.5",
            "training_params.batch_size=true",
            "training_params.epochs=many",
            "training_params.learning_rate=-1",
            "training_params.learning_rate=.nan",
            "training_params.weight_decay=-0.1",
            "training_params.snapshot_epochs=0",
            f"training_params.snapshot_epochs={10**400}",
            f"training_params.epochs={10**400}",
            f"training_params.warmup_iterations={10**400}",
            f"training_params.batch_size=0x{'f' * 5000}",
            f"training_params.learning_rate={10**400}",
            "training_params.schedule=cosine",
            "training_params.poly_power=0",
            "training_params.restarts=[0]",
            "training_params.restarts=[2]",
            "training_params.restarts=[1, 1]",
            "training_params.warmup_iterations=-1",
            "training_params.class_weights=sqrt_median",
            "training_params.class_weights=2",
            "training_params.lovasz=-0.5",
            "training_params.deep_supervision=-1",
            "training_params.init_deconvolutions=linear",
            "training_params.weight_average=1",
            "training_params.half_size_epochs=-1",
            "training_params=3",
            "augmentation_params.do_flip=1",
            "augmentation_params.scale=[]",
            "augmentation_params.scale=[0]",
            "augmentation_params.flips=horizontal",
            "augmentation_params.zoom=[1.5]",
            "augmentation_params.zoom=[2, 1]",
            "augmentation_params.color_gain=[-1, 1]",
            "augmentation_params.color_offset=-1",
            "augmentation_params.gamma=[0, 1]",
            "augmentation_params.saturation=[1, 9]",
            "image_scale=0",
            "image_scale=1.1",
            "image_scale=true",
            "in_ch=2",
            "in_ch=true",
            "in_ch=3.0",
            "image_scale=2020-01-01",
            f"output_path={'a/' * 1500}b",
            f"cache_size={10**400}",
            f"user_multiple={16 * 10**400}",
            f"gpu={10**400}",
            "n_class=0",
            "normalizer=gcn",
            "user_multiple=0",
            "user_multiple=10",
            "crop_size=240",
            "crop_size=[240]",
            "crop_size=[240, 328]",
            "crop_size=[0, 16]",
            "crop_size=[16, 65536]",
            "gpu=-2",
            "dtype=float16",
            "communicator=mpi",
            "seed=-1",
            "dilated=maybe",
            "bypass=1",
            "debug_mode=2",
            "loader_jobs=-1",
            "cache_size=-1",
            "output_path=",
            "ignore_labels=Sky",
        ],
    )
    def test_wrong_type_or_value_is_named_with_its_key(self, small_data, override):
        key = override.partition("=")[0]
        message = error_of(small_data, override)
        assert message.startswith(f"--set {override}: {key}")
        assert "is not allowed; it should" in message

    def test_undilated_network_needs_multiples_of_16(self, small_data):
        assert small_data.load(user_multiple=8).user_multiple == 8
        message = error_of(small_data, user_multiple=8, dilated=False)
        assert (
            "user_multiple: 8 is not allowed; it should be a multiple of 16" in message
        )

    def test_wrong_value_in_the_file_is_named_with_its_line(self, small_data):
        message = error_of(small_data, training_params={"batch_size": 0})
        line = (
            small_data.config_path.read_text().splitlines().index("  batch_size: 0") + 1
        )
        assert message == (
            f"{small_data.config_path}, line {line}: training_params.batch_size: 0 is not "
            "allowed; it should be greater than or equal to 1"
        )

    @pytest.mark.parametrize("override", ["seed", "=3", "seed=[1", "seed.x=1"])
    def test_override_that_is_none(self, small_data, override):
        assert error_of(small_data, override).startswith(f"--set {override}")

    def test_n_class_that_disagrees_with_the_table(self, small_data):
        assert "n_class: 4 disagrees with" in error_of(small_data, n_class=4)

    def test_ignored_class_that_is_in_no_row(self, small_data):
        assert "ignore_labels: 'Void' is no class of" in error_of(
            small_data, ignore_labels=["Void"]
        )

    @pytest.mark.parametrize(
        "value", ["!!bool zz", "!!int ''", "!!timestamp zz", "! x", "!!set {a}"]
    )
    def test_tags_are_refused_with_line_and_column(self, small_data, value):
        small_data.config_path.write_text(f"seed: 1\ndo_flip: {value}\n")
        with pytest.raises(UserError, match="line 2, column 10: .*tags .* not used"):
            load_config(small_data.config_path)

    @pytest.mark.parametrize(
        ("written", "shown"),
        [
            ("2020-01-01", "2020-01-01"),
            ("null", "None"),
            ("~", "None"),
            ("yes", "True"),
            ("false", "False"),
            ("0x10", "16"),
            ("1.50", "1.5"),
        ],
    )
    def test_keys_that_are_no_text_are_unknown_keys(self, small_data, written, shown):
        path = small_data.write_config()
        path.write_text(f"{written}: 1\n{path.read_text()}")
        with pytest.raises(UserError, match=f"line 1: unknown key {shown}"):
            load_config(path)

    def test_key_that_is_no_text_of_a_section_gives_its_line(self, small_data):
        path = small_data.write_config()
        path.write_text(
            path.read_text().replace("ing_params:\n", "ing_params:\n  null: 1\n")
        )
        line = path.read_text().split("\n").index("  null: 1") + 1
        with pytest.raises(
            UserError, match=f"line {line}: unknown key training_params"
        ):
            load_config(path)

    def test_two_spellings_of_one_key_that_is_no_text_are_set_twice(self, small_data):
        path = small_data.write_config()
        path.write_text(f"null: 1\n~: 2\n{path.read_text()}")
        with pytest.raises(UserError, match="line 2: None is set a second time"):
            load_config(path)

    @pytest.mark.parametrize("key", ['"a\\e[2Jb"', '"a\\nb"', '"a\\u202Eb"'])
    def test_control_characters_of_a_key_do_not_reach_the_terminal(
        self, small_data, key
    ):
        path = small_data.write_config()
        path.write_text(path.read_text() + f"{key}: 1\n")
        message = error_of_file(path)
        assert message.isprintable() and "unknown key a\\" in message
        path.write_text(path.read_text() + f"{key}: 1\n")
        message = error_of_file(path)
        assert message.isprintable() and "is set a second time" in message

    def test_control_characters_of_an_override_do_not_reach_the_terminal(
        self, small_data
    ):
        for override in ("\x1b[2J", "\x1b=1", "seed=[\x1b", "seed.\x1b=1", "seed=\x1b"):
            assert error_of(small_data, override).isprintable()

    def test_control_characters_of_a_path_do_not_reach_the_terminal(self, small_data):
        path = small_data.folder / "a\x1b[2J.yaml"
        for text in (
            "seed: [",
            "seed: -1",
            "1",
            "a: 1\na: 2",
            "#" * (1 << 20) + "\na: 1",
        ):
            path.write_text(text)
            assert error_of_file(path).replace("\n       ", "").isprintable()
        path.unlink()
        assert error_of_file(path).isprintable()

    def test_pipe_device_or_folder_is_no_configuration(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        for path in (tmp_path / "pipe", "/dev/zero", tmp_path):
            assert "is a folder, pipe or device, not a file" in error_of_file(path)

    def test_config_of_more_than_a_megabyte(self, small_data):
        small_data.config_path.write_text("#" * (1 << 20) + "\nseed: 1\n")
        with pytest.raises(UserError, match="larger than 1 MiB"):
            load_config(small_data.config_path)


@pytest.mark.parametrize("name", ["CamSeq01", "CamVid"])
def test_missing_data_of_the_field_say_where_to_get_them(small_data, name):
    message = error_of(small_data, f"image_dir_path=data/{name}", "label_path=none")
    assert f"{name} is not in " in message
    guide = os.path.join("docs", f"{name.lower()}.md")
    assert f"{guide} says how to get it" in message and (ROOT / guide).is_file()


def test_camvids_lists_are_the_official_ones():
    loaded = read_config(ROOT / "camvid.yaml")
    keys = ("train_image_pointer", "val_image_pointer", "test_image_pointer")
    images = [read_list(getattr(loaded, key), key) for key in keys]
    names = [[name.rpartition("/")[2] for name in part.images] for part in images]
    assert [len(part) for part in names] == [367, 101, 233]
    assert len(set().union(*names)) == 701
    # CamSeq01's frames are those to validate with.
    camseq01 = set()
    for path in (ROOT / "camseq01").iterdir():
        camseq01 |= set(read_list(str(path), "").images)
    assert set(names[1]) == camseq01
    for part, folder in zip(images, ("train", "val", "test"), strict=True):
        for image, label in zip(part.images, part.labels, strict=True):
            assert image.startswith(f"{folder}/")
            assert label == image.replace(folder, f"{folder}annot")


def test_camvid_has_11_classes_and_ignores_the_twelfth_number():
    loaded = read_config(ROOT / "camvid.yaml")
    table = read_label_table(loaded.label_path, loaded.ignore_labels)
    assert len(table) == 11 == loaded.ignore_index


@pytest.mark.parametrize(
    ("override", "wanted"),
    [
        ("ignore_labels=Void", "a list: write [Void]"),
        ("augmentation_params.zoom=1", "a list: write [1]"),
        ("augmentation_params.zoom=[1]", "a list of 2 or more"),
        ("augmentation_params.zoom=[1, 1, 1]", "a list of no more than 2"),
        ("training_params=3", "a section: indented lines 'key: value' below it"),
        ("bypass=1", "true or false"),
        ("loader_jobs=two", "an integer"),
        ("image_scale=half", "a number"),
        ("label_path=1", "text"),
    ],
)
def test_what_a_value_should_be_is_said_in_words_of_the_file(
    small_data, override, wanted
):
    assert error_of(small_data, override).endswith(
        f"is not allowed; it should be {wanted}"
    )
