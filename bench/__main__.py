"""Run the benchmarks:  python -m bench [NAME ...]  (all by default)

NAME is compute, events, startup, snapshot, debug, kernel, user, lab, lab-planted, lab-race,
speed, timing or guests.
Prints a table, and writes it as JSON to bench/results/. The status is 1 if a requirement was missed.
`python -m bench timing` alone shows every reference program of the timing model, and has options: `timing --help`.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from .measure import Figure
from .timing.__main__ import main as timing_command

NAMES = ("compute", "events", "startup", "snapshot", "debug", "kernel", "user", "lab", "lab-planted", "lab-race",
         "speed", "timing", "guests")
RESULTS = Path(__file__).resolve().parent / "results"


def host() -> dict[str, object]:
    """What the figures depend on besides the code."""
    model = ""
    try:
        with open("/proc/cpuinfo") as info:
            model = next((line.partition(":")[2].strip() for line in info if line.startswith("model name")), "")
    except OSError:
        pass
    return {"cpu": model, "cores": len(os.sched_getaffinity(0)), "python": platform.python_version(),
            **{name: version(name) for name in ("unicorn", "numba", "numpy")}}


def row(figure: Figure) -> str:
    """A line of the table."""
    value = "-" if figure.value is None else f"{_number(figure.value)} {figure.unit}"
    sign = ">=" if figure.least else "<="
    required = "" if figure.required is None else f"{sign} {_number(figure.required)} {figure.unit}"
    return f"{figure.name:52}{value:>16}   {required:18}{figure.verdict:8}{figure.note}".rstrip()


def _number(value: float) -> str:
    """Three figures, and no exponent."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def main(arguments: Sequence[str]) -> int:
    """Run the benchmarks named, or all."""
    if arguments[:1] == ["timing"] and all(argument.startswith("-") for argument in arguments[1:2]):  # it alone
        return timing_command(arguments[1:])
    lines = (__doc__ or "").strip().split("\n\n", 1)
    parser = argparse.ArgumentParser("python -m bench", description=lines[1])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(NAMES)}")
    names = parser.parse_args(arguments).names
    for name in names:
        if name not in NAMES:
            parser.error(f"no benchmark {name!r}: expected {', '.join(NAMES)}")
    print(f"{'benchmark':52}{'measured':>16}   {'required':18}{'verdict':8}", flush=True)
    figures: list[Figure] = []
    for name in names or NAMES:
        measured = importlib.import_module(f".{name.replace('-', '_')}", __package__).figures()
        for figure in measured:
            print(row(figure), flush=True)
        figures += measured
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / time.strftime("%Y%m%d-%H%M%S.json")
    path.write_text(json.dumps({"host": host(), "figures": [{**asdict(f), "verdict": f.verdict} for f in figures]},
                               indent=1) + "\n")
    missed = [figure.name for figure in figures if figure.verdict == "MISSED"]
    absent = [figure.name for figure in figures if figure.value is None]
    print(f"\n{len(figures) - len(missed) - len(absent)} met, {len(missed)} missed, {len(absent)} not measured; "
          f"{os.path.relpath(path)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
