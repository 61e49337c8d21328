"""Parts that an estimator's parameters name, with checked settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sklearn.base import clone

from skvae._sklearn_compat import validate_parameter_constraints


def resolved(part: Any, members: Mapping[str, type]) -> Any:
    """Copy of a part with checked settings, built from its name if it is one."""
    part = members[part]() if isinstance(part, str) else clone(part)
    check_settings(part)
    return part


def check_settings(part: Any) -> None:
    """Check the settings of a part, and of a part that it is wrapped around."""
    settings = part.get_params(deep=False)
    validate_parameter_constraints(
        part._parameter_constraints, settings, type(part).__name__
    )
    for value in settings.values():
        if hasattr(value, "_parameter_constraints"):
            check_settings(value)
