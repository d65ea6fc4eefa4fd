"""The findings of a check, and the reports that people and programs read."""

from __future__ import annotations

import json
import textwrap
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WIDTH = 100


class Verdict(Enum):
    """The result of one check. SKIPPED: an earlier one failed, so it could not be made."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """One line of a report.

    `name` is one word, the same in every report. `cure` is what fixes the problem: lines of
    configuration, of sudoers or of a shell, or a sentence. `figures` are measured numbers, with
    their units in their names. `profile` is the key of the profile that it is about, if there are
    any.
    """

    name: str
    verdict: Verdict
    text: str
    cure: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)
    profile: str = ""


class CheckAborted(Exception):
    """The end of a check whose further steps need what is wrong."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.text)
        self.finding = finding


def ok(name: str, text: str, **figures: float) -> Finding:
    """Return a finding that something works."""
    return Finding(name, Verdict.OK, text, figures=figures)


def wrong(name: str, text: str, cure: str = "") -> Finding:
    """Return a finding that something does not work."""
    return Finding(name, Verdict.WRONG, text, cure)


def warning(name: str, text: str, cure: str = "") -> Finding:
    """Return a finding that something works, but not as well as it should."""
    return Finding(name, Verdict.WARNING, text, cure)


def skipped(name: str, text: str) -> Finding:
    """Return a finding that something could not be checked."""
    return Finding(name, Verdict.SKIPPED, text)


def as_text(finding: Finding) -> str:
    """Return a finding as lines for a terminal."""
    name = f"{finding.profile}: {finding.name}" if finding.profile else finding.name
    lines = textwrap.wrap(
        f"{finding.verdict.value:8}{name}: {finding.text}",
        _WIDTH,
        subsequent_indent=" " * 8,
        break_long_words=False,
        break_on_hyphens=False,
    )
    if finding.cure:
        lines += [f"{' ' * 8}-> {line}" for line in finding.cure.splitlines()]
    return "\n".join(lines)


def as_json(findings: Sequence[Finding]) -> str:
    """Return all findings as a JSON document."""
    listed = [{**asdict(one), "verdict": one.verdict.value} for one in findings]
    return json.dumps({"ok": not failed(findings), "findings": listed}, indent=2)


def failed(findings: Sequence[Finding]) -> bool:
    """Return whether anything is wrong."""
    return any(one.verdict is Verdict.WRONG for one in findings)


def summary(findings: Sequence[Finding]) -> str:
    """Return the last line of a report."""
    counts = {one: sum(f.verdict is one for f in findings) for one in Verdict}
    if not counts[Verdict.WRONG]:
        text = "Nothing is wrong"
    else:
        number = counts[Verdict.WRONG]
        text = f"{number} thing{' is' if number == 1 else 's are'} wrong"
    rest = [
        f"{counts[one]} {word}"
        for one, word in ((Verdict.WARNING, "to consider"), (Verdict.SKIPPED, "not checked"))
        if counts[one]
    ]
    return "; ".join([text, *rest]) + "."
