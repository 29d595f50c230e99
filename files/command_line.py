"""The options ``--config`` and ``--set``, and what to type to start a program with the same ones."""

import argparse
import os
import shlex
import subprocess
from pathlib import Path

from files.paths import PROJECT, from_here


def add_config_arguments(
    parser: argparse.ArgumentParser, default: str = "config.yaml"
) -> None:
    """Give a program the options ``--config`` and ``--set``, load_config()'s arguments.

    Args:
        parser: of the program.
        default: the configuration without ``--config``; its name in the project's folder.
    """
    parser.add_argument(
        "--config",
        default=from_here(os.path.join(PROJECT, default)),
        metavar="FILE",
        help=f"the YAML configuration; {default} beside the program, if not given",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="use another value for one key, for instance training_params.epochs=3; repeatable",
    )


def command(program: str, arguments: argparse.Namespace, *more: str) -> str:
    """What to type, in the current folder, to start a program with the same configuration.

    Args:
        program: its name in the project's folder.
        arguments: of the options of add_config_arguments().
        more: further options.
    """
    # uv sets UV for what it runs; outside of its environment, plain python finds no Chainer.
    start = ["uv", "run"] if "UV" in os.environ else ["python"]
    if "UV" in os.environ and PROJECT not in (Path.cwd(), *Path.cwd().parents):
        start += ["--project", from_here(PROJECT)]  # uv would not find the environment
    path = from_here(os.path.join(PROJECT, program))
    overrides = [word for pair in arguments.set for word in ("--set", pair)]
    words = [*start, path, "--config", arguments.config, *overrides, *more]
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)
