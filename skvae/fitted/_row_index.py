"""The row index of the frame that latents were computed from."""

from __future__ import annotations

import hashlib
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skvae.data._frames import row_index

# Neither an array nor a frame of polars has a place for an index, so that latents are
# recognised by their values. An entry lives as long as its index, which the frame
# holds.
_INDEXES: weakref.WeakValueDictionary[bytes, Any] = weakref.WeakValueDictionary()


def keep_index(Z: NDArray[np.floating], X: Any) -> None:
    """Note the row index of the frame that latents are of, if it is one of pandas.

    Parameters
    ----------
    Z : ndarray of shape (n_samples, n_components)
    X : array-like or DataFrame of shape (n_samples, n_features)
    """
    index = row_index(X)
    if index is not None:
        _INDEXES[_digest(Z)] = index


def index_of_latents(Z: NDArray[np.floating], source: Any) -> Any:
    """Row index of latents: that of their frame, or of the frame that they are of.

    Parameters
    ----------
    Z : ndarray of shape (n_samples, n_components)
    source : array-like or DataFrame of shape (n_samples, n_components)
        What the user passed as latents.

    Returns
    -------
    index : pandas.Index or None
    """
    index = row_index(source)
    return _INDEXES.get(_digest(Z)) if index is None and _INDEXES else index


def _digest(Z: NDArray[np.floating]) -> bytes:
    values = np.ascontiguousarray(Z, dtype=np.float64)
    return hashlib.blake2b(values.tobytes(), digest_size=16).digest()
