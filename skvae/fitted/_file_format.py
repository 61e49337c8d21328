"""Format of models in files: versions, and a checksum of all that a model holds."""

from __future__ import annotations

from typing import Any

from skvae._sklearn_compat import CALLBACK_ATTRIBUTES
from skvae.fitted._digest import Digest
from skvae.ground._version import __version__

#: Version of the format; a new one for each release whose models earlier ones misread.
FORMAT = 1

# Name of the entry, and what it holds: the versions of the format and of the package.
_SEAL = "_file_format"
_ENTRIES = {"format", "version", "checksum"}


def sealed(state: dict[str, Any], owner: Any) -> dict[str, Any]:
    """State of an estimator with the versions of format and package and a checksum.

    Parameters
    ----------
    state : dict of str to object
        Attributes of the estimator.
    owner : BalancedVAE
        The estimator.

    Returns
    -------
    sealed : dict of str to object
        The attributes, and one more entry.
    """
    checksum = _digest(state, owner).hexdigest()
    seal = {"format": FORMAT, "version": __version__, "checksum": checksum}
    return {**state, _SEAL: seal}


def opened(sealed: Any, owner: Any) -> dict[str, Any]:
    """Inverse of `sealed`, where nothing has changed since.

    Parameters
    ----------
    sealed : dict of str to object
        As it comes out of a file.
    owner : BalancedVAE
        The estimator, without attributes.

    Raises
    ------
    ValueError
        If the format is another one, an attribute is missing, or a setting or an array
        is not what it was.
    """
    name = type(owner).__name__
    seal = sealed.get(_SEAL) if isinstance(sealed, dict) else None
    if not (isinstance(seal, dict) and seal.keys() >= _ENTRIES):
        raise ValueError(
            f"This file of a {name} does not say its format: it is damaged, or older "
            "than skvae 0.1.0. Use another copy of the file, or fit the model again."
        )
    writer = f"skvae {seal['version']}"
    if seal["format"] != FORMAT:
        raise ValueError(
            f"This file of a {name} was written by {writer} in format "
            f"{seal['format']!r}, and skvae {__version__} reads format {FORMAT}. Load "
            f"it with {writer}, or fit the model again."
        )
    state = {key: value for key, value in sealed.items() if key != _SEAL}
    digest = _digest(state, owner)
    if digest.hexdigest() != seal["checksum"]:
        raise ValueError(
            f"This file of a {name} is damaged: its settings and arrays do not agree "
            "with its checksum. Use another copy of the file, or fit the model again."
        )
    lacking = [f"{name}.{key}" for key in owner._get_param_names() if key not in state]
    lacking += digest.lacking
    if lacking:
        raise ValueError(
            f"This file of a {name} lacks the attribute {lacking[0]}: it was written "
            f"by {writer}, and this is skvae {__version__}. Load it with the code that "
            "wrote it, or fit the model again."
        )
    return state


def _digest(state: dict[str, Any], owner: Any) -> Digest:
    """Checksum of the attributes of an estimator.

    Callbacks count for nothing: they do not change what a model does, and some are not
    the same when they come out of a file.
    """
    digest = Digest(owner)
    digest.add(
        {key: each for key, each in state.items() if key not in CALLBACK_ATTRIBUTES}
    )
    return digest
