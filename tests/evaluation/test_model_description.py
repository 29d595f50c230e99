"""A model file says how the model was trained; predict.py goes by it, and refuses a contradiction."""

import json

import chainer
import numpy as np
import pytest
from test_fcn_squeeze import StockNetwork
from tiny_run import TinyRun

import predict
from evaluation.model_description import describe_model
from fcn_squeeze import FCN
from files import weights
from files.errors import UserError
from files.npz_reader import read_npz

# All that differs from the defaults, so that only the model's file can tell.
TRAINED = {
    "bypass": True,
    "image_scale": 0.5,
    "normalizer": "none",
    "user_multiple": 8,
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of one epoch with TRAINED, and the scores of its model under the same settings."""
    from conftest import SmallData

    folder = tmp_path_factory.mktemp("described") / "set"
    data = SmallData(folder, train=2, val=2, test=2, size=(64, 96))
    run = TinyRun(data, training_params={"epochs": 1}, **TRAINED)
    assert run.here() == 0
    data.run = run
    data.scores = scores_under(data, **TRAINED)
    return data


def scores_under(data, **settings) -> dict:
    data.write_config(**settings)
    assert predict.main(["--config", str(data.config_path)]) == 0
    scores = json.loads((data.folder / "result/predict/scores.json").read_text())
    return {key: scores[key] for key in ("confusion", "classes", "at_photo_size")}


def test_keys_that_the_configuration_leaves_out_are_the_models(trained, capsys):
    assert scores_under(trained) == trained.scores
    assert "note:" not in capsys.readouterr().out


def test_best_final_and_intermediate_models_say_the_same(trained):
    trained.load(**TRAINED)
    expected = describe_model(chainer.global_config.user_train_args)
    folder = trained.folder / "result" / "model"
    for name in ("fcn_1.npz", "fcn_final.npz"):
        assert weights.read_description(str(folder / name)) == expected
    best = json.loads(weights.read_description(str(folder / "fcn_best.npz")))
    assert best.pop("temperature") > 0
    assert best == json.loads(expected)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            "bypass=false",
            r"bypass is false .* trained with true; use --set bypass=true",
        ),
        ("image_scale=1", r"image_scale is 1.0 .* use --set image_scale=0.5"),
        ("normalizer=GCN", r"normalizer is GCN .* use --set normalizer=none"),
        ("dilated=false", r"dilated is false .* use --set dilated=true"),
        ("in_ch=1", r"in_ch is 1 .* use --set in_ch=3"),
        ("user_multiple=16", r"user_multiple is 16 .* use --set user_multiple=8"),
    ],
)
def test_a_contradiction_names_key_values_and_way_out(trained, change, sentence):
    trained.write_config()
    with pytest.raises(UserError, match=sentence):
        predict.main(["--config", str(trained.config_path), "--set", change])


def test_all_contradictions_are_named_at_once(trained):
    trained.write_config(bypass=False, image_scale=1.0)
    with pytest.raises(UserError, match=r"(?s)bypass is.*image_scale is"):
        predict.main(["--config", str(trained.config_path)])


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("1,2,3,Sky\n4,5,6,Road\n", "has 2 classes, but .* was trained with 3"),
        (
            "128,128,128,Sky\n64,0,128,Car\n128,64,128,Road\n",
            r"class 1 is 'Car' \(64, 0, 128\) in .* trained with 'Road' \(128, 64, 128\)",
        ),
    ],
)
def test_other_classes_are_a_contradiction(trained, table, sentence):
    path = trained.folder / "other_table"
    path.write_text(table)
    trained.write_config(label_path="other_table")
    with pytest.raises(UserError, match=sentence):
        predict.main(["--config", str(trained.config_path)])


def test_a_plain_weight_file_goes_by_the_configuration_and_says_so(trained, capsys):
    config = trained.load(**TRAINED)
    path = trained.folder / "plain.npz"
    described = read_npz(trained.folder / "result/model/fcn_best.npz", "", 1 << 30)
    del described[weights.DESCRIPTION]
    np.savez(path, **described)
    assert (
        predict.main(["--config", str(trained.config_path), "--model", str(path)]) == 0
    )
    scores = json.loads((trained.folder / "result/predict/scores.json").read_text())
    assert scores["confusion"] == trained.scores["confusion"]
    assert f"{path} does not say how it was trained" in capsys.readouterr().out
    assert config.bypass


def test_chainers_own_load_npz_reads_a_described_model(trained):
    path = str(trained.folder / "result" / "model" / "fcn_best.npz")
    ours, stock = FCN(3, 3), StockNetwork(3, 3, dilated=True)
    for model in (ours, stock):
        chainer.serializers.load_npz(path, model)
    stored = read_npz(path, "", 1 << 30)
    for model in (ours, stock):
        for name, param in model.namedparams():
            assert np.array_equal(param.array, stored[name.lstrip("/")])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[" * 100_000,
        '{"settings": {"image_scale": 1e999}, "classes": []}',
        '{"settings": {"user_multiple": 7}, "classes": []}',
        '{"settings": {}, "classes": [["Sky", [1, 2]]]}',
        '{"settings": {"bypass": "yes"}, "classes": []}',
        '{"settings": {}, "classes": [["Sky", [1, 2, 3]]], "temperature": 1e-40}',
    ],
)
def test_a_broken_description_is_a_sentence(small_data, text):
    small_data.load()
    path = str(small_data.folder / "model.npz")
    weights.save_npz(path, FCN(3, 3), text)
    with pytest.raises(UserError, match="its description is broken"):
        predict.main(["--config", str(small_data.config_path), "--model", path])


@pytest.mark.parametrize("value", [np.zeros(3), np.array(["a", "b"])])
def test_a_description_that_is_no_text_is_a_sentence(small_data, value):
    small_data.load()
    path = str(small_data.folder / "model.npz")
    arrays = chainer.serializers.npz.serialize(FCN(3, 3))
    weights.write_npz(path, {**arrays, weights.DESCRIPTION: value})
    with pytest.raises(UserError, match="its description is no text"):
        predict.main(["--config", str(small_data.config_path), "--model", path])


def test_weights_that_are_not_finite_predict_nothing(small_data):
    small_data.load()
    path = str(small_data.folder / "model.npz")
    model = FCN(3, 3)
    model.fire4.conv2.W.array[3, 2] = np.nan
    weights.save_npz(path, model)
    with pytest.raises(UserError, match=r"fire4/conv2/W has values .* not finite"):
        predict.main(["--config", str(small_data.config_path), "--model", path])
