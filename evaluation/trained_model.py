"""Brings back the trained model of a configuration; for the programs that use one."""

import argparse
import os

import chainer_compat

import chainer

from config import Config, command, set_global_config
from evaluation.model_description import MODEL_KEYS, adopt_description
from fcn_squeeze import FCN
from files import weights
from files.errors import UserError
from files.paths import from_here


def add_model_argument(parser: argparse.ArgumentParser) -> None:
    """Give a program the option ``--model``, for restore_model()."""
    parser.add_argument(
        "--model",
        metavar="FILE",
        help="the weights to use; without it, fcn_best.npz in output_path/model",
    )


def restore_model(config: Config, arguments: argparse.Namespace) -> FCN:
    """The trained network; ``chainer.global_config`` becomes what it was trained with.

    Args:
        config: as load_config() gave it.
        arguments: of the options ``--config``, ``--set`` and ``--model``; where the last one was
            not given, the path of the model is filled in.

    Raises:
        UserError: there is no model, it cannot be read, is of another network, or contradicts
            the configuration.
    """
    what = "--model" if arguments.model else "output_path"
    args = chainer.global_config.user_test_args
    if arguments.model is None:
        arguments.model = args.model_path.format(args.model_version)
        if not os.path.isfile(arguments.model):
            raise UserError(
                f"there is no trained model {from_here(arguments.model)} yet; "
                f"train one with: {command('train.py', arguments)}"
            )
    description = weights.read_description(arguments.model, what)
    if description is not None:
        set_global_config(adopt_description(description, config, arguments.model))
        args = chainer.global_config.user_test_args
    else:
        print(
            f"note: {arguments.model} does not say how it was trained; "
            f"{', '.join(MODEL_KEYS)} and the classes are taken from the configuration"
        )
    model = FCN(args.n_class, args.in_ch, dilated=args.dilated, bypass=args.bypass)
    weights.load_model(arguments.model, model, what)
    return model
