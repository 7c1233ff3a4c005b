#!/usr/bin/env python3
"""Medians over launches, plots and a summary from what bench.sh collected: plot.py FOLDER

Reads FOLDER/launches/PART.LAUNCHER.N.json (rows of ronde-perf; LAUNCHER is openmpi or mpich) and
PART.LAUNCHER.N.txt beside it, for the machine and the date. Writes FOLDER/PART.json and PART.png,
and FOLDER/summary.md. Times are medians over launches. Ratios are taken within each launch, where
implementations had taken turns, and are then medians over launches.
"""

import json
import pathlib
import statistics
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

PEERS = {"openmpi": "Open MPI", "mpich": "MPICH", "gloo": "Gloo"}
# Colours that differ in lightness too (Okabe and Ito 2008).
COLOURS = {
    "named": "#d55e00",
    "direct": "#0072b2",
    "flat": "#0072b2",
    "openmpi": "#333333",
    "mpich": "#cc79a7",
    "gloo": "#009e73",
    "floor": "#999999",
}
LINES = {"arena": ("-", "o"), "private": ("--", "s")}
MEMORIES = ("arena", "private")
FLOOR_BYTES = 16 << 20  # from here on a floor is one of memory, on most machines, and not of caches


# ---- rows --------------------------------------------------------------------------------------


def who(row, launcher):
    return launcher if row["impl"] == "mpi" else row["impl"]


def with_floor(rows):
    """The two ways of copying become one row a size: the better one."""
    best = {}
    for row in rows:
        if row["impl"] == "floor":
            row = {**row, "path": "copy"}
            old = best.get(row["bytes"])
            if not old or row["time_us_p50"] < old["time_us_p50"]:
                best[row["bytes"]] = row
    return [row for row in rows if row["impl"] != "floor"] + list(best.values())


class Launch:
    """Rows of one launch, by (implementation, path, memory, bytes)."""

    def __init__(self, launcher, rows):
        self.launcher = launcher
        self.rows = {
            (who(row, launcher), row["path"], row["memory"], row["bytes"]): row
            for row in with_floor(rows)
        }


class Part:
    def __init__(self, name):
        self.name, self.launches, self.notes = name, [], {}

    def keys(self):
        """Every (implementation, path, memory), in the order in which they were measured."""
        return list(dict.fromkeys(key[:3] for launch in self.launches for key in launch.rows))

    def sizes(self):
        return sorted({key[3] for launch in self.launches for key in launch.rows})

    def any_row(self):
        return next(iter(self.launches[0].rows.values()))

    def is_steps(self):
        return "list" in self.any_row()

    def same(self, key, size):
        """Rows of the launches with Open MPI, or of all where it has none: the most there are."""
        some = [launch for launch in self.launches if (*key, size) in launch.rows]
        home = [launch for launch in some if launch.launcher == "openmpi"]
        return [launch.rows[(*key, size)] for launch in home or some]

    def time(self, key, size, column="time_us_p50"):
        rows = self.same(key, size)
        return statistics.median(row[column] for row in rows) if rows else None

    def ratio(self, over, under, size):
        """The time of `over` divided by that of `under`, in launches that have both."""
        over, under = (*over, size), (*under, size)
        found = [
            launch.rows[over]["time_us_p50"] / launch.rows[under]["time_us_p50"]
            for launch in self.launches
            if over in launch.rows and under in launch.rows
        ]
        return statistics.median(found) if found else None

    def peers(self):
        """Those that were measured, as keys; of a list of tensors, by one call for each."""
        keys = [key for key in self.keys() if key[0] in PEERS and key[1] != "flat"]
        return sorted(keys, key=lambda key: list(PEERS).index(key[0]))

    def floor(self):
        return next((key for key in self.keys() if key[0] == "floor"), None)

    def wrong(self):
        return sum(row["wrong"] for launch in self.launches for row in launch.rows.values())


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


def load(folder):
    parts = {}
    for path in sorted((folder / "launches").glob("*.json")):
        name, launcher, _ = path.stem.rsplit(".", 2)
        rows = json.loads(path.read_text())
        if not rows:
            continue
        part = parts.setdefault(name, Part(name))
        part.launches.append(Launch(launcher, rows))
        part.notes.setdefault("machine", note(path, "machine"))
        part.notes.setdefault("date", note(path, "date"))
        words = note(path, "MPI").split(",")[0].replace("Version:", "").split()
        part.notes.setdefault(launcher, " ".join(words))
    for part in parts.values():
        part.launches.sort(key=lambda launch: list(PEERS).index(launch.launcher))
    return list(parts.values())


