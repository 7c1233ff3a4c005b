#!/usr/bin/env python3
"""Plots and a summary from what ronde-perf wrote: plot.py FOLDER

Reads every FOLDER/*.json (and FOLDER/*.txt beside it, for the machine and the date), and writes a
FOLDER/*.png for each and FOLDER/summary.md for all.
"""

import json
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

# Colours that differ in lightness too (Okabe and Ito 2008): path by colour, memory by line.
COLOURS = {"named": "#d55e00", "direct": "#0072b2", "flat": "#0072b2", "mpi": "#333333"}
LINES = {"arena": ("-", "o"), "private": ("--", "s")}


def variant(row):
    return row["impl"], row["path"], row["memory"]


def label(row):
    if row["impl"] == "mpi":
        how = {"each": "MPI, a call each", "flat": "MPI, one flat call"}
        return how.get(row["path"], "MPI")
    return f"Ronde {row['path']}, {row['memory']}"


def size_text(size, _=None):
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:.3g} {unit}"
        size /= 1024


def time_text(microseconds, _=None):
    if microseconds >= 1000:
        return f"{microseconds / 1000:.3g} ms"
    return f"{microseconds:.3g} µs"


def ratio_text(ratio, _=None):
    return f"{ratio:.3g}×"


def note(path, key):
    """The value of a '# key  value' line at the start of what ronde-perf printed, or ''."""
    try:
        lines = path.with_suffix(".txt").read_text().splitlines()
    except OSError:
        return ""
    for line in lines:
        if line.startswith(f"# {key} "):
            return line[2 + len(key) :].strip()
    return ""


def reference(rows):
    """MPI's median time by size; of a step, by one call for each tensor."""
    return {
        row["bytes"]: row["time_us_p50"]
        for row in rows
        if row["impl"] == "mpi" and row["path"] != "flat"
    }


def curves(rows):
    """Rows of each variant, by size, in the order in which they were measured."""
    found = {}
    for row in rows:
        found.setdefault(variant(row), []).append(row)
    return found


def title(rows, path):
    row = rows[0]
    what = f"list {row['list']}, a whole step" if "list" in row else row["op"]
    kind = row["dtype"] if row["redop"] == "none" else f"{row['dtype']} {row['redop']}"
    hosts = f"{row['hosts']} host{'s' if row['hosts'] > 1 else ''}"
    mpi = note(path, "MPI").split(",")[0]
    second = " · ".join(filter(None, [note(path, "machine"), mpi, note(path, "date")]))
    return f"{what}, {kind}, {row['ranks']} ranks on {hosts}", second


def style(row):
    if row["impl"] == "mpi":
        return {"color": COLOURS["mpi"], "linestyle": "-", "marker": "x", "linewidth": 2}
    line, marker = LINES[row["memory"]]
    return {"color": COLOURS[row["path"]], "linestyle": line, "marker": marker, "markersize": 4}


