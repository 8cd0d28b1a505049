"""`hartwell test`: the conformance suite, and a graded table."""

from __future__ import annotations

import sys
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from .lab.options import Spec
from .options import Harts, Memory, Timing, load_timing
from .status import FAILED, CommandError

if TYPE_CHECKING:
    from hartwell.lab.conformance.check import Check
    from hartwell.lab.conformance.grading import Grade, Grades
    from hartwell.lab.subject import Subject

ASK, OUTPUT = "What is asked", "Results"


class UpTo(Enum):
    """The levels, by name."""

    BASIC = "basic"
    COMPLETE = "complete"
    DEMANDING = "demanding"


def test(
    spec: Spec,
    level: Annotated[UpTo, typer.Option("--level", rich_help_panel=ASK, help="Check up to this level.")]
    = UpTo.DEMANDING,
    only: Annotated[list[str] | None, typer.Option(
        "--only", metavar="NAME", rich_help_panel=ASK, help="This check only; repeatable, or with commas.")] = None,
    seed: Annotated[int, typer.Option(
        "--seed", metavar="N", min=0, rich_help_panel=ASK,
        help="Where all chance comes from: the same seed, the same operations.")] = 0,
    list_checks: Annotated[bool, typer.Option(
        "--list", rich_help_panel=ASK, help="Say what each check does, and do none.")] = False,
    smp: Harts = None,
    memory: Memory = None,
    timing: Timing = "off",
    profile: Annotated[str | None, typer.Option(
        "--profile", metavar="NAME|FILE", rich_help_panel="The machine", help="The same as --timing.")] = None,
    junit: Annotated[str | None, typer.Option(
        "--junit", metavar="FILE", rich_help_panel=OUTPUT, help="Write the grades there as JUnit XML.")] = None,
    as_json: Annotated[bool, typer.Option(
        "--json", rich_help_panel=OUTPUT, help="One JSON object instead of the table.")] = False,
    save_replay: Annotated[str | None, typer.Option(
        "--save-replay", "--save", metavar="FILE", rich_help_panel=OUTPUT,
        help="Write the first failure there, for hartwell debug --replay.")] = None,
    durations: Annotated[bool, typer.Option(
        "--durations", rich_help_panel=OUTPUT,
        help="Say how many seconds of the host's time each check took, in JUnit and JSON, too.")] = False,
) -> int:
    """Grade an allocator: is it correct, does it lose nothing, does it stand load and several CPUs.

    Each check is worth points, 100 in all. Oracles outside of the allocator judge: a shadow of every block (overlap,
    alignment, range), contents, conservation (with everything given back, all memory can be had again), a budget of
    instructions for each call. Without host time in it, the output is the same every time.

    \b
    [b]Examples[/b]
      hartwell test buddy                            one that comes along
      hartwell test ./allocator.elf                  yours, in guest code
      hartwell test ./allocator.py:Mine --smp 4      … in Python
      hartwell test buddy --list                     what is asked
      hartwell test ./allocator.elf --only merge --save-replay bug.replay
      hartwell debug --replay bug.replay             … and see it happen
      hartwell test ./allocator.elf --junit out.xml  for CI

    \b
    [b]Exit code[/b]
      0  full marks      1  a check failed      2  a mistake in the command
    """
    from hartwell.lab.conformance.check import Level
    from hartwell.lab.conformance.grading import all_failed, grade
    from hartwell.lab.conformance.setting import suite_setting
    from hartwell.lab.conformance.suite import offers, suite
    from hartwell.lab.errors import SubjectFailed
    from hartwell.lab.subject import SubjectKind, load_subject

    if profile is not None and timing != "off" and profile != timing:
        raise CommandError(f"both --timing {timing} and --profile {profile}: expected one of them")
    setting = suite_setting(spec, smp, memory, load_timing(profile or timing))
    wanted = [name for names in only or () for name in names.split(",") if name]
    up_to = Level[level.name]
    output = _Output(as_json, save_replay, durations)
    try:
        subject = load_subject(spec, setting)
    except SubjectFailed as why:
        kind = SubjectKind(why.kind)
        grades = all_failed(spec, kind, setting, suite(kind, (), up_to, wanted), why.finding, seed)
        output.stillborn(grades)
    else:
        with subject:
            checks = suite(subject.kind, offers(subject), up_to, wanted)
            if list_checks:
                _list(checks, as_json)
                return 0
            output.begin(spec, subject)
            grades = grade(subject, checks, seed, spec=spec, begun=output.begun, done=output.done)
    output.end(grades)
    if junit is not None:
        from hartwell.lab.conformance.junit import junit as document
        from hartwell.lab.writing import write_text

        write_text(junit, document(grades, times=durations), "--junit")
    return 0 if grades.ok else FAILED


