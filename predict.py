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
from tqdm import tqdm

from config import (
    Config,
    add_config_arguments,
    command,
    load_config,
    set_global_config,
)
from dataset.image_reader import as_channels, read_any_image
from dataset.label_table import LabelTable
from evaluation import panels
from evaluation.figures import draw_confusion
from evaluation.input_files import Input, distinct, find_inputs
from evaluation.model_description import MODEL_KEYS, adopt_description
from evaluation.report import file_digest, write_report
from evaluation.scoring import Scores, example_row, score_images, score_table
from evaluation.segmenter import Segmenter
from evaluation.video import draw_overlay_video
from fcn_squeeze import FCN
from files import weights, whole_file
from files.errors import UserError, printable, printable_lines, run_program
from files.opencv import cv2
from files.png_writer import write_png
from files.progress_bar import progress_bar
from files.text_table import percent
from layers.device import choose_device
from mini_batch_loader import DatasetPreProcessor
from training import distributed, output_folder
from training.preflight import refuse_missing_files

# Images shown as the best, and as the worst.
_SHOWN = 3


def main(argv: list[str] | None = None) -> int:
    processes = distributed.join()
    arguments = parse_arguments(argv)
    with processes.one_first():
        config = load_config(arguments.config, arguments.set)
    if arguments.inputs and processes.rank:
        return 0  # photos are the first process's; a list to score is everybody's
    segmenter = restore_segmenter(config, arguments, processes)
    args = chainer.global_config.user_test_args
    folder = os.path.join(args.output_path, "predict")
    output_folder.remove_leftovers(args.output_path)
    if arguments.inputs:
        inputs_folder = os.path.join(folder, "inputs")
        return apply_model(segmenter, arguments.inputs, args, inputs_folder)
    score_model(segmenter, args, arguments, folder, processes)
    return 0


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Score a trained model on the test images, or apply it to photos and videos."
    )
    parser.add_argument(
        "inputs",
        nargs="*",
        metavar="INPUT",
        help="a photo, a video, or a folder of them; without any, the test images are scored",
    )
    add_config_arguments(parser)
    parser.add_argument(
        "--model",
        metavar="FILE",
        help="the weights to use; without it, fcn_best.npz in output_path/model",
    )
    parser.add_argument(
        "--mirror",
        action="store_true",
        help="average the scores with those of the mirrored image: better, in twice the time",
    )
    return parser.parse_intermixed_args(argv)


def restore_segmenter(config: Config, arguments, processes) -> Segmenter:
    """The trained network on its device; chainer.global_config becomes what it was trained with."""
    what = "--model" if arguments.model else "output_path"
    args = chainer.global_config.user_test_args
    if arguments.model is None:
        arguments.model = args.model_path.format(args.model_version)
        if not os.path.isfile(arguments.model):
            raise UserError(
                f"there is no trained model {arguments.model} yet; "
                f"train one with: {command('train.py', arguments)}"
            )
    description = weights.read_description(arguments.model, what)
    if description is not None:
        set_global_config(adopt_description(description, config, arguments.model))
        args = chainer.global_config.user_test_args
    elif processes.rank == 0:
        print(
            f"note: {arguments.model} does not say how it was trained; "
            f"{', '.join(MODEL_KEYS)} and the classes are taken from the configuration"
        )
    device = choose_device(processes.gpu(args.gpu))
    model = FCN(args.n_class, args.in_ch, dilated=args.dilated, bypass=args.bypass)
    weights.load_model(arguments.model, model, what)
    model.to_device(device)
    return Segmenter(model, args, device, mirror=arguments.mirror)


def score_model(segmenter: Segmenter, args, arguments, folder: str, processes) -> None:
    """Score the test images: table, scores.json, pictures."""
    model_path = arguments.model
    table = args.label_table
    digest = file_digest(model_path)
    dataset = DatasetPreProcessor(args)
    refuse_missing_files(dataset)
    targets = distinct(
        [os.path.splitext(os.path.normpath(n))[0] for n in dataset.names]
    )
    scores = Scores(table)
    images = score_images(segmenter, dataset, processes)
    if processes.rank == 0:
        images = progress_bar(images, len(dataset), "image")
    for image in images:
        scores.add(image)
        colors = table.colors_of_classes(image.photo_classes)
        write_png(os.path.join(folder, f"{targets[image.index]}_color.png"), colors)
    if processes.rank:
        return
    if not scores.confusion.any():
        raise UserError(
            f"test_image_pointer: no image of {args.image_pointer_path} has a labelled pixel; "
            "compare the labels with ignore_labels"
        )
    figures = {
        "model": os.path.relpath(model_path, args.output_path),
        "model_sha256": digest,
        "mirrored": arguments.mirror,
        "time": time.strftime("%Y-%m-%d %H:%M"),
        **scores.as_dict(),
    }
    draw_confusion(scores.confusion, table, os.path.join(folder, "confusion.png"))
    draw_examples(segmenter, dataset, figures["images"], folder)
    text = json.dumps(figures, indent=1, ensure_ascii=False)
    whole_file.write_text(os.path.join(folder, "scores.json"), text + "\n")
    print_scores(figures, model_path, folder)
    print(f"report: {write_report(args.output_path)}")


