"""study.json of a sweep's directory: which jobs it has, so that a missing one is known to be missing."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from filelock import FileLock

from sign_cnn.errors import UserError
from sign_cnn.files import write_text


@dataclass
class Study:
    """The plan of a sweep; jobs of several commands into the same directory add up."""

    name: str
    command: str = ""  # the last one
    jobs: list[str] = field(default_factory=list)  # directory names, in the order of the sweep

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The study of a sweep's directory; one without planned jobs where there is no file.

        Raises:
            UserError: The file is damaged.
        """
        path = folder / FILE_NAME
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return cls(folder.resolve().name)
        except (ValueError, TypeError) as error:
            raise UserError(f"{path} is damaged ({error}): remove it and start the sweep again") from None

    def add_to(self, folder: Path) -> Self:
        """Stores this plan, joined to the one that is there; returns what was stored."""
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".study.lock"):
            before = type(self).read(folder).jobs
            joined = type(self)(self.name, self.command, list(dict.fromkeys([*before, *self.jobs])))
            write_text(folder / FILE_NAME, json.dumps(asdict(joined), indent=2) + "\n")
        return joined


FILE_NAME = "study.json"
