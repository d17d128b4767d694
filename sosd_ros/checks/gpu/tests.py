"""The tests that need a GPU: those marked ``gpu``."""

from __future__ import annotations

from xml.etree import ElementTree

from .place import ROOT, STOPPED, CannotRunError, Outcome, Place, table


def run(place: Place) -> Outcome:
    if not (ROOT / "test").is_dir():
        raise CannotRunError("the tests are not installed; run from a checkout")
    record = place.work / "tests.xml"
    record.unlink(missing_ok=True)
    options = (
        "-m",
        "gpu",
        "-v",
        "-p",
        "no:cacheprovider",
        "--continue-on-collection-errors",
        f"--junitxml={record}",
    )
    status = place.command("pytest", *options, str(ROOT / "test"))
    if not record.is_file() and status != STOPPED:
        return Outcome({}, problems=[f"pytest ended with status {status} and no record"])
    tree = ElementTree.parse(record) if record.is_file() else ElementTree.ElementTree()
    cases = {
        f"{case.get('classname')}.{case.get('name')}": _verdict(case)
        for case in tree.iter("testcase")
    }
    counts = {verdict: [*cases.values()].count(verdict) for verdict in _VERDICTS}
    problems = [f"{name}: {verdict}" for name, verdict in cases.items() if verdict in _BAD]
    if not problems and status not in (0, STOPPED):
        problems = [f"pytest ended with status {status}"]
    if place.device.startswith("cuda") and not counts["passed"]:
        problems.append("no test has run")
    figures = {"status": status, "counts": counts, "tests": cases}
    rows = table([*counts], [[*counts.values()]])
    return Outcome(figures, rows, problems, finished=status != STOPPED)


_BAD = ("failure", "error")
_VERDICTS = ("passed", "skipped", *_BAD)


def _verdict(case: ElementTree.Element) -> str:
    return next((child.tag for child in case if child.tag in _VERDICTS), "passed")
