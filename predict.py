"""Scores a trained model, or applies it to photos and videos: python predict.py --config config.yaml"""

if __name__ == "__main__":
    import files.ctrl_c  # noqa: F401  (until all below is imported)

import argparse
import json
import os
import sys
import time

import chainer_compat

import chainer
import numpy as np

from config import Config, load_config
from dataset.list_reader import read_list
from evaluation import panels, trained_model
from evaluation.application import apply_model
from evaluation.calibration import calibration_figures
from evaluation.figures import draw_confusion, draw_reliability
from evaluation.input_files import DistinctNames, standard_input
from evaluation.report import write_report
from evaluation.scoring import (
    Scores,
    TooLarge,
    example_row,
    image_title,
    score_images,
    score_table,
)
from evaluation.segmenter import Segmenter
from files import whole_file
from files.command_line import add_config_arguments
from files.digest import file_digest
from files.errors import UserError, printable_lines, run_program
from files.paths import from_here, relative
from files.png_writer import write_png
from files.progress_bar import print_above, progress_bar
from files.text_table import percent
from layers.device import choose_device
from mini_batch_loader import DatasetPreProcessor
from training import distributed, output_folder
from training.preflight import refuse_missing_files

# Images on best.png, and on worst.png.
_SHOWN = 3


def main(argv: list[str] | None = None) -> int:
    processes = distributed.join()
    arguments = parse_arguments(argv)
    with processes.one_first():
        config = load_config(arguments.config, arguments.set)
    if arguments.inputs and processes.rank:
        return 0  # photos are done by the first process; a list is scored by all
    segmenter = restore_segmenter(config, arguments, processes)
    args = chainer.global_config.user_test_args
    folder = os.path.join(args.output_path, "predict")
    output_folder.remove_leftovers(args.output_path)
    if arguments.inputs:
        with standard_input(arguments.inputs) as inputs:
            to = arguments.output or os.path.join(folder, "inputs")
            extras = arguments.numbers, arguments.confidence
            return apply_model(segmenter, inputs, args.label_table, to, *extras)
    return score_model(segmenter, args, arguments, folder, processes)


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Score a trained model on the test images, or apply it to photos and videos."
    )
    parser.add_argument(
        "inputs",
        nargs="*",
        metavar="INPUT",
        help="a photo, a video, or a folder of them, or - for a photo on standard input; "
        "without any, the test images are scored",
    )
    parser.add_argument(
        "--output",
        metavar="FOLDER",
        help="where the results of INPUTs go; without it, output_path/predict/inputs",
    )
    parser.add_argument(
        "--numbers",
        action="store_true",
        help="of videos, write the class numbers, too: NAME_classes.mkv, lossless",
    )
    parser.add_argument(
        "--confidence",
        action="store_true",
        help="of photos, write the probability of the class taken, too: NAME_confidence.png; "
        "and list the photos that the model is least sure of: the ones to label next",
    )
    add_config_arguments(parser)
    trained_model.add_models_argument(parser)
    parser.add_argument(
        "--mirror",
        action="store_true",
        help="average the scores with those of the mirrored image: better, in twice the time",
    )
    parser.add_argument(
        "--scales",
        type=scales,
        default=[1.0],
        metavar="0.75,1,1.25",
        help="average the scores of the image scaled by each of these: better, and slower",
    )
    arguments = parser.parse_intermixed_args(argv)
    trained_model.separate_models(arguments)
    for_inputs = arguments.output, arguments.numbers, arguments.confidence
    if not arguments.inputs and any(for_inputs):
        parser.error(
            "--output, --numbers and --confidence are for photos and videos; name some"
        )
    return arguments


def scales(text: str) -> list[float]:
    """The factors behind --scales."""
    try:
        factors = [float(word) for word in text.split(",")]
    except ValueError:
        factors = []
    if not factors or not all(0.25 <= factor <= 4 for factor in factors):
        raise argparse.ArgumentTypeError(
            f"{text} is no list of factors from 0.25 to 4, such as 0.75,1,1.25"
        )
    return factors


def restore_segmenter(config: Config, arguments, processes) -> Segmenter:
    """The trained network, or several that are averaged, on their device."""
    model = trained_model.restore_models(config, arguments)
    args = chainer.global_config.user_test_args
    device = choose_device(processes.gpu(args.gpu))
    model.to_device(device)
    temperature = trained_model.model_temperature(arguments.model)
    if arguments.averaged_with:
        temperature = 1.0  # each model has used its own before
    ways = arguments.mirror, arguments.scales
    return Segmenter(model, args, device, *ways, temperature)


