"""The export as a user runs it, with an untrained network."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import chainer
import numpy as np
import pytest
from tiny_run import limit_file_size

import export
from evaluation.segmenter import Segmenter
from fcn_squeeze import FCN
from files import weights
from files.digest import file_digest
from files.errors import UserError, run_program
from files.opencv import cv2
from layers.device import choose_device

has_onnx = all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime"))
needs_onnx = pytest.mark.skipif(
    not has_onnx,
    reason="needs the extra onnx: UV_PROJECT_ENVIRONMENT=.venv-onnx uv run --extra onnx pytest",
)


@pytest.fixture
def trained(small_data):
    """A data set, and weights of an untrained network where those of a trained one would be."""
    small_data.load(image_scale=0.5)
    np.random.seed(7)
    small_data.model = FCN(3, 3)
    small_data.weights = small_data.folder / "result/model/fcn_best.npz"
    weights.save_npz(str(small_data.weights), small_data.model)
    small_data.onnx = small_data.folder / "model.onnx"
    return small_data


def run(data, *options) -> int:
    output = "--output", str(data.onnx)
    return export.main(["--config", str(data.config_path), *output, *map(str, options)])


def leftovers(data) -> list[Path]:
    return [path for path in data.folder.rglob("*") if ".tmp" in path.name]


@needs_onnx
def test_the_file_gives_the_classes_of_predict(trained, capsys):
    import onnxruntime

    assert run(trained) == 0
    session = onnxruntime.InferenceSession(str(trained.onnx))
    photo = cv2.imread(str(trained.images / "test_1.png"))[..., ::-1]
    (classes,) = session.run(None, {"photo": photo[None]})
    args = chainer.global_config.user_test_args
    segmenter = Segmenter(trained.model, args, choose_device(-1))
    assert np.array_equal(classes[0], segmenter.classes(photo))
    stored = session.get_modelmeta().custom_metadata_map
    assert json.loads(stored["names"]) == ["Sky", "Road", "Car"]
    assert json.loads(stored["weights_sha256"]) == file_digest(str(trained.weights))
    found = "test_0.png: all 1,536 pixels have the same class"
    assert found in capsys.readouterr().out


@needs_onnx
def test_the_network_alone_takes_normalised_images(trained):
    import onnxruntime

    trained.onnx = trained.folder / "new" / "network.onnx"  # the folder is made
    assert run(trained, "--network-only") == 0
    session = onnxruntime.InferenceSession(str(trained.onnx))
    x = np.random.default_rng(0).normal(0, 1, (2, 3, 32, 16)).astype(np.float32)
    (scores,) = session.run(["scores"], {"image": x})
    with chainer.no_backprop_mode():
        np.testing.assert_allclose(scores, trained.model.scores(x).array, atol=1e-4)


@needs_onnx
def test_a_file_that_exists_is_only_replaced_when_asked(trained):
    trained.onnx.write_text("precious")
    with pytest.raises(UserError, match=r"model\.onnx exists; .*--overwrite"):
        run(trained)
    assert trained.onnx.read_text() == "precious"
    assert run(trained, "--overwrite") == 0
    assert trained.onnx.stat().st_size > 1 << 20


@needs_onnx
def test_a_folder_is_no_file(trained):
    trained.onnx.mkdir()
    with pytest.raises(UserError, match="is a folder; name a file"):
        run(trained, "--overwrite")


@needs_onnx
def test_weights_of_another_number_of_classes_are_named(trained):
    other = trained.folder / "other.npz"
    weights.save_npz(str(other), FCN(5, 3))
    with pytest.raises(UserError, match=r"--model: .*other\.npz.*compare n_class"):
        run(trained, "--model", other)
    assert not trained.onnx.exists()


@needs_onnx
def test_without_a_model_the_command_that_makes_one_is_named(trained):
    trained.weights.unlink()
    with pytest.raises(UserError, match=r"no trained model .* train\.py --config"):
        run(trained)


@needs_onnx
def test_a_model_that_finds_other_classes_is_not_kept(trained, monkeypatch):
    classes = Segmenter.classes
    monkeypatch.setattr(
        Segmenter, "classes", lambda self, x: (classes(self, x) + 1) % 3
    )
    with pytest.raises(
        UserError, match=r"another class .* for 1,5\d\d of 1,536 pixels"
    ):
        run(trained)
    assert not trained.onnx.exists()
    assert not leftovers(trained)


@needs_onnx
def test_a_network_that_finds_other_classes_is_not_kept(trained, monkeypatch):
    scores = Segmenter.scores
    monkeypatch.setattr(Segmenter, "scores", lambda self, x: -scores(self, x))
    with pytest.raises(UserError, match=r"another class .* pixels"):
        run(trained, "--network-only")
    assert not trained.onnx.exists()


@needs_onnx
def test_a_graph_that_onnx_refuses_is_not_kept(trained, monkeypatch):
    from exporting import onnx_graph

    network_graph = onnx_graph.network_graph

    def without_its_first_node(model):
        graph = network_graph(model)
        del graph.graph.node[0]
        return graph

    monkeypatch.setattr(onnx_graph, "network_graph", without_its_first_node)
    with pytest.raises(UserError, match="ONNX's checker refuses the model"):
        run(trained, "--network-only")
    assert not trained.onnx.exists()


@needs_onnx
def test_without_onnx_runtime_the_file_is_written_unchecked(
    trained, monkeypatch, capsys
):
    find_spec = importlib.util.find_spec
    hidden = lambda name, *more: (
        None if name == "onnxruntime" else find_spec(name, *more)
    )
    monkeypatch.setattr(importlib.util, "find_spec", hidden)
    assert run(trained) == 0
    assert "not compared" in capsys.readouterr().out
    assert trained.onnx.exists()


@needs_onnx
def test_a_full_disk_leaves_the_old_file(trained):
    trained.onnx.write_text("precious")
    program = Path(export.__file__)
    options = "--config", trained.config_path, "--output", trained.onnx, "--overwrite"
    done = subprocess.run(
        [sys.executable, program, *options],
        preexec_fn=lambda: limit_file_size(1 << 20),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert f"error: cannot write {trained.onnx}: File too large" in done.stderr
    assert trained.onnx.read_text() == "precious"
    assert not leftovers(trained)


@needs_onnx
def test_without_npm_no_page_is_begun(trained, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UserError, match="npm is not installed"):
        run(trained, "--web", trained.folder / "page")
    assert not trained.onnx.exists()


@needs_onnx
def test_a_page_that_exists_is_only_replaced_when_asked(trained, monkeypatch):
    monkeypatch.setattr(export, "find_npm", lambda: "npm")
    (trained.folder / "page.js").write_text("precious")
    with pytest.raises(UserError, match=r"page\.js exists; .*--overwrite"):
        run(trained, "--web", trained.folder)


@needs_onnx
def test_the_model_is_not_written_over_by_the_page(trained, monkeypatch):
    monkeypatch.setattr(export, "find_npm", lambda: "npm")
    trained.onnx = trained.folder / "page" / "model.js"
    with pytest.raises(UserError, match=r"model\.js is a file of the page itself"):
        run(trained, "--web", trained.folder / "page")
    assert not trained.onnx.exists()


@needs_onnx
def test_the_page_alone_brings_the_model_as_a_file_too(trained, monkeypatch):
    monkeypatch.setattr(export, "find_npm", lambda: "npm")
    monkeypatch.setattr("exporting.web_export.fetch_runtime", lambda: (b"js", b"wasm"))
    page = trained.folder / "page"
    assert export.main(["--config", str(trained.config_path), "--web", str(page)]) == 0
    names = {path.name for path in page.iterdir()}
    assert names == {*export.PAGE_FILES, "model.onnx"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], "give --output FILE, --web FOLDER, or both"),
        (["--web", "page", "--network-only"], "leave --network-only away"),
    ],
)
def test_options_that_do_not_fit_together_are_a_sentence(options, sentence):
    with pytest.raises(UserError, match=sentence):
        export.main(["--config", "config.yaml", *options])


def test_without_the_package_onnx_the_extra_is_named(small_data, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    small_data.onnx = small_data.folder / "model.onnx"
    with pytest.raises(SystemExit) as stop:
        run_program(lambda: run(small_data))
    assert stop.value.code == 2
    assert "uv run --extra onnx export.py" in capsys.readouterr().err
