"""The error that is a sentence for the person at the keyboard, and the exit code it makes."""

import sys
from collections.abc import Callable


class UserError(Exception):
    """Something the user can put right: says what is wrong, where, and what to do.

    The programs print it without a traceback and exit with code 2. A traceback is for bugs.
    """


def run_program(main: Callable[[], int | None]) -> None:
    """Run a program's main() and turn a UserError into a sentence and exit code 2."""
    try:
        sys.exit(main())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except (
        OSError
    ) as error:  # disk full, folder read-only, file gone: the path is in it
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
