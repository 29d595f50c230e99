"""Lets a program end well while its modules are imported; each program imports it first.

Importing Chainer takes seconds. Python would answer Ctrl-C with a traceback of that import;
the kernel ends the process in silence. run_program() gives Ctrl-C back to Python.

Where memory, threads or open files do not suffice for the import, a sentence says so.
"""

import os
import signal
import sys

from files import errors, terminal

# OpenBLAS takes memory and starts a thread for each core when it is loaded, and where it cannot, it
# ends the process by SIGSEGV (seen with ulimit -v 500000). Matrix products run on one thread each in
# any case: layers.threads shares them out.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Not where it is ignored, as in a background job of a shell script.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _end(kind, error, traceback) -> None:
    """Python's answer to an error that nobody caught, run_program() included."""
    sentence = errors.lack_of_resources(error)
    if sentence is None:
        sys.__excepthook__(kind, error, traceback)
        return
    terminal.print_error(f"error: {sentence}")
    os._exit(errors.EXIT_CODE)  # libraries that are half loaded may not be unloaded


sys.excepthook = _end
