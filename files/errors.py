"""The error that is a sentence for the person at the keyboard, and the exit code it makes."""

import contextlib
import re
import signal
import sys
from collections.abc import Callable

from files import terminal

EXIT_CODE = 2
# Entered while an error is printed; training.distributed puts a context here that ends all ranks.
reporting: Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext

# Control characters, those that turn the direction of writing (a terminal obeys both), and halves
# of characters, which no encoding can write.
_CONTROL = re.compile("[\0-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


# What the system's loader, NumPy and Python say, in small letters.
_NO_MEMORY = ("cannot allocate memory", "failed to map segment")
_NO_THREADS = ("can't start new thread", "resource temporarily unavailable")


class UserError(Exception):
    """Something the user can put right: says what is wrong, where, and what to do.

    The programs print it without a traceback and exit with code 2. A traceback is for bugs.
    """


class BrokenFileError(UserError):
    """A file that cannot be read, or was cut short or changed after it was written."""


def has_control_characters(text: str) -> bool:
    """Whether a terminal would obey a part of the text instead of showing it."""
    return _CONTROL.search(text) is not None


def printable(text: object) -> str:
    """What a file or a command line holds, as one line that is safe to show on a terminal.

    Args:
        text: anything; str() makes it text.

    Returns:
        str: control characters (colours, movements of the cursor, ends of lines, the direction
        of writing) are spelt out, as in ``\\x1b``.
    """
    return _CONTROL.sub(
        lambda match: match[0].encode("unicode_escape").decode(), str(text)
    )


def printable_lines(text: object) -> str:
    """As printable(), but for the ends of lines, which stay."""
    return "\n".join(map(printable, str(text).split("\n")))


def run_program(main: Callable[[], int | None]) -> None:
    """Run a program's main(), print an error as a sentence, and exit.

    The exit code is 2 after an error, 130 after Ctrl-C, and 141 where the reader of the output
    has gone (``| head``), as a shell counts. Errors are a UserError, an OSError (disk full,
    folder read-only, file gone), and too little memory or too few threads.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:  # by files.ctrl_c
        signal.signal(signal.SIGINT, signal.default_int_handler)
    terminal.prepare_streams()
    try:
        code = main()
        sys.stdout.flush()
    except (UserError, OSError, MemoryError, RuntimeError) as error:
        gone = terminal.is_reader_gone(error)
        sentence = _sentence(error)
        if sentence is None:
            raise
        with reporting():
            if not gone:
                terminal.print_error(f"error: {printable_lines(sentence)}")
        code = 141 if gone else EXIT_CODE
    except SystemExit as error:  # argparse has told what is wrong, or printed its help
        if error.code:
            with reporting():
                pass
        raise
    except KeyboardInterrupt:
        with reporting():
            code = 130
    terminal.discard_unwritten_output()
    sys.exit(code)


def lack_of_resources(error: BaseException | None) -> str | None:
    """A sentence on an import that the system's limits did not allow; None for another error.

    Libraries wrap such errors in others, and tell the reason in the text only.
    """
    while error is not None:
        text = str(error).lower()
        if isinstance(error, MemoryError) or any(word in text for word in _NO_MEMORY):
            return (
                "not enough memory to start; close other programs, or raise ulimit -v"
            )
        if any(word in text for word in _NO_THREADS):
            return "the system allows no more threads or processes; raise ulimit -u"
        if "too many open files" in text:
            return "too many open files; raise ulimit -n"
        error = error.__cause__ or error.__context__
    return None


def _sentence(error: Exception) -> str | None:
    """What to print for an error; nothing for one that is a bug of this project."""
    if isinstance(error, MemoryError):
        return (
            "not enough memory; close other programs, or set a smaller "
            "training_params.batch_size, image_scale or cache_size"
        )
    if isinstance(error, RuntimeError):
        if "can't start new thread" not in str(error):
            return None
        return (
            "the system allows no more threads; set loader_jobs: 0, or raise ulimit -u"
        )
    if isinstance(error, OSError) and error.strerror:
        return (
            f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        )
    return str(error)
