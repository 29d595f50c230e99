"""What comes out: classes of a photo, scores, panels, figures, the report."""

import importlib
import os
import sys
from contextlib import suppress

import chainer_compat

if "matplotlib" not in sys.modules:
    # Its import fails where MPLBACKEND names no backend. Figures go to files here and need none.
    backend = os.environ.pop("MPLBACKEND", None)
    matplotlib = importlib.import_module("matplotlib")
    if backend:
        os.environ["MPLBACKEND"] = backend
        with suppress(ValueError):
            matplotlib.rcParams["backend"] = backend


def __getattr__(name: str):
    # Found when it is asked for: half of the modules in this folder need no network.
    if name == "load":
        return importlib.import_module("evaluation.loaded_model").load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
