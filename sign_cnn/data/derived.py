"""What is computed from a set, such as which rows show one photograph: computed once, then stored beside the set."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sign_cnn.data import npz
from sign_cnn.data.npz import DamagedError, Note

FORMAT = 1


def derived(cache_dir: Path, fingerprint: str, key: str, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """What `make` returns for the set of that fingerprint; calls it only if nothing sound is stored under `key`.

    A key has to name all that the result depends on besides the set, a version of the method included.
    """
    readable = re.sub(r"[^A-Za-z0-9]+", "_", key)[:40]
    path = cache_dir / f"derived-{readable}-{npz.short_hash(f'{fingerprint} {key}')}.npz"
    note = {"format": FORMAT, "fingerprint": fingerprint, "key": key}
    array = _stored(path, note)
    if array is not None:
        return array
    with npz.locked(path) as writable:
        array = _stored(path, note)
        if array is None:
            array = make()
            if writable:
                npz.write(path, note, {"array": array})
    return array


def _stored(path: Path, wanted: Note) -> NDArray[Any] | None:
    try:
        note, arrays = npz.read(path)
        return arrays["array"] if note == wanted else None
    except FileNotFoundError:
        return None
    except (DamagedError, KeyError) as error:
        npz.warn_once(f"a stored array is damaged and computed again: {error}")
        return None
