"""The one exception that a person, not a programmer, is meant to read, and how a command ends with it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """Something only the user can mend: the message names the thing and the way out, and is shown without traceback."""


class ConfigError(UserError):
    """Settings that cannot work; lists every problem found, not the first alone."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__(problems[0] if len(problems) == 1 else "\n".join(["", *(f"  - {p}" for p in problems)]))

    def __reduce__(self) -> tuple[type, tuple[list[str]]]:
        """Pickles by the problems: workers of a sweep hand their errors to the process that started them."""
        return type(self), (self.problems,)


class DataError(UserError):
    """A data file that is missing, damaged or not what its name says."""


class InUseError(UserError):
    """Another process is at work in the directory of a run."""


@contextmanager
def clean_exit() -> Iterator[None]:
    """Ends the process with the sentence of a `UserError` (exit code 1), and after Ctrl-C without a traceback (130)."""
    try:
        yield
    except UserError as error:
        sys.exit(f"Error: {error}")
    except KeyboardInterrupt:
        print("Interrupted by Ctrl-C.", file=sys.stderr)
        sys.exit(130)
