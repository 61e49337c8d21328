"""Values of runs relative to those of another run."""


def reference(values, is_one, cases):
    """For each line, the value of the one marked line among those of the same case."""
    keys = [cases[name] for name in cases]
    return values.where(is_one).groupby(keys).transform("first")
