#!/usr/bin/env python3
"""Converts scikit-learn's handwritten digits to IDX files, the format of MNIST.

    pip download scikit-learn --no-deps -d /tmp/wheel
    tools/make-digits.py /tmp/wheel/scikit_learn-*.whl examples/data/digits

The first argument is the wheel, or the digits.csv.gz inside it. The result is in the repository;
this script is how it came about. It needs nothing but Python and gives the same bytes everywhere.

The split: of the 1 797 images 360 are for testing and 1 437 for training, stratified: each digit
gives its share of the 360 (largest remainders). Within a digit, those rows are for testing whose
SHA-256 of "ronde digits <row>" is smallest; both files are ordered by that hash. So the split is
random, and depends on no generator's version. Pixels are kept as they are, 0 to 16.
"""
import gzip
import hashlib
import io
import pathlib
import struct
import sys
import zipfile

SOURCE = "sklearn/datasets/data/digits.csv.gz"
SOURCE_SHA256 = "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"
SIDE = 8
TEST_COUNT = 360


def read_source(path):
    """The bytes of digits.csv.gz, from the wheel or the file itself."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as wheel:
            data = wheel.read(SOURCE)
    else:
        data = pathlib.Path(path).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != SOURCE_SHA256:
        sys.exit(f"make-digits: {path} holds other digits than ours: SHA-256 {digest}, "
                 f"expected {SOURCE_SHA256}")
    return data


def parse_rows(data):
    """A list of (pixels, label): 64 values of 0..16 and a digit."""
    rows = []
    for line in io.TextIOWrapper(gzip.GzipFile(fileobj=io.BytesIO(data)), "ascii"):
        *pixels, label = (int(float(field)) for field in line.split(","))
        if len(pixels) != SIDE * SIDE or not all(0 <= p <= 16 for p in pixels):
            sys.exit(f"make-digits: row {len(rows)} is no image of 8x8 values from 0 to 16")
        rows.append((bytes(pixels), label))
    return rows


def test_shares(counts):
    """How many test images each digit gives: proportional, largest remainders first."""
    total = sum(counts)
    shares = [count * TEST_COUNT // total for count in counts]
    remainders = [(-(count * TEST_COUNT % total), digit) for digit, count in enumerate(counts)]
    for _, digit in sorted(remainders)[:TEST_COUNT - sum(shares)]:
        shares[digit] += 1
    return shares


def split_rows(rows):
    """Row numbers for training and for testing, both in the order of their hashes."""
    shuffled = sorted(range(len(rows)),
                      key=lambda row: hashlib.sha256(f"ronde digits {row}".encode()).digest())
    left = test_shares([sum(label == digit for _, label in rows) for digit in range(10)])
    train, test = [], []
    for row in shuffled:
        digit = rows[row][1]
        (test if left[digit] > 0 else train).append(row)
        left[digit] -= 1
    return train, test


def write_idx(folder, prefix, rows):
    """Images (magic 0x803: bytes, 3 dimensions) and labels (0x801), numbers big-endian."""
    images = struct.pack(">IIII", 0x803, len(rows), SIDE, SIDE) + b"".join(p for p, _ in rows)
    labels = struct.pack(">II", 0x801, len(rows)) + bytes(label for _, label in rows)
    (folder / f"{prefix}-images-idx3-ubyte").write_bytes(images)
    (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(labels)


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: make-digits.py WHEEL-OR-CSV.GZ FOLDER")
    rows = parse_rows(read_source(sys.argv[1]))
    train, test = split_rows(rows)
    folder = pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    write_idx(folder, "train", [rows[row] for row in train])
    write_idx(folder, "t10k", [rows[row] for row in test])
    print(f"{len(train)} images for training and {len(test)} for testing in {folder}")


if __name__ == "__main__":
    main()
