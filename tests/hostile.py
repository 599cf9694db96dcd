"""What runs code, or fills the memory, where it is opened without care."""

import io
import os
import pickle
import zipfile
from typing import Any

import torch

CANARY = "canary"
"""Module that must never be imported, and file that must never appear."""


def hostile_pickle() -> bytes:
    """What makes a file when it is unpickled: the canary."""
    return pickle.dumps(_Hostile(), protocol=2)


class _Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (f"{CANARY}.txt",)


def claiming_gigabytes(content: bytes) -> bytes:
    """A zip whose directory says that its first member unpacks to 4 GiB."""
    place = content.index(b"PK\x01\x02") + 24
    return content[:place] + b"\xf0\xff\xff\xff" + content[place + 4 :]


def archive_of(pickled: bytes) -> bytes:
    """A checkpoint in torch's format with this in place of what torch pickled."""
    file = io.BytesIO()
    torch.save({"state_dict": {}}, file)
    changed = io.BytesIO()
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(changed, "w") as new:
        for member in old.namelist():
            new.writestr(member, pickled if member.endswith("data.pkl") else old.read(member))
    return changed.getvalue()