def merge(part):
    """Rows as ronde-perf writes them, of medians, with the launches' number and ratios."""
    merged = []
    for key in part.keys():
        for size in part.sizes():
            rows = part.same(key, size)
            if not rows:
                continue
            row = {**rows[0], "impl": key[0], "launches": len(rows)}
            for column in [name for name in row if name.startswith("time_us_")]:
                row[column] = round(part.time(key, size, column), 3)
            for speed in ("algbw_gbs", "busbw_gbs"):
                row[speed] = statistics.median(each[speed] for each in rows)
            ratios = {peer[0]: part.ratio(peer, key, size) for peer in part.peers()}
            if part.floor():
                ratios["floor"] = part.ratio(key, part.floor(), size)
            row["ratios"] = {name: round(value, 4) for name, value in ratios.items() if value}
            merged.append(row)
    return merged


# ---- words -------------------------------------------------------------------------------------


def label(key):
    name, path, memory = key
    if name == "floor":
        return "floor: 2n of memory traffic"
    if name == "ronde":
        return f"Ronde {path}, {memory}"
    how = {"each": ", a call each", "flat": ", one flat call"}
    return PEERS[name] + how.get(path, "")


def size_text(size, _=None):
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:.3g} {unit}"
        size /= 1024


def time_text(microseconds, _=None):
    if microseconds is None:
        return ""
    if microseconds >= 1000:
        return f"{microseconds / 1000:.3g} ms"
    return f"{microseconds:.3g} µs"


def ratio_text(ratio, _=None):
    return "" if ratio is None else f"{ratio:.3g}×"


def number_text(ratio):
    if ratio is None:
        return ""
    text = f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"
    return f"**{text}**" if ratio < 1 else text


def title(part):
    row = part.any_row()
    what = f"list {row['list']}, a whole step" if part.is_steps() else row["op"]
    kind = row["dtype"] if row["redop"] == "none" else f"{row['dtype']} {row['redop']}"
    hosts = f"{row['hosts']} host{'s' if row['hosts'] > 1 else ''}"
    if part.name.startswith("hosts4-"):
        hosts += f" at {part.name[7:-4]} Gbit/s"
    first = f"{what}, {kind}, {row['ranks']} ranks on {hosts}"
    names = ("machine", "openmpi", "mpich", "date")
    return first, " · ".join(part.notes[name] for name in names if part.notes.get(name))


# ---- plots -------------------------------------------------------------------------------------


def style(key):
    name, path, memory = key
    if name == "ronde":
        line, marker = LINES[memory]
        width = 1.8 if path == "direct" else 1
        colour = COLOURS[path]
        return dict(color=colour, linestyle=line, marker=marker, markersize=4, linewidth=width)
    if name == "floor":
        return dict(color=COLOURS[name], linestyle=":", linewidth=2)
    return dict(color=COLOURS[name], linestyle="-", marker="x", linewidth=1.8)


def draw(axis, sizes, values, **how):
    known = [(size, value) for size, value in zip(sizes, values) if value is not None]
    if known:
        axis.plot(*zip(*known), **how)


