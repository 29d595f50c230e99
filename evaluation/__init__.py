"""What comes out: classes of a photo, scores, panels, figures, the report."""

import importlib
import os
import sys
from contextlib import suppress

if "matplotlib" not in sys.modules:
    # Its import fails where MPLBACKEND names no backend. Figures go to files here and need none.
    backend = os.environ.pop("MPLBACKEND", None)
    matplotlib = importlib.import_module("matplotlib")
    if backend:
        os.environ["MPLBACKEND"] = backend
        with suppress(ValueError):
            matplotlib.rcParams["backend"] = backend
