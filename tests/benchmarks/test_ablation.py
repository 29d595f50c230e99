import json
from pathlib import Path

import pytest
from tiny_run import in_forked_process

from benchmarks import ablation
from config import read_config
from files.errors import UserError
from files.paths import PROJECT
from files.yaml_reader import flatten

BOOK_AND_RECOMMENDED = [
    str(PROJECT / name) for name in ("camseq01.yaml", "camseq01_recommended.yaml")
]


def scores(accuracy, miou, ious):
    classes = [
        {"iou": iou, "pixels": pixels}
        for iou, pixels in zip(ious, (1000, 5, 0), strict=True)
    ]
    return {"pixel_accuracy": accuracy, "mean_iou": miou, "classes": classes}


def test_table_gives_mean_and_spread_over_the_seeds():
    runs = [scores(0.8, 0.4, (0.9, 0.1, None)), scores(0.9, 0.5, (0.9, 0.3, None))]
    line = ablation.table(
        {"some recipe": [ablation.figures(s) for s in runs]}
    ).splitlines()[-1]
    assert line == "| some recipe | 2 | 85.0 ± 7.1 | 45.0 ± 7.1 | 20.0 ± 14.1 |"


def test_each_ingredient_is_added_to_the_one_and_left_out_of_the_other():
    recipes = ablation.variants(*BOOK_AND_RECOMMENDED)
    keys = set(recipes["the book's"])
    assert recipes["recommended"] == {}
    for name, own in ablation.INGREDIENTS.items():
        if not set(own) <= keys:
            continue
        assert set(recipes[f"recommended - {name}"]) == set(own)
        assert set(recipes[f"the book's + {name}"]) == keys - set(own)
    assert recipes["recommended - zoom"] == {"augmentation_params.zoom": [1, 1]}
    jitter = {
        "augmentation_params.color_gain": [0.6, 1.4],
        "augmentation_params.color_offset": 30,
    }
    assert recipes["recommended + colour jitter"] == jitter
    assert recipes["the book's + colour jitter"] == recipes["the book's"] | jitter


def test_ingredients_differ_between_the_two_recipes():
    old, new = (
        flatten(read_config(PROJECT / name).model_dump())
        for name in ("camseq01.yaml", "camseq01_recommended.yaml")
    )
    keys = set(ablation.variants(*BOOK_AND_RECOMMENDED)["the book's"])
    assert all(old[key] != new[key] for key in keys)
    others = {key for key in new if old[key] != new[key]} - keys
    assert others == {"ignore_labels", "output_path", "training_params.snapshot_epochs"}


def test_recipes_are_trained_scored_and_not_made_again(small_data, capsys, monkeypatch):
    book = small_data.folder / "book.yaml"
    keys = {
        "bypass": False,
        "augmentation_params": {
            "flips": "both",
            "zoom": [1, 1],
            "color_gain": [1, 1],
            "color_offset": 0,
        },
        "training_params": {
            "epochs": 1,
            "batch_size": 5,
            "learning_rate": 0.001,
            "schedule": "constant",
            "warmup_iterations": 0,
            "class_weights": 0,
            "lovasz": 0,
        },
    }
    small_data.write_config(**keys).rename(book)
    keys["training_params"]["lovasz"] = 0.5
    recommended = small_data.write_config(**keys)
    arguments = ["--book", str(book), "--config", str(recommended), "--seeds", "1"]
    arguments += ["--output", str(small_data.folder / "ablation"), "--jobs", "1"]
    arguments += ["--only", "recommended", "--only", "recommended - Lovász-Softmax"]
    output = small_data.folder / "output.txt"

    def run(words, _):
        assert in_forked_process(words[0], words[1:], output) == 0, output.read_text()

    monkeypatch.setattr(ablation, "_run", run)
    assert ablation.main(arguments) == 0
    first = capsys.readouterr().out
    found = list((small_data.folder / "ablation").rglob("scores.json"))
    assert len(found) == 2
    losses = {
        json.loads((path.parents[1] / "log").read_text())[0]["main/loss"]
        for path in found
    }
    assert len(losses) == 2
    monkeypatch.setattr(ablation, "_run", lambda *_: pytest.fail("made again"))
    assert ablation.main(arguments) == 0
    assert capsys.readouterr().out == first


def test_each_group_is_left_out_once_and_the_mean_is_taken(
    small_data, capsys, monkeypatch
):
    lines = ["a_1.png", "a_2.png\ta_2_L.png", "sub/b_1.png"]
    (small_data.folder / "train_pointer").write_text("\n".join(lines))
    recipe = small_data.write_config()

    def made_up(words, _):
        given = dict(word.split("=", 1) for word in words if "=" in word)
        train, test = (
            Path(given[f"{part}_image_pointer"]).read_text().splitlines()
            for part in ("train", "test")
        )
        assert sorted(train + test) == sorted(lines)
        path = Path(given["output_path"]) / "predict" / "scores.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        share = len(test) / 10  # 20 % where two images are judged on, 10 % for one
        path.write_text(json.dumps(scores(share, share, (0.9, share, None))))

    monkeypatch.setattr(ablation, "_run", made_up)
    arguments = ["--config", str(recipe), "--book", str(recipe), "--seeds", "1"]
    arguments += ["--output", str(small_data.folder / "out"), "--only", "recommended"]
    assert ablation.main([*arguments, "--leave-out", "[^_]+"]) == 0
    assert "| recommended | 1 | 15.0 | 15.0 | 15.0 |" in capsys.readouterr().out
    stored = json.loads((small_data.folder / "out" / "figures.json").read_text())
    assert {s["left_out"]: s["mean_iou"] for s in stored} == {"a": 0.2, "b": 0.1}


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(", "is no regular expression"),
        ("x", "does not begin with x"),
        (".*?_", "all images are of one group, train_"),
    ],
)
def test_groups_that_are_none_are_refused(small_data, pattern, said):
    path = str(small_data.write_config())
    arguments = ["--config", path, "--output", str(small_data.folder / "out")]
    with pytest.raises(UserError, match=said):
        ablation.main([*arguments, "--leave-out", pattern])


def test_run_that_fails_gives_its_reason(small_data):
    arguments = [
        "--output",
        str(small_data.folder / "a"),
        "--set",
        "image_dir_path=none_such",
    ]
    arguments += ["--only", "recommended", "--seeds", "1"]
    with pytest.raises(UserError, match="train.py"):
        ablation.main(arguments)


def test_row_that_is_none_is_an_error_with_the_rows_there_are(small_data):
    with pytest.raises(UserError, match="--only zoom: choose from the book's, "):
        ablation.main(["--output", "unused", "--only", "recommended", "--only", "zoom"])


def test_override_that_is_none_is_told_before_anything_runs(monkeypatch):
    monkeypatch.setattr(ablation, "_run", lambda *_: pytest.fail("it ran"))
    with pytest.raises(UserError, match="--set seed: expected KEY=VALUE"):
        ablation.main(["--output", "unused", "--set", "seed"])
