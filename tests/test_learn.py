"""learn.py as its users start it."""

import json
import re

import chainer_compat

import chainer
import numpy as np
import pytest
from conftest import write_picture

import learn
from fcn_squeeze import FCN
from files import weights
from files.errors import UserError
from learning import checkerboard


@pytest.fixture(autouse=True)
def short_training(monkeypatch):
    """Of the checkerboards' kernels, which take most of the time."""
    monkeypatch.setattr(checkerboard, "_STEPS", (0, 1, 2))


HOSTILE = "<script>alert(1)</script>&'"


def make_run(data, **changes):
    """A finished run of a small data set, without training."""
    data.load(**changes)
    args = chainer.global_config.user_val_args
    np.random.seed(0)
    model = FCN(args.n_class, args.in_ch, dilated=args.dilated, bypass=args.bypass)
    for version in ("best", "1", "2"):
        weights.save_npz(args.model_path.format(version), model)
    log = [
        {"epoch": n, "elapsed_time": n, "validation/main/miou": 0.1 * n} for n in (1, 2)
    ]
    (data.folder / "result" / "log").write_text(json.dumps(log))
    return data.folder / "result"


def test_the_table_needs_neither_configuration_nor_model(capsys):
    learn.main(["--table", "--size", "176", "240"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["layer", "kernel"]
    assert "1446.64" in lines[-1]


def test_without_config_it_reads_the_one_beside_it(tmp_path, capsys):
    output = ["--set", f"output_path={tmp_path}"]
    with pytest.raises(UserError, match=f"no trained model .*{tmp_path}"):
        learn.main(output)
    learn.main(["--table", "--set", "in_ch=1"])  # the demo's, of 32 classes
    assert "1 x 176 x 240" in capsys.readouterr().out


def test_the_table_is_of_the_network_of_the_configuration(small_data, capsys):
    path = small_data.write_config(dilated=False)
    learn.main(["--config", str(path), "--table", "--size", "32", "48"])
    fire9 = next(
        x for x in capsys.readouterr().out.splitlines() if x.startswith("fire9")
    )
    assert fire9.split()[-3:] == ["155", "16", "14"]


def test_a_size_that_the_network_does_not_take_is_refused():
    with pytest.raises(
        UserError, match="--size: 100 96: both must be positive multiples of 8"
    ):
        learn.main(["--table", "--size", "100", "96"])


def test_without_a_trained_run_it_says_how_to_train(small_data):
    path = small_data.write_config()
    with pytest.raises(UserError, match=r"no trained model .*train.py --config"):
        learn.main(["--config", str(path)])


def test_it_writes_both_pages_of_a_run_and_they_need_nothing_else(small_data, capsys):
    table = (small_data.folder / "label_color").read_text()
    (small_data.folder / "label_color").write_text(table.replace("Road", HOSTILE))
    out = make_run(small_data)
    learn.main(["--config", str(small_data.config_path)])
    assert capsys.readouterr().out.split()[-2:] == [
        str(out / n) for n in ("learn.html", "learn.ja.html")
    ]
    for name in ("learn.html", "learn.ja.html"):
        page = (out / name).read_text(encoding="utf-8")
        assert len(page) < 6e6
        assert len(re.findall("<section", page)) == 10
        outside = page.replace("http://www.w3.org/2000/svg", "")  # a name, never loaded
        assert not re.search(r"https?:|<link|@import|{{|{%", outside)
        assert {u.split(":")[0] for u in re.findall(r'src="([^"]+)', page)} == {"data"}
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize("changes", [{"in_ch": 1}, {"dilated": False, "bypass": True}])
def test_grey_images_and_the_first_network_have_their_pages_too(small_data, changes):
    out = make_run(small_data, **changes)
    if "in_ch" in changes:
        for path in small_data.images.glob("*[0-9].png"):
            write_picture(
                path, np.random.default_rng(0).integers(0, 256, (32, 48), np.uint8)
            )
    photo = small_data.folder / "photo.png"
    write_picture(
        photo, np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    )
    learn.main(["--config", str(small_data.config_path), "--photo", str(photo)])
    page = (out / "learn.html").read_text(encoding="utf-8")
    assert "photo.png (64 x 48)" in page


def test_a_photo_that_is_too_small_is_refused(small_data):
    make_run(small_data)
    photo = small_data.folder / "photo.png"
    write_picture(photo, np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(UserError, match="--photo: .*8 x 8 pixels"):
        learn.main(["--config", str(small_data.config_path), "--photo", str(photo)])
