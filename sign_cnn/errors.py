"""Errors that the user can correct, and how a command ends with one."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """An error whose message names the cause and the way out; commands print no traceback."""


class ConfigError(UserError):
    """Settings that cannot work; it holds every problem found."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return self.problems[0]
        return "".join(f"\n  - {problem}" for problem in self.problems)


class DataError(UserError):
    """A data file that is missing, damaged or not what its name says."""


class RunInUseError(UserError):
    """Another process holds the lock of the run directory."""


def error_message(error: BaseException) -> str:
    """Return an error in one line: its problems, else its first line, else its class."""
    if isinstance(error, ConfigError):
        return "; ".join(error.problems)
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


@contextmanager
def exit_on_user_error() -> Iterator[None]:
    """End the process with the message of a `UserError` (exit code 1), or quietly on Ctrl-C (130).

    Output that nobody reads any more, as after `| head`, is dropped.

    Yields:
        Nothing.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:  # at exit, Python would write what is left, and complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except UserError as error:
        sys.exit(f"Error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
