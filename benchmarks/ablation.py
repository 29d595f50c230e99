"""Measures what each ingredient of the recipe is worth: python -m benchmarks.ablation --output result/ablation

Trains the book's recipe, the recommended one, the book's with one ingredient added and the
recommended one with one left out (and both with one that was not taken), each with several seeds,
and prints the scores of the last epoch's models on the test list as a table. With --leave-out, the
training images are divided into groups; each recipe is trained without each of them and scored on
it, and the table gives the means over the groups. A run that has been scored is not made again.
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.left_out import write_lists
from config import read_config
from files.command_line import add_config_arguments
from files.errors import UserError, run_program
from files.paths import PROJECT
from files.progress_bar import progress_bar
from files.text_table import markdown
from files.whole_file import write_text
from files.yaml_reader import flatten
from layers import threads

INGREDIENTS = {
    "left-right flips only": ["augmentation_params.flips"],
    "zoom": ["augmentation_params.zoom"],
    "small batches": ["training_params.batch_size"],
    "learning rate, decay, warm-up": [
        "training_params.learning_rate",
        "training_params.schedule",
        "training_params.warmup_iterations",
    ],
    "class weights": ["training_params.class_weights"],
    "Lovász-Softmax": ["training_params.lovasz"],
    "bypass": ["bypass"],
    "bilinear start": ["training_params.init_deconvolutions"],
    "deep supervision": ["training_params.deep_supervision"],
    "average of the weights": ["training_params.weight_average"],
    "gamma and saturation": [
        "augmentation_params.gamma",
        "augmentation_params.saturation",
    ],
}
# What was tried and is in neither recipe.
NOT_TAKEN = {
    "colour jitter": {
        "augmentation_params.color_gain": [0.6, 1.4],
        "augmentation_params.color_offset": 30,
    },
}
# A class is rare here with less than this share of the labelled pixels.
_RARE = 0.01


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    recipes = variants(arguments.book, arguments.config)
    if arguments.only:
        unknown = [name for name in arguments.only if name not in recipes]
        if unknown:
            raise UserError(f"--only {unknown[0]}: choose from {', '.join(recipes)}")
        recipes = {name: recipes[name] for name in recipes if name in arguments.only}
    groups = groups_of(arguments)
    seeds = range(arguments.seeds)
    runs = [(n, seed, group) for seed in seeds for group in groups for n in recipes]

    def figures_of(run: tuple[str, int, str]) -> dict[str, float]:
        name, seed, group = run
        place = os.path.join(name.replace(" ", "_"), group, f"seed_{seed}")
        sets = [f"{key}={json.dumps(value)}" for key, value in recipes[name].items()]
        sets += [*arguments.set, *groups[group], f"seed={seed}"]
        return figures(score(place, sets, arguments))

    with ThreadPoolExecutor(arguments.jobs) as pool:
        steps = pool.map(figures_of, runs)
        found = list(progress_bar(steps, len(runs), "run"))
    of_run = dict(zip(runs, found, strict=True))
    text = table(
        {
            name: [mean([of_run[name, s, group] for group in groups]) for s in seeds]
            for name in recipes
        }
    )
    entries = [
        {"recipe": name, "seed": seed, "left_out": group, **of_run[name, seed, group]}
        for name, seed, group in runs
    ]
    listed = json.dumps(entries, indent=1, ensure_ascii=False)
    write_text(os.path.join(arguments.output, "figures.json"), listed + "\n")
    write_text(os.path.join(arguments.output, "table.md"), text + "\n")
    print(text)
    return 0


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Measure what each ingredient of the recommended recipe is worth."
    )
    # The recommended recipe, and the data.
    add_config_arguments(parser, default="camseq01_recommended.yaml")
    parser.add_argument(
        "--book",
        default=str(PROJECT / "camseq01.yaml"),
        metavar="FILE",
        help="the recipe to compare with; of it, only the ingredients are used",
    )
    parser.add_argument("--seeds", type=int, default=3, help="runs of each recipe")
    parser.add_argument(
        "--leave-out",
        metavar="PATTERN",
        help="leave out one group of training images at a time, and judge on it: those whose "
        "names begin with the same match of a regular expression, such as [^_]+ for the drives "
        "of CamVid",
    )
    parser.add_argument("--only", action="append", help="a row to make; repeatable")
    parser.add_argument(
        "--jobs",
        type=int,
        default=threads.worker_count(),
        help="runs at a time, which share the cores",
    )
    parser.add_argument(
        "--output", required=True, metavar="FOLDER", help="where the runs go"
    )
    arguments = parser.parse_args(argv)
    if arguments.seeds < 1 or arguments.jobs < 1:
        raise UserError("--seeds and --jobs: at least 1")
    read_config(arguments.config, arguments.set)  # what is wrong with it is told now
    return arguments


def groups_of(arguments: argparse.Namespace) -> dict[str, list[str]]:
    """{group: what to --set to judge on it}; without --leave-out, one of the lists as they are."""
    if not arguments.leave_out:
        return {"": []}
    config = read_config(arguments.config, arguments.set)
    folder = os.path.join(os.path.abspath(arguments.output), "lists")
    return write_lists(config, arguments.leave_out, folder)


def variants(book: str, recommended: str) -> dict[str, dict]:
    """{name: the keys in which a recipe differs from the recommended one}, rows of the table.

    Of the ingredients, those in which the two configurations differ.
    """
    old, new = (flatten(read_config(p).model_dump()) for p in (book, recommended))
    ingredients = {
        name: keys
        for name, keys in INGREDIENTS.items()
        if any(old[key] != new[key] for key in keys)
    }
    keys = [key for ingredient in ingredients.values() for key in ingredient]
    all_old = {key: old[key] for key in keys}
    result = {"the book's": all_old}
    for name, added in ingredients.items():
        result[f"the book's + {name}"] = {
            key: value for key, value in all_old.items() if key not in added
        }
    for name, left_out in ingredients.items():
        result[f"recommended - {name}"] = {
            key: value for key, value in all_old.items() if key in left_out
        }
    for name, tried in NOT_TAKEN.items():
        result[f"the book's + {name}"] = {**all_old, **tried}
        result[f"recommended + {name}"] = tried
    result["recommended"] = {}
    return result


def score(place: str, sets: list[str], arguments) -> dict:
    """Train and score one recipe with one seed, unless that has been done.

    Args:
        place: folder of the run, below ``--output``.
        sets: the keys to ``--set``, as KEY=VALUE.

    Raises:
        UserError: gives the output of a run that failed.
    """
    folder = Path(arguments.output).resolve() / place
    path = folder / "predict" / "scores.json"
    if not path.is_file():
        pairs = [*sets, f"output_path={folder}"]
        options = [word for pair in pairs for word in ("--set", pair)]
        options = ["--config", arguments.config, *options]
        model = str(folder / "model" / "fcn_final.npz")
        _run(["train.py", *options, "--resume"], arguments.jobs)
        _run(["predict.py", *options, "--model", model], arguments.jobs)
    return json.loads(path.read_text(encoding="utf-8"))


def _run(words: list[str], jobs: int) -> None:
    per_run = max(1, threads.worker_count() // jobs)
    run_script([str(PROJECT / words[0]), *words[1:]], OMP_NUM_THREADS=str(per_run))


def run_script(
    words: list[str], folder: Path | None = None, **environment: str
) -> None:
    """Run one of the programs in a folder; experiments.py calls it, too.

    Raises:
        UserError: it failed; holds what it printed.
    """
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        check=False,
        env={**os.environ, **environment, "PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode:
        raise UserError(f"{shlex.join(words)}\n{done.stdout}{done.stderr}")


def figures(scores: dict) -> dict[str, float]:
    """What the table shows of a scores.json, in the order of its columns."""
    return {
        "pixel_accuracy": scores["pixel_accuracy"],
        "mean_iou": scores["mean_iou"],
        "mean_iou_of_rare_classes": _rare_iou(scores),
    }


def mean(found: list[dict[str, float]]) -> dict[str, float]:
    """The mean of each figure."""
    return {key: statistics.mean(f[key] for f in found) for key in found[0]}


def table(found: dict[str, list[dict[str, float]]]) -> str:
    """The figures as Markdown: mean and standard deviation over the seeds, in per cent."""
    rare = f"of classes below {_RARE:.0%} of the pixels"
    rows = [["recipe", "runs", "pixel accuracy", "mean IoU", rare]]
    for name, of_seeds in found.items():
        columns = zip(*(f.values() for f in of_seeds), strict=True)
        rows.append([name, str(len(of_seeds)), *map(_mean_and_spread, columns)])
    return markdown(rows)


def _rare_iou(scores: dict) -> float:
    total = sum(c["pixels"] for c in scores["classes"])
    rare = [c["iou"] for c in scores["classes"] if 0 < c["pixels"] < _RARE * total]
    return statistics.mean(rare) if rare else float("nan")


def _mean_and_spread(values: list[float]) -> str:
    text = f"{100 * statistics.mean(values):.1f}"
    if len(values) > 1:
        text += f" ± {100 * statistics.stdev(values):.1f}"
    return text


if __name__ == "__main__":
    run_program(main)
