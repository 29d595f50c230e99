"""A training that starts from another one's model, whole or class by class."""

import functools
import shutil

import chainer
import numpy as np
import pytest
from conftest import stored_weights
from tiny_run import TinyRun, die_at_write

from dataset.label_table import read_label_table
from evaluation.model_description import describe_model
from fcn_squeeze import FCN
from files.errors import UserError
from files.weights import save_npz
from training.initial_weights import start_from

CLASS_LAYERS = ("score_", "add_layer", "upsample_")


@pytest.fixture
def other(small_data, tmp_path):
    """A function that stores a model of classes with these names, and gives its path."""

    def make(*names: str, describe: bool = True, **kind) -> str:
        small_data.load()
        args = chainer.global_config.user_train_args
        table = tmp_path / "other_classes"
        rows = [f"{10 * i},1,2,{name}\n" for i, name in enumerate(names)]
        table.write_text("r,g,b,label\n" + "".join(rows))
        args.label_table = read_label_table(str(table), [])
        np.random.seed(7)
        path = str(tmp_path / "other.npz")
        model = FCN(len(names), 3, **kind)
        save_npz(path, model, describe_model(args) if describe else None)
        small_data.load()
        return path

    return make


def started(path: str) -> tuple[FCN, dict, str]:
    """A network of Sky, Road, Car that starts from a file; its first weights; what was said."""
    np.random.seed(1)
    model = FCN(3, 3)
    before = {name: p.array.copy() for name, p in model.namedparams()}
    said = start_from(path, model, chainer.global_config.user_train_args)
    return model, before, said


def test_rows_of_classes_are_found_by_their_names(other):
    path = other("Car", "Tree", "Sky", "Wall")
    model, before, said = started(path)
    there = stored_weights(path)
    here = {name.lstrip("/"): p.array for name, p in model.namedparams()}
    for name, value in here.items():
        if not name.startswith(CLASS_LAYERS):
            assert (value == there[name]).all(), name
    pairs = [(0, 2), (2, 0)]  # Sky, Car; Road is new
    for ours, theirs in pairs:
        assert (here["score_pool9/W"][ours] == there["score_pool9/W"][theirs]).all()
        assert here["upsample_final/b"][ours] == there["upsample_final/b"][theirs]
        for ours_in, theirs_in in pairs:
            kernel = here["upsample_final/W"][ours_in, ours]
            assert (kernel == there["upsample_final/W"][theirs_in, theirs]).all()
            for block in range(
                3
            ):  # add_layer's inputs: all classes of p1, of u4, of u9
                weight = here["add_layer/W"][ours, 3 * block + ours_in, 0, 0]
                expected = there["add_layer/W"][theirs, 4 * block + theirs_in, 0, 0]
                assert weight == expected
    assert (here["score_pool9/W"][1] == before["/score_pool9/W"][1]).all()
    assert (here["upsample_final/W"][1] == before["/upsample_final/W"][1]).all()
    assert "known   Sky, Car" in said and "new     Road" in said


def test_file_without_names_is_taken_where_the_shapes_agree(other):
    path = other("Sky", "Road", "Car", describe=False, dilated=False)
    model, before, said = started(path)
    there = stored_weights(path)
    assert (model.score_pool1.W.array == there["score_pool1/W"]).all()
    # 4 x 4 here, 8 x 8 in the network that is not dilated: the bias stays fresh, too.
    assert (model.upsample_pool9.W.array == before["/upsample_pool9/W"]).all()
    assert "random    upsample_pool9" in said
    assert "does not name its classes" in said


def test_layers_of_another_number_of_classes_without_names_stay_random(other):
    model, before, _ = started(other("a", "b", describe=False))
    assert (model.score_pool1.W.array == before["/score_pool1/W"]).all()
    assert (model.conv1.W.array != before["/conv1/W"]).any()


def test_another_use_of_the_photo_is_said(other, small_data):
    path = other("Sky")
    small_data.load(normalizer="LCN")
    assert "trained with normalizer: GCN, here it is LCN" in started(path)[2]


def test_file_of_which_nothing_fits_is_an_error(other, tmp_path):
    other("Sky")
    np.savez(tmp_path / "foreign.npz", x=np.zeros(3, np.float32))
    with pytest.raises(UserError, match="no layer of it fits"):
        started(str(tmp_path / "foreign.npz"))


def test_frozen_run_killed_and_resumed_without_the_file_is_the_undisturbed_one(
    other, small_data, tmp_path
):
    path = other("Car", "Sky")
    frozen = ["conv1", "fire2", "score_pool4"]
    settings = {"init_weights": path, "training_params": {"freeze": frozen}}
    run = TinyRun(small_data, **settings)
    assert run.here() == 0
    expected = run.results()
    weights, there = (
        stored_weights(run.out / "model" / "fcn_final.npz"),
        stored_weights(path),
    )
    for name in weights:
        if name.startswith(("conv1", "fire2")):
            assert (weights[name] == there[name]).all(), name
    assert (weights["fire3/conv1/W"] != there["fire3/conv1/W"]).any()

    die = functools.partial(die_at_write, 1000)
    assert run.finish("--overwrite", prepare=die) == -9
    assert run.snapshots()
    (tmp_path / "other.npz").unlink()
    assert run.finish("--resume") == 0, run.output
    assert run.results() == expected
    other("Car", "Road")
    with pytest.raises(UserError, match="the weights in init_weights"):
        run.here("--resume")


def test_file_in_the_runs_own_folder_is_refused_and_kept(other, small_data):
    path = other("Car", "Sky")
    own = small_data.folder / "result" / "model" / "fcn_best.npz"
    own.parent.mkdir(parents=True)
    shutil.copy(path, own)
    with pytest.raises(UserError, match="lies in output_path"):
        TinyRun(small_data, init_weights=str(own)).here("--overwrite")
    assert own.is_file()