def draw_examples(
    segmenter: Segmenter, dataset: DatasetPreProcessor, images: list[dict], folder: str
) -> None:
    """Draw best.png and worst.png: the images with the most and the fewest pixels right."""
    scored = [
        i for i, image in enumerate(images) if image["pixel_accuracy"] is not None
    ]
    scored.sort(key=lambda i: -images[i]["pixel_accuracy"])
    for name, chosen in (
        ("best", scored[:_SHOWN]),
        ("worst", scored[: -_SHOWN - 1 : -1]),
    ):
        rows = [
            example_row(segmenter, dataset, i, image_title(images[i])) for i in chosen
        ]
        title = (
            f"The {len(rows)} {name} of {len(images)} test images, by pixel accuracy"
        )
        path = os.path.join(folder, f"{name}.png")
        panels.draw_rows(path, title, panels.HEADINGS, rows, dataset.args.label_table)


def image_title(image: dict) -> str:
    return (
        f"{image['name']}: {percent(image['pixel_accuracy'])} of the pixels right, "
        f"mean IoU {percent(image['mean_iou'])}"
    )


def print_scores(figures: dict, model_path: str, folder: str) -> None:
    photo = figures["at_photo_size"]
    print(
        f"{len(figures['images'])} test images, model {model_path}"
        f"{', averaged with the mirrored image' if figures['mirrored'] else ''}\n"
        f"pixel accuracy {percent(figures['pixel_accuracy'])}, "
        f"mean IoU {percent(figures['mean_iou'])} at the size the network works at\n"
        f"pixel accuracy {percent(photo['pixel_accuracy'])}, "
        f"mean IoU {percent(photo['mean_iou'])} at the photos' own size\n\n"
        f"{score_table(figures)}\n\n"
        f"scores.json, confusion.png, best.png, worst.png, each image in colours: {folder}"
    )


def apply_model(segmenter: Segmenter, arguments: list[str], args, folder: str) -> int:
    """Apply the model to photos and videos; 2 if any could not be read, else 0."""
    inputs, problems = find_inputs(arguments, folder)
    found: set[int] = set()
    for problem in problems:
        print_problem(problem)
    for item in inputs:
        if item.is_renamed:
            print(printable(f"{item.path}: its results are called {item.target}_..."))
    for item in progress_bar(inputs, len(inputs), "input"):
        try:
            apply = apply_to_video if item.is_video else apply_to_photo
            classes, problem = apply(segmenter, item, args.label_table)
            found |= classes
        except UserError as error:
            problem = str(error)
        except (MemoryError, cv2.error) as error:
            if isinstance(error, cv2.error) and error.code != cv2.Error.StsNoMem:
                raise
            problem = f"{item.path}: there is not enough memory for it"
        if problem:
            problems.append(problem)
            print_problem(problem)
    path = os.path.join(folder, "legend.png")
    is_input = os.path.realpath(path) in {os.path.realpath(i.path) for i in inputs}
    if found and not is_input:
        panels.draw_legend(path, found, args.label_table)
        print(
            f"in {folder}:\n"
            "  NAME_overlay.png  the colours of the classes over a photo (a video: .mp4)\n"
            "  NAME_color.png    the colours alone\n"
            "  NAME_classes.png  the number of each pixel's class\n"
            "  legend.png        which colour is which class"
        )
    if problems:
        print(
            f"{len(problems)} could not be used, or not wholly; the reasons are above"
        )
    return 2 if problems else 0


def apply_to_photo(
    segmenter: Segmenter, item: Input, table: LabelTable
) -> tuple[set[int], None]:
    """Write overlay, colours and class numbers of a photo; gives the classes found in it."""
    photo = read_any_image(item.path)
    classes = segmenter.classes(as_channels(photo, segmenter.in_ch))
    write_png(f"{item.target}_classes.png", classes)
    colors = table.colors_of_classes(classes)
    write_png(f"{item.target}_color.png", colors)
    write_png(f"{item.target}_overlay.png", panels.overlay(photo, colors))
    return set(np.unique(classes).tolist()), None


def apply_to_video(
    segmenter: Segmenter, item: Input, table: LabelTable
) -> tuple[set[int], str | None]:
    """Write an overlay of a video; gives the classes found in it, and what is wrong with it."""
    target = f"{item.target}_overlay.mp4"
    video = draw_overlay_video(segmenter, item.path, target, table)
    rate = f"{video.frames} frames, {video.rate:.1f} a second"
    tqdm.write(printable(f"{item.path}: {rate} -> {target}"))
    if not video.missing:
        return video.classes, None
    return video.classes, (
        f"{item.path}: the video is damaged or cut: {video.missing} of its "
        f"{video.frames + video.missing} frames could not be read; {target} has the others"
    )


def print_problem(problem: str) -> None:
    tqdm.write(f"error: {printable_lines(problem)}", file=sys.stderr)


if __name__ == "__main__":
    run_program(main)
