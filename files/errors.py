"""The error that is a sentence for the person at the keyboard, and the exit code it makes."""

import contextlib
import os
import signal
import sys
import unicodedata
from collections.abc import Callable

EXIT_CODE = 2
# Within this block a failure is reported; distributed puts one here that ends all processes.
reporting: Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext


class UserError(Exception):
    """Something the user can put right: says what is wrong, where, and what to do.

    The programs print it without a traceback and exit with code 2. A traceback is for bugs.
    """


class BrokenFileError(UserError):
    """A file that cannot be read, or was cut short or changed after it was written."""


def printable(text: object) -> str:
    """What a file or a command line holds, as one line that is safe to show on a terminal.

    Args:
        text: anything; str() makes it text.

    Returns:
        str: control characters (colours, movements of the cursor, ends of lines, the direction
        of writing) are spelt out, as in ``\\x1b``.
    """
    return "".join(
        c
        if c.isprintable() or unicodedata.category(c) == "Zs"  # all kinds of spaces
        else c.encode("unicode_escape").decode("ascii")
        for c in str(text)
    )


def run_program(main: Callable[[], int | None]) -> None:
    """Run a program's main() and turn a UserError into a sentence and exit code 2.

    Ctrl-C ends it with exit code 130, a reader of its output that has gone (``| head``) with
    141, as a shell counts. An OSError (disk full, folder read-only, file gone) names its path,
    and counts as one.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:  # by files.ctrl_c
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would flush once more at exit, and fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        with reporting():
            code = 141
    except (UserError, OSError) as error:
        with reporting():
            print(f"error: {_sentence(error)}", file=sys.stderr)
        code = EXIT_CODE
    except SystemExit as error:  # argparse has told what is wrong, or printed its help
        if error.code:
            with reporting():
                pass
        raise
    except KeyboardInterrupt:
        with reporting():
            code = 130
    sys.exit(code)


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)
