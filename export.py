"""Exports a trained model as ONNX, for other engines: python export.py --config config.yaml --output model.onnx"""

if __name__ == "__main__":
    import files.ctrl_c  # noqa: F401  (until all below is imported)

import argparse
import importlib.util
import os
from types import SimpleNamespace

import chainer_compat

import chainer
import numpy as np

from config import load_config
from dataset.file_finder import find_image
from dataset.image_reader import read_image
from dataset.list_reader import read_list
from evaluation.segmenter import Segmenter
from evaluation.trained_model import add_model_argument, restore_model
from exporting.web_export import PAGE_FILES, find_npm, write_web_page
from fcn_squeeze import FCN
from files.command_line import add_config_arguments
from files.digest import file_digest
from files.errors import UserError, run_program
from files.whole_file import whole_file
from layers.device import choose_device


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    refuse_impossible(arguments)
    config = load_config(arguments.config, arguments.set)
    model = restore_model(config, arguments)
    args = chainer.global_config.user_test_args
    digest = file_digest(arguments.model)
    write_model(arguments, args, model, digest)
    if arguments.web:
        write_web_page(
            arguments.web, arguments.output, args.in_ch, args.label_table, digest
        )
        page = os.path.join(arguments.web, "index.html")
        print(f"{page}: open it in a browser; it needs no network and no server")
    return 0


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Export a trained model as ONNX, from the photo to the class of each pixel."
    )
    add_config_arguments(parser)
    parser.add_argument("--output", metavar="FILE", help="the ONNX file to write")
    add_model_argument(parser)
    parser.add_argument(
        "--network-only",
        action="store_true",
        help="the plain network, from normalised images to scores",
    )
    parser.add_argument(
        "--web",
        metavar="FOLDER",
        help="write a web page that applies the model to photos and the camera (needs npm)",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace files that exist"
    )
    return parser.parse_args(argv)


def refuse_impossible(arguments: argparse.Namespace) -> None:
    """Raise a UserError for what is sure to fail, before any work is done."""
    if not (arguments.output or arguments.web):
        raise UserError("nothing to write: give --output FILE, --web FOLDER, or both")
    if arguments.web and arguments.network_only:
        raise UserError("--web needs the whole model: leave --network-only away")
    if importlib.util.find_spec("onnx") is None:
        raise UserError(
            "the package onnx is not installed; start with: uv run --extra onnx export.py ..."
        )
    targets = []
    if arguments.web:
        find_npm()
        targets = [os.path.join(arguments.web, name) for name in PAGE_FILES]
        arguments.output = arguments.output or os.path.join(arguments.web, "model.onnx")
    if os.path.realpath(arguments.output) in map(os.path.realpath, targets):
        raise UserError(
            f"--output: {arguments.output} is a file of the page itself; name the model otherwise"
        )
    for path in [arguments.output, *targets]:
        if os.path.isdir(path):
            raise UserError(f"{path} is a folder; name a file")
        if os.path.exists(path) and not arguments.overwrite:
            raise UserError(f"{path} exists; name another, or add --overwrite")


def write_model(arguments, args: SimpleNamespace, model: FCN, digest: str) -> None:
    """Write the ONNX file; one that fails its check is not kept."""
    # Not at the top of the file: where onnx is missing, refuse_impossible() says so first.
    from exporting import onnx_check, onnx_graph

    settings = onnx_graph.PhotoSettings.from_config()
    if arguments.network_only:
        graph = onnx_graph.network_graph(model)
    else:
        graph = onnx_graph.photo_graph(model, settings)
    onnx_graph.describe(graph, model, settings, args.label_table, digest)
    segmenter = Segmenter(model, args, choose_device(-1))
    path, photo = read_photo(args)
    with whole_file(arguments.output) as temporary:
        with open(temporary, "wb") as file:
            file.write(graph.SerializeToString())
        found = onnx_check.check_model(temporary, segmenter, settings, photo)
    print(f"{arguments.output}: {os.path.getsize(arguments.output) / 1e6:.1f} MB")
    if found is None:
        print("not compared with predict.py: ONNX Runtime is not installed")
    else:
        print(f"compared with predict.py on {path}: {found}")


def read_photo(args: SimpleNamespace) -> tuple[str, np.ndarray]:
    """The first test image, to compare engines on: its path, uint8 (H, W, in_ch)."""
    name = read_list(args.image_pointer_path, args.image_pointer_key).images[0]
    path = find_image(args.image_dir_path, name)
    return path, read_image(path, args.in_ch)


if __name__ == "__main__":
    run_program(main)
