"""Errors that the user can mend, and how a command ends with one."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """The message names the cause and the way out; commands print it without a traceback."""


class ConfigError(UserError):
    """Settings that cannot work; holds every problem found."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return (
            self.problems[0]
            if len(self.problems) == 1
            else "\n".join(["", *(f"  - {p}" for p in self.problems)])
        )


class DataError(UserError):
    """A data file that is missing, damaged or not what its name says."""


class RunInUseError(UserError):
    """Another process holds the lock of the run directory."""


def error_message(error: BaseException) -> str:
    """An error in one line: the problems of a configuration, else its first line, or its class if it says nothing."""
    if isinstance(error, ConfigError):
        return "; ".join(error.problems)
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


@contextmanager
def exit_on_user_error() -> Iterator[None]:
    """End the process with the message of a `UserError` (exit code 1), or quietly on Ctrl-C (130)."""
    try:
        yield
    except UserError as error:
        sys.exit(f"Error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
