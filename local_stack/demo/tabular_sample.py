"""The tabular example's data, as files that somebody would drop.

"Breast Cancer Wisconsin (Diagnostic)", UCI Machine Learning Repository, licence CC BY 4.0, as scikit-learn
ships it.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer

MODEL = "breast-cancer"
TARGET = "diagnosis"
_SEED = 1729


def write_tabular_files(folder: Path, files: int = 1) -> list[Path]:
    """Write the data set as CSV files with a header, the rows shuffled and shared out evenly.

    Args:
        folder: that gets `breast-cancer-1.csv` and so on.
        files: how many.

    Returns:
        The files, in order.
    """
    data = load_breast_cancer()
    shuffled = np.random.default_rng(_SEED).permutation(len(data.target))
    header = [*(str(name).replace(" ", "_") for name in data.feature_names), TARGET]
    written = []
    for number, rows in enumerate(np.array_split(shuffled, files), start=1):
        file = folder / f"{MODEL}-{number}.csv"
        with file.open("w", encoding="utf-8", newline="") as lines:
            writer = csv.writer(lines, lineterminator="\n")
            writer.writerow(header)
            for row in rows.tolist():
                writer.writerow([*data.data[row].tolist(), str(data.target_names[data.target[row]])])
        written.append(file)
    return written
