from pathlib import Path
from types import SimpleNamespace

import chainer_compat

import chainer
import pytest
import yaml

import config
from config import dump_config, load_config
from files.errors import UserError

ROOT = Path(__file__).parent.parent


def error_of(small_data, *overrides: str, **changes) -> str:
    with pytest.raises(UserError) as caught:
        load_config(small_data.write_config(**changes), overrides)
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


@pytest.mark.parametrize(
    "name", ["config.yaml", "camseq01.yaml", "camseq01_recommended.yaml"]
)
def test_every_key_stands_in_the_files_of_the_project_with_a_comment(name):
    text = (ROOT / name).read_text()
    values = yaml.safe_load(text)
    config.Config.model_validate(values)
    for key in [k.rpartition(".")[2] for k in config.KNOWN_KEYS]:
        paragraph = next(p for p in text.split("\n\n") if f"{key}:" in p)
        assert "#" in paragraph, key


def test_camseq01_is_the_books_experiment():
    values = yaml.safe_load((ROOT / "camseq01.yaml").read_text())
    assert values["image_scale"] == 0.25
    assert values["training_params"] == {
        "learning_rate": 0.001,
        "batch_size": 20,
        "weight_decay": 0.0005,
        "epochs": 99,
        "snapshot_epochs": 5,
        "schedule": "constant",
        "poly_power": 0.9,
        "warmup_iterations": 0,
        "class_weights": 0,
        "lovasz": 0,
    }
    assert not values["bypass"]
    augmentation = values["augmentation_params"]
    flags = (
        "do_augment",
        "do_flip",
        "do_scale",
        "change_brightness",
        "change_contrast",
    )
    assert [augmentation[flag] for flag in flags] == [True, True, False, False, False]
    assert augmentation["flips"] == "both"
    assert augmentation["zoom"] == augmentation["color_gain"] == [1, 1]
    assert augmentation["color_offset"] == 0


class TestErrors:
    def test_missing_file(self, tmp_path):
        with pytest.raises(
            UserError, match=r"cannot read the configuration .*nope.yaml: No such file"
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
        with pytest.raises(UserError, match="the key label_path is missing"):
            load_config(path)

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
            "training_params.schedule=cosine",
            "training_params.poly_power=0",
            "training_params.warmup_iterations=-1",
            "training_params.class_weights=sqrt_median",
            "training_params.class_weights=2",
            "training_params.lovasz=-0.5",
            "training_params=3",
            "augmentation_params.do_flip=1",
            "augmentation_params.scale=[]",
            "augmentation_params.scale=[0]",
            "augmentation_params.flips=horizontal",
            "augmentation_params.zoom=[1.5]",
            "augmentation_params.zoom=[2, 1]",
            "augmentation_params.color_gain=[-1, 1]",
            "augmentation_params.color_offset=-1",
            "image_scale=0",
            "image_scale=1.1",
            "image_scale=true",
            "in_ch=2",
            "n_class=0",
            "normalizer=gcn",
            "user_multiple=0",
            "user_multiple=10",
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

    def test_config_of_more_than_a_megabyte(self, small_data):
        small_data.config_path.write_text("#" * (1 << 20) + "\nseed: 1\n")
        with pytest.raises(UserError, match="more than 1 MiB"):
            load_config(small_data.config_path)


@pytest.mark.parametrize("uv, start", [("/bin/uv", "uv run"), (None, "python")])
def test_next_command_is_the_one_that_works_where_this_one_did(monkeypatch, uv, start):
    monkeypatch.delenv("UV", raising=False)
    if uv:
        monkeypatch.setenv("UV", uv)
    arguments = SimpleNamespace(config="my config.yaml", set=["seed=1"])
    assert config.command("train.py", arguments, "--resume") == (
        f"{start} train.py --config 'my config.yaml' --set seed=1 --resume"
    )
