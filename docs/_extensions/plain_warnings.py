"""Warnings of the gallery's examples, without the place that they were raised at."""

import warnings


def reset(gallery_conf, example):
    """Let a warning in an example show its class and its message."""
    warnings.formatwarning = lambda message, category, *place: (
        f"{category.__name__}: {message}\n"
    )
