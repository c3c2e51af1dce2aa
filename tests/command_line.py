"""The command line, as tests call it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tagger import cli

#: Takes arguments; gives exit code, standard output and standard error.
Run = Callable[..., tuple[int, str, str]]


def runner(capsys: pytest.CaptureFixture[str], *command: str) -> Run:
    """A function that runs a command of the app in this process."""

    def run(*arguments: object) -> tuple[int, str, str]:
        try:
            code = cli.main([*command, *(str(argument) for argument in arguments)])
        except SystemExit as error:
            code = int(error.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run
