"""The section of the speed page on size, import and handling."""

from benchmarks.common.records import goal
from benchmarks.pages.regret_page import table_of

SCALING = """## A fit, a score, an import

One thread, {n_features} columns, medians of {turns} turns."""


def scaling_verdict(results):
    """The goals of size, import and handling."""
    fit, first, imports = results["fit"], results["first_fit"], results["imports"]
    slopes = [row["slope"] for row in results["memory"] if row["method"] == "fit"]
    compiler = ", ".join(first["compiler"]) or "nothing"
    lines = [
        goal(
            f"Cost of a fit beyond {fit['overhead']:.2f} s grows with rows to the "
            f"power of {fit['exponent']:.2f} (1 ± 0.05)",
            abs(fit["exponent"] - 1) <= 0.05,
        ),
        goal(
            f"Peak memory of a fit grows by {max(slopes):.2f} bytes for each byte of "
            "X, X itself included (at most 1.3)",
            max(slopes) <= 1.3,
        ),
        goal(
            f"`fit` on breast cancer at the defaults, the first of its process: "
            f"{first['seconds']:.2f} s (at most 1); "
            f"{first['seconds_with_import']:.2f} s with the import of torch",
            first["seconds"] <= 1,
        ),
        goal(
            f"`import skvae` takes {imports['ratio']:.2f} times "
            f"`import sklearn.base` ({imports['sklearn.base']:.2f} s; at most 1.1)",
            imports["ratio"] <= 1.1,
        ),
        goal(
            f"Of the compiler stack the first fit loads {compiler}",
            not first["compiler"],
        ),
    ]
    for row in results["throughput"]:
        share = 100 * row["of_products"]
        text = (
            f"`{row['method']}` has {share:.0f} % of the throughput of its matrix "
            "products (at least 80 %)"
        )
        lines.append(goal(text, share >= 80))
    return "\n".join(lines)


def scaling_tables(results):
    """Fits by rows, memory, throughput and handling."""
    fit = table_of(
        ["rows", "seconds of a fit of two epochs", "microseconds a row"],
        [
            [f"{n:,}", f"{seconds:.2f}", f"{1e6 * seconds / n:.0f}"]
            for n, seconds in results["fit"]["curve"]
        ],
    )
    memory = table_of(
        ["method", "X in", "bytes for each byte of X", "beyond X and output, MB"],
        [
            [
                *[f"`{row['method']}`", row["dtype"], f"{row['slope']:.2f}"],
                ", ".join(f"{value / 1e6:.0f}" for value in row["beyond"]),
            ]
            for row in results["memory"]
        ],
    )
    sizes = ", ".join(f"{size / 1e6:.0f}" for size in results["memory"][0]["rows"])
    levels = table_of(
        ["levels", "MB beyond the rows"],
        [[f"{n:,}", f"{value / 1e6:.0f}"] for n, value in results["levels"]],
    )
    throughput = table_of(
        ["method", "rows", "rows a second", "of the products"],
        [
            [
                *[f"`{row['method']}`", f"{row['n_rows']:,}"],
                *[
                    f"{row['rows_per_second']:,.0f}",
                    f"{100 * row['of_products']:.0f} %",
                ],
            ]
            for row in results["throughput"]
        ],
    )
    handling = table_of(
        ["an estimator", "microseconds"],
        [[name, f"{value:.1f}"] for name, value in results["handling"].items()],
    )
    return "\n\n".join(
        [
            scaling_verdict(results),
            fit,
            "Peak memory of a process, X included; and what a method needs beyond X "
            f"and what it returns, for X of {sizes} MB in float32 and twice that in "
            "float64:",
            memory,
            "What a fit needs beyond 20,000 rows with a column of categories, by the "
            "number of its levels (the batch size is that of the defaults):",
            levels,
            "`score_samples` decodes each row at all nodes of its quadrature; these "
            "products are counted.",
            throughput,
            handling,
        ]
    )


def scaling_section(results):
    """Parts of the page."""
    return SCALING.format(**results["settings"]), scaling_tables(results["results"])
