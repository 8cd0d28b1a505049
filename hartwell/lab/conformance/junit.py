"""Grades as JUnit XML, as pytest writes it (its schema is Jenkins' xunit plugin's): for CI."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from .grading import Grade, Grades
from .report import explanation


def junit(grades: Grades, *, times: bool = False) -> str:
    """The document: one test suite, a test case for each check.

    Without `times` all times are 0, so that the same grades are the same document.
    """
    failures = sum(not grade.ok for grade in grades.grades)
    seconds = sum(grade.seconds for grade in grades.grades) if times else 0.0
    root = ET.Element("testsuites", name="hartwell test")
    suite = ET.SubElement(root, "testsuite", name=f"hartwell.{grades.kind.value}", errors="0", failures=str(failures),
                          skipped="0", tests=str(len(grades.grades)), time=f"{seconds:.3f}")
    properties = ET.SubElement(suite, "properties")
    for name, value in (("allocator", grades.spec), ("points", str(grades.points)), ("of", str(grades.of)),
                        ("seed", str(grades.seed)), ("harts", str(grades.setting.harts))):
        ET.SubElement(properties, "property", name=name, value=_legal(value))
    for grade in grades.grades:
        case = ET.SubElement(suite, "testcase", classname=f"hartwell.{grades.kind.value}.{grade.check.level.title}",
                             name=grade.check.name, time=f"{grade.seconds if times else 0.0:.3f}")
        if not grade.ok:
            _failure(case, grades, grade)
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _failure(case: ET.Element, grades: Grades, grade: Grade) -> None:
    finding = grade.findings[0]
    failure = ET.SubElement(case, "failure", message=_legal(str(finding)), type=finding.kind.value)
    failure.text = _legal("\n".join(explanation(grades, grade)))


def _legal(text: str) -> str:
    """Without the characters that XML cannot have: a guest's panic may say anything."""
    return "".join(char if _is_legal(char) else char.encode("unicode_escape", "surrogatepass").decode()
                   for char in text)


def _is_legal(char: str) -> bool:
    return char in "\t\n\r" or " " <= char <= "\ud7ff" or "\ue000" <= char <= "\ufffd" or char > "\uffff"
