"""Tables and lines of Markdown pages."""

import math
import re
import string

from benchmarks.common.records import PACKAGES

# A header and the format of its cells, in a line of columns between bars.
COLUMN = re.compile(r"\s*(.+?)\s+(`?{[^|]*?)\s*(?:\||$)")


class _Cells(string.Formatter):
    """Fields are any keys of a row; the cell of None, nan or inf stays empty."""

    def get_field(self, name, args, row):
        return row[name], name

    def format_field(self, value, spec):
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            return ""
        # A percent sign has a space before it.
        return super().format_field(value, spec).replace("%", " %")


def table(columns, rows):
    """Table of dictionaries or of a frame's lines, numbers aligned to the right.

    `columns` has each header with the format of its cells, such as
    "table {table} | mean regret {mean:+.2f}".
    """
    if hasattr(rows, "to_dict"):
        rows = rows.to_dict("records")
    headers, cells = zip(*COLUMN.findall(columns), strict=True)
    lines = [headers, ["---", *["---:"] * (len(headers) - 1)]]
    lines += [[_Cells().vformat(cell, (), row) for cell in cells] for row in rows]
    first, *rest = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = [[name.ljust(first), *map(str.rjust, line, rest)] for name, *line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in padded)


def goal(text, is_met):
    """A goal, and whether it is met."""
    return f"- {text}: {'met' if is_met else 'not met'}."


def environment_line(environment):
    """Versions, machine and date of results, as far as they were recorded."""
    packages = [name for name in ("skvae", *PACKAGES) if environment.get(name)]
    found = [f"{name} {environment[name]}" for name in packages]
    found.append(f"Python {environment['python']}")
    if "processor" in environment:
        found += [environment["processor"], f"{environment['n_cores']} cores"]
    return f"*{', '.join(found)}, {environment['date']}.*"
