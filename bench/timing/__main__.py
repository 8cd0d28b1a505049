"""Compare the timing model with the reference core:  python -m bench.timing [--only PATTERN ...] [--profile NAME|FILE]

Runs the reference programs, and prints the cycles that were measured and those that the model counts. The status
is 1 if a program, or the mean, is beyond its bound, and 2 if there is nothing to compare.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence

from emulator.errors import EmulatorError

from . import core
from .compare import ProgramError, Result, compare
from .page import PAGE, filled, profile_file, stated
from .programs import matching, programs
from .report import band, beyond, document, table


def _parser() -> argparse.ArgumentParser:
    lines = (__doc__ or "").strip().split("\n\n", 1)
    parser = argparse.ArgumentParser("python -m bench.timing", description=lines[1])
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN",
                        help="programs with such names only ('k_*'); may be given more than once")
    parser.add_argument("--profile", default=core.REFERENCE, metavar="NAME|FILE",
                        help=f"the profile to run them under (default: {core.REFERENCE})")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), metavar="N",
                        help="programs at a time (default: the number of CPUs); changes no figure")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--write-docs", action="store_true",
                        help="write the results into docs/accuracy.md, and the error into the profile")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Compare, print, and say whether all is within the bounds."""
    parser = _parser()
    options = parser.parse_args(arguments)
    chosen = matching(options.only)
    if not chosen:
        parser.error(f"no program is called {' or '.join(options.only)}; they are in bench/timing/src")
    if options.jobs < 1:
        parser.error(f"--jobs {options.jobs}: expected at least 1")
    if options.write_docs and (options.only or options.profile != core.REFERENCE):
        parser.error(f"--write-docs is for all programs under {core.REFERENCE}: expected neither --only nor --profile")
    try:
        profile = core.profile(options.profile)
        results = compare(chosen, profile, options.jobs)
    except (EmulatorError, ProgramError) as why:
        print(f"python -m bench.timing: {why}", file=sys.stderr)
        return 2
    wrong = beyond(results, means=len(chosen) == len(programs()))
    if options.json:
        print(json.dumps(document(results, profile, wrong), indent=1))
    else:
        print(*table(results, profile), "", f"{len(wrong)} beyond the bounds", *wrong, sep="\n")
    if options.write_docs:
        _write(results)
    return 1 if wrong else 0


def _write(results: Sequence[Result]) -> None:
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")
    toml = profile_file(core.REFERENCE)
    if toml.exists():
        toml.write_text(stated(toml.read_text(encoding="utf-8"), band(results)), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