def name_sizes(axis, sizes):
    axis.set_xscale("log", base=2)
    axis.set_xticks(sizes[:: max(1, len(sizes) // 7)])
    axis.xaxis.set_major_formatter(FuncFormatter(size_text))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.tick_params(axis="x", labelrotation=30)
    axis.set_xlabel("size")
    axis.grid(True, which="major", alpha=0.4)
    axis.grid(True, which="minor", axis="y", alpha=0.12)
    axis.legend(fontsize=9)


def plot_times(axis, part):
    for key in part.keys():
        sizes = [size for size in part.sizes() if key[0] != "floor" or size >= FLOOR_BYTES]
        values = [part.time(key, size) for size in sizes]
        draw(axis, sizes, values, label=label(key), **style(key))
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter(FuncFormatter(time_text))
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.set_ylabel("time (median of samples, maximum over ranks)")


def plot_ratios(axis, part):
    for peer in part.peers():
        for memory in MEMORIES:
            line, marker = LINES[memory]
            values = [part.ratio(peer, ("ronde", "direct", memory), s) for s in part.sizes()]
            how = dict(color=COLOURS[peer[0]], linestyle=line, marker=marker, markersize=4)
            draw(axis, part.sizes(), values, label=f"{PEERS[peer[0]]} / Ronde {memory}", **how)
    axis.axhline(1, color=COLOURS["direct"], linewidth=2)
    axis.annotate("Ronde", (0.01, 1), xycoords=("axes fraction", "data"), va="bottom", fontsize=9)
    axis.set_yscale("log", base=2)
    axis.yaxis.set_major_locator(LogLocator(base=2))
    axis.yaxis.set_major_formatter(FuncFormatter(ratio_text))
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.set_ylabel("peer's time / time of Ronde direct (above 1×: Ronde is faster)")


def plot_sizes(figure, part):
    left, right = figure.subplots(1, 2)
    plot_times(left, part)
    plot_ratios(right, part)
    for axis in (left, right):
        name_sizes(axis, part.sizes())


def plot_bars(figure, part):
    axis = figure.subplots()
    size = part.sizes()[0]
    keys = part.keys()
    place = np.arange(len(keys))[::-1]
    medians = np.array([part.time(key, size) for key in keys]) / 1000
    least = np.array([part.time(key, size, "time_us_min") for key in keys]) / 1000
    colours = [COLOURS[key[1] if key[0] == "ronde" else key[0]] for key in keys]
    axis.barh(place, medians, color=colours, height=0.65)
    axis.plot(least, place, "w|", markersize=12, markeredgewidth=2)
    for y, key, median in zip(place, keys, medians):
        text = f" {median:.3g} ms"
        ratio = part.ratio(part.peers()[0], key, size) if part.peers() else None
        if ratio and key[0] == "ronde":
            text += f", {ratio_text(ratio)} as fast as {label(part.peers()[0])}"
        axis.text(median, y, text, va="center")
    axis.set_yticks(place, [label(key) for key in keys])
    axis.set_xscale("log")
    axis.set_xlim(medians.min() / 2, medians.max() * 12)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_xlabel("time of a step in ms: median of samples, maximum over ranks; white: minimum")
    axis.grid(True, axis="x", alpha=0.4)
    axis.set_axisbelow(True)


def plot(folder, part):
    figure = plt.figure(figsize=(13, 5 if part.is_steps() else 6.5), layout="constrained")
    first, second = title(part)
    figure.suptitle(f"{first}\n", fontsize=14)
    height = 0.92 if part.is_steps() else 0.94
    figure.text(0.5, height, second, ha="center", fontsize=9, color="#555555")
    (plot_bars if part.is_steps() else plot_sizes)(figure, part)
    figure.savefig(folder / f"{part.name}.png", dpi=110)
    plt.close(figure)


# ---- tables ------------------------------------------------------------------------------------


def grid(head, lines):
    text = ["| " + " | ".join(head) + " |", "|---:" * len(head) + "|"]
    return "\n".join(text + ["| " + " | ".join(line) + " |" for line in lines]) + "\n"


def ratio_columns(part):
    """Head, what is divided by what, and from which size on."""
    columns = []

    def add(head, over, under, least=0):
        if any(part.ratio(over, under, size) for size in part.sizes()):
            columns.append((head, over, under, least))

    for path in ("direct", "named"):
        for peer in part.peers() if path == "direct" else part.peers()[:1]:
            for memory in MEMORIES:
                head = f"{PEERS[peer[0]]} / {path} {memory}"
                add(head, peer, ("ronde", path, memory))
    for memory in MEMORIES:
        if part.floor():
            head = f"direct {memory} / floor"
            add(head, ("ronde", "direct", memory), part.floor(), FLOOR_BYTES)
    return columns


def table_sizes(part):
    shown = [key for key in part.keys() if key[:2] == ("ronde", "direct")] + part.peers()
    columns = ratio_columns(part)
    head = ["size"] + [label(key) for key in shown] + [column[0] for column in columns]
    lines = []
    for size in part.sizes():
        times = [time_text(part.time(key, size)) for key in shown]
        ratios = [
            number_text(part.ratio(over, under, size)) if size >= least else ""
            for _, over, under, least in columns
        ]
        lines.append([size_text(size)] + times + ratios)
    return grid(head, lines)


def table_steps(part):
    size, peers = part.sizes()[0], part.peers()
    head = ["", "a step"] + [f"{label(peer)} / this" for peer in peers] + ["this / floor"]
    lines = []
    for key in part.keys():
        ratios = [number_text(part.ratio(peer, key, size)) for peer in peers]
        floor = part.ratio(key, part.floor(), size) if part.floor() else None
        time = time_text(part.time(key, size))
        lines.append([label(key), time] + ratios + [number_text(floor)])
    return grid(head, lines)


def table(part):
    first, second = title(part)
    launches = ", ".join(
        f"{sum(launch.launcher == name for launch in part.launches)} with {PEERS[name]}"
        for name in dict.fromkeys(launch.launcher for launch in part.launches)
    )
    rows = table_steps(part) if part.is_steps() else table_sizes(part)
    head = [f"## {first}", "", f"{second} · launches: {launches}", ""]
    if part.wrong():
        head += [f"**{part.wrong()} elements are wrong**", ""]
    return "\n".join(head + [f"![{first}]({part.name}.png)", "", rows])


def comparisons(part):
    """(ratio, text) of every variant of Ronde that a caller would choose, against each peer."""
    for peer in part.peers():
        for key in part.keys():
            if key[0] != "ronde":
                continue
            for size in part.sizes():
                ratio = part.ratio(peer, key, size)
                if ratio:
                    yield peer, key, ratio, size


def spans(sizes, ratios):
    """Neighbouring sizes at which Ronde is slower, as text with the ratios' range."""
    runs, last = [], None
    for place, size in enumerate(sizes):
        ratio = ratios.get(size)
        if ratio and ratio < 1:
            if last is not None and last == place - 1:
                runs[-1].append(size)
            else:
                runs.append([size])
            last = place
    for run in runs:
        low, high = (f"{pick(ratios[size] for size in run):.2f}" for pick in (min, max))
        where = size_text(run[0]) + (f" to {size_text(run[-1])}" if len(run) > 1 else "")
        yield f"{where}: {low}" + (f" to {high}" if len(run) > 1 else "")


def losses(parts):
    lines = []
    for part in parts:
        found = {}
        for peer, key, ratio, size in comparisons(part):
            found.setdefault((peer[0], key), {})[size] = ratio
        for (peer, key), ratios in found.items():
            text = "; ".join(spans(part.sizes(), ratios))
            if text:
                lines.append([part.name, label(key), PEERS[peer], text])
    if not lines:
        return "At none of these sizes in this run.\n"
    return grid(["part", "", "against", "sizes, and the peer's time / Ronde's"], lines)


def least(parts):
    lines = []
    for part in parts:
        found = {}
        for peer, key, ratio, size in comparisons(part):
            if key[1] in ("direct", "flat") or part.is_steps():
                old = found.get((peer[0], key[2]))
                if not old or ratio < old[0]:
                    found[(peer[0], key[2])] = (ratio, size)
        cells = [part.name]
        for peer in PEERS:
            for memory in MEMORIES:
                ratio, size = found.get((peer, memory), (None, 0))
                where = "" if part.is_steps() or not ratio else f" ({size_text(size)})"
                cells.append(number_text(ratio) + where)
        lines.append(cells)
    return grid(["part"] + [f"{name}, {m}" for name in PEERS.values() for m in MEMORIES], lines)


HEAD = """# Measurements

Times are medians of samples (maximum over ranks), and then over launches. *A / B* is A's time
divided by B's, of implementations that took turns in one process: the median over launches; bold
where that is below one. Peers work on private memory. Compare ratios; times drift with the
machine's load.
"""


def summary(parts):
    text = [HEAD, "## Where Ronde is least ahead", "", least(parts)]
    text += ["## Where Ronde is slower", "", losses(parts)]
    return "\n".join(text + [table(part) for part in parts])


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    parts = load(folder)
    if not parts:
        sys.exit(f"{folder}/launches holds no rows of ronde-perf")
    for part in parts:
        rows = ",\n ".join(json.dumps(row) for row in merge(part))
        (folder / f"{part.name}.json").write_text(f"[\n {rows}\n]\n")
        plot(folder, part)
    (folder / "summary.md").write_text(summary(parts))
    print(f"{folder}/summary.md and {len(parts)} plots beside it")


if __name__ == "__main__":
    main()