class _Output:
    """The table, line by line, or one JSON object at the end."""

    def __init__(self, as_json: bool, replay: str | None, durations: bool) -> None:
        self._json, self._replay, self._durations = as_json, replay, durations
        self._grades: Grades | None = None
        self._level: object = None
        self._terminal = sys.stdout.isatty()
        self._saved = ""

    def begin(self, spec: str, subject: Subject) -> None:
        """The first line."""
        from hartwell.lab.conformance.grading import Grades
        from hartwell.lab.conformance.report import heading

        setting, self._subject = subject.setting, subject
        self._grades = Grades(spec, subject.kind, setting, subject.memory.size, 0)
        self._print(heading(spec, subject.kind.value, setting.harts, subject.memory.size,
                            setting.timing.name if setting.timing is not None else None))

    def begun(self, check: Check) -> None:
        """A check begins: at a terminal its name is there already."""
        from hartwell.lab.conformance.report import begin, level_line

        if check.level is not self._level:
            self._level = check.level
            self._print(f"\n{level_line(check.level)}")
        if self._terminal:
            self._print(begin(check), end="")

    def done(self, grade: Grade) -> None:
        """A check is done: its line, and why it failed."""
        from hartwell.lab.conformance.report import begin, explanation, verdict

        points, word, text = verdict(grade)
        took = f"  ({grade.seconds:.2f} s)" if self._durations else ""
        self._print(("" if self._terminal else begin(grade.check)) + points, end="")
        self._print(_coloured(word, "32" if grade.ok else "31;1", self._terminal) + text + took)
        if grade.ok:
            return
        assert self._grades is not None
        saved = self._save(grade)
        for line in explanation(self._grades, grade, saved):
            self._print(f"      {line}")

    def _save(self, grade: Grade) -> str:
        """Write the first failure that can be done again to the replay file; its name, if this was it."""
        if self._replay is None or self._saved or grade.failed is None:
            return ""
        from hartwell.lab.search.replay import save_replay

        failed, self._saved = grade.failed, self._replay
        save_replay(self._replay, self._subject, failed.operations, failed.cpu, failed.setting, grade.findings[0],
                    f"conformance: {grade.check.name}", conserve=failed.conserve)
        return self._saved

    def end(self, grades: Grades) -> None:
        """The score."""
        from hartwell.lab.conformance.report import score
        from hartwell.views.table import print_json

        if self._json:
            print_json(grades.to_json(times=self._durations))
            return
        self._print("")
        for line in score(grades):
            self._print(line)

    def stillborn(self, grades: Grades) -> None:
        """The allocator does not come up: that is told once."""
        self._print(f"{grades.spec}: a {grades.kind.value} allocator that does not come up: no check can be done")
        if grades.grades:
            self._print(f"      {grades.grades[0].findings[0]}")

    def _print(self, text: str, end: str = "\n") -> None:
        if not self._json:
            print(text, end=end, flush=True)


def _coloured(text: str, colour: str, wanted: bool) -> str:
    return f"\033[{colour}m{text}\033[0m" if wanted else text


def _list(checks: list[Check], as_json: bool) -> None:
    from hartwell.views.table import print_json, print_table

    if as_json:
        print_json({"checks": [{"name": check.name, "level": check.level.title, "points": check.points,
                                "title": check.title, "about": check.about, "oracle": check.oracle}
                               for check in checks]})
        return
    print_table(("check", "level", "points", "what is done"),
                [(check.name, check.level.title, str(check.points) if check.points else "-", check.about)
                 for check in checks], left=2, prose=0)
