"""A program ends with a sentence or in silence, and with an exit code that says which."""

import re
import subprocess
import sys

import pytest

from files import errors


def test_reader_that_has_gone_ends_the_program_in_silence():
    code = (
        "from files import errors; errors.run_program(lambda: print('line ' * 100_000))"
    )
    command = [sys.executable, "-c", code]
    program = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    program.stdout.close()  # as head does when it has seen enough
    assert program.stderr.read() == ""
    assert program.wait() == 141
    program.stderr.close()


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (errors.UserError("no such list"), "error: no such list\n"),
        (FileNotFoundError(2, "No such file", "a.png"), "error: a.png: No such file\n"),
        (OSError(24, "Too many open files"), "error: Too many open files\n"),
        (
            errors.UserError("a\x1b[2J\x9b\u202eb\n"),
            "error: a\\x1b[2J\\x9b\\u202eb\n\n",
        ),
    ],
)
def test_users_error_is_a_sentence_and_exit_code_2(error, sentence, capsys):
    def main():
        raise error

    with pytest.raises(SystemExit) as end:
        errors.run_program(main)
    assert end.value.code == errors.EXIT_CODE == 2
    assert capsys.readouterr().err == sentence


def test_control_characters_are_spelt_out_and_other_characters_are_not():
    # A change of colour, an end of line, a C1 code, a change of direction, half a character.
    dangerous = "a\x1b[31m\n\t\x9b\u202e\ud800"
    assert errors.printable(dangerous) == r"a\x1b[31m\n\t\x9b\u202e\ud800"
    harmless = "空\u3000道路 Straße\xa0✓"
    assert errors.printable(harmless) == harmless


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (MemoryError(), "not enough memory.*batch_size"),
        (RuntimeError("can't start new thread"), "no more threads.*loader_jobs: 0"),
    ],
)
def test_machine_that_is_too_small_is_told_in_a_sentence(error, advice, capsys):
    def main():
        raise error

    with pytest.raises(SystemExit) as end:
        errors.run_program(main)
    assert end.value.code == errors.EXIT_CODE
    sentence = capsys.readouterr().err
    assert re.fullmatch(f"error: .*{advice}.*\n", sentence)


def test_bug_keeps_its_traceback():
    def main():
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        errors.run_program(main)
