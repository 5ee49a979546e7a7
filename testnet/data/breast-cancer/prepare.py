#!/usr/bin/env python3
"""Cut the Wisconsin diagnostic breast cancer data into three hospitals and a held-out test set.

Usage: python3 prepare.py path/to/breast_cancer.csv [output folder]

The argument is the file `sklearn/datasets/data/breast_cancer.csv` of a scikit-learn release (README.md says which one
was used). The four CSV files come out bit for bit the same on every machine and every Python: the split is ordered by
SHA-256 of a fixed seed and the row number, not by a random generator, and cells are copied as text. Standard library only.
"""

import csv
import hashlib
import sys
from pathlib import Path

SEED = "tercet breast cancer split 1"
SOURCE_SHA256 = "fed3eb72d0575ef6192293f5093c6e801b1476b577d0386bf4455504522172ed"
ROWS, FEATURES = 569, 30
TEST_ROWS = 114
HOSPITALS = {"hospital-a.csv": 230, "hospital-b.csv": 150, "hospital-c.csv": 75}
CLASSES = ["malignant", "benign"]  # the source writes 0 for malignant and 1 for benign

MEASURES = [
    "radius", "texture", "perimeter", "area", "smoothness",
    "compactness", "concavity", "concave_points", "symmetry", "fractal_dimension",
]  # fmt: skip
HEADER = [f"{measure}_{kind}" for kind in ("mean", "se", "worst") for measure in MEASURES] + ["diagnosis"]


def read_source(path):
    """Return the 569 rows as lists of 30 cells of text and a class name; stop on any surprise."""
    content = Path(path).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != SOURCE_SHA256:
        sys.exit(f"{path} has SHA-256 {found}, expected {SOURCE_SHA256}: use the file that README.md names.")
    rows = list(csv.reader(content.decode("ascii").splitlines()))
    if rows[0] != [str(ROWS), str(FEATURES), *CLASSES] or len(rows) != ROWS + 1:
        sys.exit(f"{path} does not start with the expected line or lacks rows: use the file that README.md names.")
    return [row[:FEATURES] + [CLASSES[int(row[FEATURES])]] for row in rows[1:]]


def rank(purpose, index):
    """A fixed pseudo-random key of row `index`; `purpose` makes the two orders independent."""
    return hashlib.sha256(f"{SEED}/{purpose}/{index}".encode()).digest()


def split(rows):
    """Return file name -> row numbers. The test set keeps the class shares; hospitals take what a draw gives them."""
    malignant = [i for i, row in enumerate(rows) if row[-1] == "malignant"]
    benign = [i for i, row in enumerate(rows) if row[-1] == "benign"]
    test_malignant = round(TEST_ROWS * len(malignant) / len(rows))
    test = sorted(malignant, key=lambda i: rank("test", i))[:test_malignant]
    test += sorted(benign, key=lambda i: rank("test", i))[: TEST_ROWS - test_malignant]
    rest = sorted(set(range(len(rows))) - set(test), key=lambda i: rank("hospital", i))
    parts = {"test.csv": sorted(test, key=lambda i: rank("order", i))}
    for name, count in HOSPITALS.items():
        parts[name], rest = rest[:count], rest[count:]
    assert not rest, "the hospital sizes must use every training row"
    return parts


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    folder = Path(sys.argv[2] if len(sys.argv) == 3 else Path(__file__).parent)
    rows = read_source(sys.argv[1])
    for name, numbers in split(rows).items():
        lines = [",".join(HEADER)] + [",".join(rows[i]) for i in numbers]
        (folder / name).write_bytes(("\n".join(lines) + "\n").encode("ascii"))
        print(f"{name}: {len(numbers)} rows, {sum(rows[i][-1] == 'malignant' for i in numbers)} malignant")


if __name__ == "__main__":
    main()