def score_model(segmenter: Segmenter, args, arguments, folder: str, processes) -> int:
    """Score the test images: table, scores.json, pictures; the exit code is 2 if some are left out."""
    model_path = arguments.model
    table = args.label_table
    digest = file_digest(model_path)
    others = {
        relative(path, args.output_path): file_digest(path)
        for path in arguments.averaged_with
    }
    dataset = DatasetPreProcessor(args)
    refuse_missing_files(dataset)
    scores, scored = score_and_draw(segmenter, dataset, folder, processes)
    if processes.rank:
        return 0
    left_out = np.delete(dataset.names, scored).tolist()
    if not scored:
        raise UserError("there was not enough memory for any of the test images")
    if not scores.confusion.any():
        raise UserError(
            f"test_image_pointer: no image of {args.image_pointer_path} has a labelled pixel; "
            "compare the labels with ignore_labels"
        )
    figures = {
        "model": relative(model_path, args.output_path),
        "model_sha256": digest,
        "averaged_with": others,
        "mirrored": arguments.mirror,
        "chosen_on": count_chosen_on(dataset, model_path),
        "scales": arguments.scales,
        "time": time.strftime("%Y-%m-%d %H:%M"),
        **scores.as_dict(),
        "left_out": left_out,
        "calibration": calibration_figures(scores.reliability, segmenter.temperature),
    }
    draw_reliability(figures["calibration"], os.path.join(folder, "reliability.png"))
    draw_confusion(scores.confusion, table, os.path.join(folder, "confusion.png"))
    draw_examples(segmenter, dataset, figures["images"], scored, folder)
    text = json.dumps(figures, indent=1, ensure_ascii=False)
    whole_file.write_text(os.path.join(folder, "scores.json"), text + "\n")
    print_scores(figures, model_path, folder)
    print(f"report: {from_here(write_report(args.output_path))}")
    if not left_out:
        return 0
    print(
        f"without {len(left_out)} of the {len(dataset)} test images; the reasons are above"
    )
    return 2


def score_and_draw(
    segmenter: Segmenter, dataset: DatasetPreProcessor, folder: str, processes
) -> tuple[Scores, list[int]]:
    """Score each image of a list and write its classes in colours; errors are printed.

    Returns:
        tuple: the scores, and the places in the list of the images that could be scored; empty
        in all processes but the first.
    """
    table = dataset.args.label_table
    names = [os.path.splitext(os.path.normpath(name))[0] for name in dataset.names]
    targets = list(map(DistinctNames(), names))
    scores, scored = Scores(table), []
    images = score_images(segmenter, dataset, processes)
    if processes.rank == 0:
        images = progress_bar(images, len(dataset), "image")
    for image in images:
        if isinstance(image, TooLarge):
            print_above(f"error: {printable_lines(image)}", sys.stderr)
            continue
        scored.append(image.index)
        scores.add(image)
        colors = table.colors_of_classes(image.photo_classes)
        write_png(os.path.join(folder, f"{targets[image.index]}_color.png"), colors)
    return scores, scored


def count_chosen_on(dataset: DatasetPreProcessor, model_path: str) -> int:
    """Images of a list by which fcn_best was chosen among the epochs; 0 for other models."""
    val = chainer.global_config.user_val_args
    if os.path.realpath(model_path) != os.path.realpath(val.model_path.format("best")):
        return 0
    try:
        names = read_list(val.image_pointer_path, val.image_pointer_key).images
    except UserError:  # the list is not needed any more
        return 0
    return len(
        {*map(os.path.normpath, names)} & {*map(os.path.normpath, dataset.names)}
    )


def draw_examples(
    segmenter: Segmenter,
    dataset: DatasetPreProcessor,
    images: list[dict],
    indices: list[int],
    folder: str,
) -> None:
    """Draw best.png and worst.png: the images, of given places, with the most and fewest pixels right."""
    scored = [
        i for i, image in enumerate(images) if image["pixel_accuracy"] is not None
    ]
    scored.sort(key=lambda i: -images[i]["pixel_accuracy"])
    for name, chosen in (
        ("best", scored[:_SHOWN]),
        ("worst", scored[: -_SHOWN - 1 : -1]),
    ):
        rows = [
            example_row(segmenter, dataset, indices[i], image_title(images[i]))
            for i in chosen
        ]
        title = (
            f"The {len(rows)} {name} of {len(images)} test images, by pixel accuracy"
        )
        path = os.path.join(folder, f"{name}.png")
        panels.draw_rows(path, title, panels.HEADINGS, rows, dataset.args.label_table)


def at_scales(factors: list[float]) -> str:
    if factors == [1]:
        return ""
    return f", averaged at the scales {', '.join(f'{factor:g}' for factor in factors)}"


def overall(figures: dict) -> str:
    return (
        f"pixel accuracy {percent(figures['pixel_accuracy'])}, "
        f"mean IoU {percent(figures['mean_iou'])}, mean Dice {percent(figures['mean_dice'])}"
    )


def print_scores(figures: dict, model_path: str, folder: str) -> None:
    root = os.path.dirname(folder)
    averaged_with = [os.path.join(root, name) for name in figures["averaged_with"]]
    sureness = figures["calibration"]
    print(
        f"{len(figures['images'])} test images, model {from_here(model_path)}"
        f"{''.join(f', averaged with {from_here(m)}' for m in averaged_with)}"
        f"{', averaged with the mirrored image' if figures['mirrored'] else ''}"
        f"{at_scales(figures['scales'])}\n"
        f"{overall(figures)} at the size the network works at\n"
        f"{overall(figures['at_photo_size'])} at the photos' own size\n"
        f"expected calibration error {percent(sureness['expected_calibration_error'])} "
        f"(without the temperature, {sureness['temperature']:.3f}: "
        f"{percent(sureness['without_temperature'])})\n\n"
        f"{score_table(figures)}\n\n"
        "scores.json, confusion.png, reliability.png, best.png, worst.png, each image in colours: "
        f"{from_here(folder)}"
    )


if __name__ == "__main__":
    run_program(main)
