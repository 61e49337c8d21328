"""A file of arrays that is replaced as a whole or not at all."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skvae.ground._version import __version__

#: Version of the format; a new one where earlier versions would misread a file.
FORMAT = 1

Arrays = dict[str, NDArray[Any]]

# Of the random part of a temporary name.
_N_BYTES = 4


def write(path: Path, contents: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Write arrays beside other contents.

    The file is a line of JSON, with the contents, the names, types and shapes of the
    arrays and a checksum, and then the numbers of the arrays as they are. It is
    written under another name in the same folder, and takes the place of the one before
    it when the disk has all of it. Whatever happens, one of the two is whole.

    Parameters
    ----------
    path : Path
    contents : mapping of str to object
        Of what JSON can express.
    arrays : mapping of str to ndarray
        None of Python's objects.

    Raises
    ------
    OSError
        If the file cannot be written. The one before it is as it was.
    """
    kinds = {name: [array.dtype.str, array.shape] for name, array in arrays.items()}
    line = json.dumps({"contents": contents, "arrays": kinds})
    numbers = b"".join(array.tobytes() for array in arrays.values())
    seal = {"format": FORMAT, "version": __version__}
    seal |= {"checksum": _checksum(line, numbers), "json": line}
    # Processes of a group may keep the same training in one file.
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(_N_BYTES)}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(json.dumps(seal).encode() + b"\n")
            file.write(numbers)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def remove_temporary(path: Path) -> None:
    """Remove what processes have left that were killed while they wrote a file."""
    digits = "[0-9a-f]" * (2 * _N_BYTES)
    for left in path.parent.glob(f"{glob.escape(path.name)}.{digits}.tmp"):
        left.unlink(missing_ok=True)


def read(path: Path) -> tuple[dict[str, Any], Arrays] | None:
    """Inverse of `write`; None where there is no file.

    No code in a file is run: it has numbers and text alone.

    Raises
    ------
    ValueError
        If the file is damaged, was not written by `write`, or has another format.
    OSError
        If the file cannot be read.
    """
    try:
        first, _, numbers = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return None
    try:
        seal = json.loads(first)
        writer, written = seal["version"], seal["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(_damaged(path)) from error
    if written != FORMAT:
        raise ValueError(
            f"The checkpoint {path} was written by skvae {writer} in format "
            f"{written!r}, and skvae {__version__} reads format {FORMAT}. Go on with "
            f"skvae {writer}, or delete the file to start anew."
        )
    line = str(seal.get("json"))
    if seal.get("checksum") != _checksum(line, numbers):
        raise ValueError(_damaged(path))
    found, arrays, start = json.loads(line), {}, 0
    for name, (dtype, shape) in found["arrays"].items():
        count = int(np.prod(shape, dtype=np.int64))
        flat = np.frombuffer(numbers, dtype, count, start)
        arrays[name], start = flat.reshape(shape), start + flat.nbytes
    return found["contents"], arrays


def _damaged(path: Path) -> str:
    return (
        f"The file {path} is damaged, or is no checkpoint of skvae. Restore it from a "
        "copy, or delete it to start anew."
    )


def _checksum(line: str, numbers: bytes) -> str:
    digest = hashlib.blake2b(line.encode("utf-8", "surrogatepass"), digest_size=16)
    digest.update(numbers)
    return digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    """Have the disk hold a new name in a folder, where the system can do that."""
    if hasattr(os, "O_DIRECTORY"):
        number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
