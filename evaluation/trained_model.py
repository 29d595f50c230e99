"""Brings back the trained model of a configuration; for the programs that use one."""

import argparse
import os

import chainer

from config import Config, set_global_config
from evaluation.ensemble import Ensemble
from evaluation.model_description import (
    INPUT_KEYS,
    MODEL_KEYS,
    adopt_description,
    stored_temperature,
)
from fcn_squeeze import FCN
from files import weights
from files.command_line import command
from files.errors import UserError
from files.paths import from_here


def add_model_argument(parser: argparse.ArgumentParser) -> None:
    """Give a program the option ``--model``, for restore_model()."""
    parser.add_argument(
        "--model",
        metavar="FILE",
        help="the weights to use; without it, fcn_best.npz in output_path/model",
    )


def add_models_argument(parser: argparse.ArgumentParser) -> None:
    """Give a program the option ``--model`` for one file or several, for separate_models()."""
    parser.add_argument(
        "--model",
        nargs="+",
        action="extend",
        metavar="FILE",
        help="the weights to use, of several models (.npz) the mean of their probabilities; "
        "without it, fcn_best.npz in output_path/model",
    )


def separate_models(arguments: argparse.Namespace) -> None:
    """Tell models from inputs: ``--model a.npz b.npz photo.jpg`` names two models and a photo.

    Args:
        arguments: of add_models_argument(); ``model`` becomes one file or None, ``averaged_with``
            the other models, and ``inputs`` gets the rest.
    """
    first, *rest = arguments.model or [None]
    arguments.model = first
    arguments.averaged_with = [name for name in rest if _is_model(name)]
    arguments.inputs[:0] = [name for name in rest if not _is_model(name)]


def _is_model(name: str) -> bool:
    return name.lower().endswith(".npz")


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
    return _restore(arguments.model, config, what)


def restore_models(config: Config, arguments: argparse.Namespace) -> FCN | Ensemble:
    """restore_model(), together with the models it is to be averaged with.

    Args:
        config, arguments: as restore_model()'s, after separate_models().

    Raises:
        UserError: as restore_model(), or the models need different inputs.
    """
    others = []
    for path in arguments.averaged_with:
        others.append((path, _restore(path, config, "--model"), _input_settings()))
        set_global_config(config)
    model = restore_model(config, arguments)
    here = _input_settings()
    for path, _, there in others:
        for key in INPUT_KEYS:
            if there[key] != here[key]:
                raise UserError(
                    f"--model: {arguments.model} was trained with {key}: {here[key]}, {path} with "
                    f"{there[key]}; models that are averaged must see the same picture"
                )
    if not others:
        return model
    paths, models, _ = zip(*others, strict=True)
    temperatures = [*map(model_temperature, (arguments.model, *paths))]
    return Ensemble(model, *models, temperatures=temperatures)


def _input_settings() -> dict[str, object]:
    args = vars(chainer.global_config.user_test_args)
    return {key: args[key] for key in INPUT_KEYS}


def _restore(path: str, config: Config, what: str) -> FCN:
    description = weights.read_description(path, what)
    if description is not None:
        set_global_config(adopt_description(description, config, path))
    else:
        print(
            f"note: {path} does not say how it was trained; "
            f"{', '.join(MODEL_KEYS)} and the classes are taken from the configuration"
        )
    args = chainer.global_config.user_test_args
    model = FCN(args.n_class, args.in_ch, dilated=args.dilated, bypass=args.bypass)
    weights.load_model(path, model, what)
    return model


def model_temperature(path: str) -> float:
    """What the scores of a model that was restored are to be divided by before softmax."""
    return stored_temperature(weights.read_description(path))