def name_sizes(axis, sizes):
    axis.set_xscale("log", base=2)
    axis.set_xticks(sizes[:: max(1, len(sizes) // 7)])
    axis.xaxis.set_major_formatter(FuncFormatter(size_text))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.tick_params(axis="x", labelrotation=30)
    axis.set_xlabel("size")
    axis.grid(True, which="major", alpha=0.4)
    axis.grid(True, which="minor", axis="y", alpha=0.12)


def plot_times(axis, rows):
    for some in curves(rows).values():
        axis.plot(
            [row["bytes"] for row in some],
            [row["time_us_p50"] for row in some],
            label=label(some[0]),
            **style(some[0]),
        )
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter(FuncFormatter(time_text))
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.set_ylabel("time, median of samples (maximum over ranks)")
    axis.legend(fontsize=9)


def plot_ratios(axis, rows):
    mpi = reference(rows)
    for some in curves(rows).values():
        known = [row for row in some if row["bytes"] in mpi]
        if not known or some[0]["impl"] == "mpi":
            continue
        axis.plot(
            [row["bytes"] for row in known],
            [mpi[row["bytes"]] / row["time_us_p50"] for row in known],
            label=label(some[0]),
            **style(some[0]),
        )
    axis.axhline(1, color=COLOURS["mpi"], linewidth=2)
    axis.annotate("MPI", (0.01, 1), xycoords=("axes fraction", "data"), va="bottom", fontsize=9)
    axis.set_yscale("log", base=2)
    axis.yaxis.set_major_locator(LogLocator(base=2))
    axis.yaxis.set_major_formatter(FuncFormatter(ratio_text))
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.set_ylabel("MPI's time / Ronde's time (above 1×: Ronde is faster)")


def plot_sizes(figure, rows):
    left, right = figure.subplots(1, 2)
    sizes = sorted({row["bytes"] for row in rows})
    plot_times(left, rows)
    plot_ratios(right, rows)
    for axis in (left, right):
        name_sizes(axis, sizes)


def plot_bars(figure, rows):
    axis = figure.subplots()
    mpi = reference(rows)
    place = np.arange(len(rows))[::-1]
    medians = np.array([row["time_us_p50"] for row in rows]) / 1000
    least = np.array([row["time_us_min"] for row in rows]) / 1000
    colours = [COLOURS["mpi"] if row["impl"] == "mpi" else COLOURS[row["path"]] for row in rows]
    axis.barh(place, medians, color=colours, height=0.65)
    axis.plot(least, place, "w|", markersize=14, markeredgewidth=2)
    for y, row, median in zip(place, rows, medians):
        ratio = mpi.get(row["bytes"])
        text = f" {median:.3g} ms"
        if ratio and row["impl"] != "mpi":
            text += f", {ratio_text(ratio / row['time_us_p50'])} as fast as a call each"
        axis.text(median, y, text, va="center")
    axis.set_yticks(place, [label(row) for row in rows])
    axis.set_xlim(0, medians.max() * 1.45)
    axis.set_xlabel("time of a step in ms: median of samples, maximum over ranks; white: minimum")
    axis.grid(True, axis="x", alpha=0.4)
    axis.set_axisbelow(True)


def plot(path, rows):
    steps = "list" in rows[0]
    figure = plt.figure(figsize=(11, 4.2) if steps else (13, 6), layout="constrained")
    first, second = title(rows, path)
    figure.suptitle(f"{first}\n", fontsize=14)
    figure.text(0.5, 0.935 if not steps else 0.91, second, ha="center", fontsize=9, color="#555555")
    (plot_bars if steps else plot_sizes)(figure, rows)
    figure.savefig(path.with_suffix(".png"), dpi=120)
    plt.close(figure)


def cell(row, mpi):
    text = time_text(row["time_us_p50"])
    if row["impl"] != "mpi" and row["bytes"] in mpi:
        text += f" ({ratio_text(mpi[row['bytes']] / row['time_us_p50'])})"
    return text + (f" **{row['wrong']} wrong**" if row["wrong"] else "")


def table(path, rows):
    """One line a size, one column a variant."""
    mpi = reference(rows)
    columns = curves(rows)
    first, second = title(rows, path)
    lines = [f"## {first}", "", second, "", f"![{first}]({path.with_suffix('.png').name})", ""]
    lines.append("| size | " + " | ".join(label(some[0]) for some in columns.values()) + " |")
    lines.append("|---:|" + "---:|" * len(columns))
    for size in sorted({row["bytes"] for row in rows}):
        cells = []
        for some in columns.values():
            here = [row for row in some if row["bytes"] == size]
            cells.append(cell(here[0], mpi) if here else "")
        lines.append(f"| {size_text(size)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


HEAD = """# Measurements

Median times (maximum over ranks); in brackets how many times as fast as MPI in the same run (steps:
as one MPI_Allreduce for each tensor). Implementations take turns, a sample each, in one process.
MPI works on private memory. Compare ratios; absolute times drift with the machine's load.
"""


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    parts = [HEAD]
    for path in sorted(folder.glob("*.json")):
        rows = json.loads(path.read_text())
        if rows:
            plot(path, rows)
            parts.append(table(path, rows))
    if len(parts) == 1:
        sys.exit(f"{folder} holds no rows of ronde-perf")
    (folder / "summary.md").write_text("\n".join(parts))
    print(f"{folder}/summary.md and {len(parts) - 1} plots beside it")


if __name__ == "__main__":
    main()
