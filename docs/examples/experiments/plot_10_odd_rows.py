"""
Odd rows, cell by cell
======================

A row that is flagged as odd is of little use without the reason. The negative
log-likelihood of a row is a sum over its cells, which shows the contribution of each.
"""

# %%
# The experiment
# --------------
# The table has seven measurements of 4,177 shellfish; lengths are in units of 200 mm,
# weights in units of 200 g. Some records are wrong, and there are no labels.
# `OutlierVAE` is fitted to all rows. Its default likelihood is Student's t
# distribution, on which odd cells have little influence.

import matplotlib.pyplot as plt
import numpy as np
from _kept import kept

N_SHOWN = 12


@kept
def scored():
    import pandas as pd
    from sklearn.ensemble import IsolationForest

    from benchmarks.common.tables import data_file
    from skvae import OutlierVAE

    frame = pd.read_parquet(data_file("abalone.parquet"))
    frame = frame.select_dtypes("number").drop(columns="rings")
    detector = OutlierVAE(
        0.01,
        n_components=2,
        hidden_layer_sizes=(32,),
        max_iter=20,
        random_state=0,
    ).fit(frame)
    oddness = -detector.score_samples(frame)
    order = np.argsort(-oddness)[:N_SHOWN]
    forest = IsolationForest(random_state=0).fit(frame)
    forest_rank = np.argsort(np.argsort(forest.score_samples(frame)))
    cells = detector.score_cells(frame)
    return {
        "columns": np.array(frame.columns, dtype=str),
        "rows": order,
        "values": frame.to_numpy()[order],
        "medians": frame.median().to_numpy(),
        "expected": np.asarray(detector.inverse_transform(detector.transform(frame)))[
            order
        ],
        "cells": (cells - np.median(cells, axis=0))[order],
        "oddness": np.float32(np.sort(oddness)[::-1]),
        "forest_rank": forest_rank[order] + 1,
    }


results = scored()

# %%
# The oddest rows
# ---------------
# Each cell has the value of the record. Its colour is the negative log-likelihood in
# nats, above that of a usual cell of its column.

columns = [name.replace("_", " ") for name in results["columns"]]
figure, ax = plt.subplots(figsize=(9, 5), layout="constrained")
highest = np.percentile(results["cells"], 97)
image = ax.imshow(results["cells"], cmap="Oranges", vmin=0, vmax=highest, aspect="auto")
for (i, j), value in np.ndenumerate(results["values"]):
    color = "white" if results["cells"][i, j] > 0.7 * highest else "black"
    ax.text(j, i, f"{value:.3g}", ha="center", va="center", color=color)
ax.set_xticks(range(len(columns)), columns, rotation=20, ha="right")
ax.set_yticks(range(N_SHOWN), [f"row {row}" for row in results["rows"]])
figure.colorbar(image, label="nats above a usual cell", extend="max")
plt.show()

# %%
# For each of these rows: its oddest cell, and the expected value of this cell given the
# others. The last column is the rank of the row by the score of an isolation forest.

print("row         oddest cell     recorded  expected  typical  isolation forest")
for i, row in enumerate(results["rows"]):
    j = results["cells"][i].argmax()
    print(
        f"{row:5} {results['columns'][j]:>20} {results['values'][i, j]:9.3f}"
        f" {results['expected'][i, j]:9.3f} {results['medians'][j]:8.3f}"
        f" {results['forest_rank'][i]:10}"
    )

# %%
# Conclusion
# ----------
# The known errors of this table are found, with the cell that is wrong. There is a
# height of 1.13 and one of 0.515, in units in which others are near 0.14, and there are
# two heights of 0. The height of 0.015 looks like 0.15 with a misplaced point: the
# expected value is 0.147. One shell weighs 0.35 although the whole animal weighs 0.134,
# so that one of the two is wrong. No column shows this by itself, as both are ordinary
# values.
#
# An isolation forest, which splits one column at a time, does not have the height of
# 1.13 among its first three hundred rows. Large animals come first there, which are
# rare but not wrong. Nor does it show which cell is odd.
#
# Not all of the twelve are errors. Several shells are heavier than expected by half or
# more, and are odd only for this reason. The picture shows where to look; somebody who
# knows the animals has to decide what is an error.
