"""Lets Ctrl-C end a program at once while its modules are imported; each program imports it first.

Importing Chainer takes seconds. Python would answer Ctrl-C with a traceback of that import;
the kernel ends the process in silence. run_program() gives Ctrl-C back to Python.
"""

import signal

# Not where it is ignored, as in a background job of a shell script.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
