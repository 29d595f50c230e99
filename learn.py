"""Shows what a trained network does, in figures: python learn.py --config config.yaml"""

if __name__ == "__main__":
    import files.ctrl_c  # noqa: F401  (until all below is imported)

import argparse
from types import SimpleNamespace

import chainer_compat

import chainer

from config import load_config
from evaluation.trained_model import add_model_argument, restore_model
from fcn_squeeze import FCN
from files.command_line import add_config_arguments
from files.errors import UserError, run_program
from learning import layer_table
from learning.page_writer import write_pages
from learning.subject import load_subject

_BOOK = SimpleNamespace(n_class=32, in_ch=3, dilated=True)  # CamSeq01's classes
_BOOK_SIZE = 176, 240  # CamSeq01's photos, scaled and cropped as the chapter does


def main(argv: list[str] | None = None) -> None:
    arguments = parse_arguments(argv)
    if arguments.config is not None:
        config = load_config(arguments.config, arguments.set)
    if arguments.table:
        args = chainer.global_config.user_val_args if arguments.config else _BOOK
        print(table(args, *arguments.size))
        return
    model = restore_model(config, arguments)
    args = chainer.global_config.user_val_args
    subject = load_subject(args, model, arguments.photo)
    for path in write_pages(subject):
        print(path)


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Write learn.html (English) and learn.ja.html (Japanese) into output_path: "
        "what each part of the trained network does, in figures made from it and a photo.",
    )
    add_config_arguments(parser)
    default = parser.get_default("config")
    parser.set_defaults(config=None)  # as --table alone needs none
    add_model_argument(parser)
    parser.add_argument(
        "--photo",
        metavar="FILE",
        help="the photo to show; without it, the first validation image",
    )
    parser.add_argument(
        "--table",
        action="store_true",
        help="print sizes, costs and receptive fields of the layers instead; needs no trained "
        "model, and without --config shows the chapter's second network",
    )
    parser.add_argument(
        "--size",
        nargs=2,
        type=int,
        default=_BOOK_SIZE,
        metavar=("H", "W"),
        help="height and width of the image for --table; 176 240 if not given",
    )
    arguments = parser.parse_args(argv)
    if arguments.config is None and (arguments.set or not arguments.table):
        arguments.config = default
    return arguments


def table(args: SimpleNamespace, height: int, width: int) -> str:
    """The layers of a network as text.

    Raises:
        UserError: the network does not take images of this size.
    """
    multiple = 8 if args.dilated else 16
    if min(height, width) < multiple or height % multiple or width % multiple:
        raise UserError(
            f"--size: {height} {width}: both must be positive multiples of {multiple}, as the "
            "network halves the size so often; photos are cropped to such a size first"
        )
    model = FCN(args.n_class, args.in_ch, dilated=args.dilated)
    rows = layer_table.table_of(layer_table.layers_of(model), height, width)
    return layer_table.as_text(rows)


if __name__ == "__main__":
    run_program(main)
