"""Records in the JSON of PBS Pro and OpenPBS, also where one of them is not valid.

A listing shows every user's jobs with variables that these users chose, and many releases, 23.06.06
among them, print some of them as no JSON: numbers such as ``.5`` or ``005``, the word ``nan``,
quotes, control characters. So a record that cannot be read costs itself, never the others.

https://github.com/openpbs/openpbs/issues/1255 and 2541 there
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from ...errors import ParseError, SchedulerUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...commands import CommandResult

    Record = dict[str, Any]
    """Attributes of a job, a queue or a node, by their names."""

_FIELDS = (
    *("Job_Name", "Job_Owner", "job_state", "queue", "exec_host", "stime", "substate"),
    *("comment", "Exit_status", "history_timestamp"),
)
"""The attributes of a job that are read from a record that is not valid JSON."""

_PARTS = {"Resource_List": "walltime", "estimated": "start_time"}
"""Those that have parts, with the part that is read."""

_VALUE = r'("(?:[^"\\]|\\.)*"|[^\s,{}"]+)'
_OPENING = r'^(?P<indent>[ \t]+)"(?P<name>[^"\n]+)":[ \t]*\{'


def read_jobs(result: CommandResult) -> dict[str, Record]:
    """Return the attributes of each job, by its id.

    Raises SchedulerUnavailable, or ParseError for an unknown form.
    """
    # If the server is down, the output is valid JSON without jobs: the exit status counts.
    if not result.ok:
        raise SchedulerUnavailable("qstat failed.", result)
    try:
        return read_section(result.stdout, "Jobs")
    except (ValueError, AttributeError, TypeError) as error:
        raise ParseError(f"qstat printed no jobs: {error!r}", result) from error


def read_section(text: str, section: str) -> dict[str, Record]:
    """Return the records in a section of a document, such as ``Jobs``, by their names.

    Of a record that is not valid JSON, the attributes of a job that can be found are returned.
    Names that occur twice are left out: a user may have written one of the two. Raises ValueError,
    TypeError or AttributeError for an unknown form.
    """
    start = re.search(r"^\{", text, re.MULTILINE)
    text = text[start.start() :] if start else text
    try:
        document, _ = _DECODER.raw_decode(text.lstrip())
        return {name: dict(record) for name, record in document.get(section, {}).items()}
    except ValueError:
        head = re.search(rf'^([ \t]*)"{section}":[ \t]*\{{', text, re.MULTILINE)
        if head is None:
            raise
    text = text[head.end() :]
    end = re.search(rf"^{head[1]}\}}", text, re.MULTILINE)
    return _unique(list(_records(text[: end.start()] if end else text)))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        counts = Counter(name for name, _ in pairs)
        return {name: value for name, value in found.items() if counts[name] == 1}
    return found


_DECODER = json.JSONDecoder(strict=False, object_pairs_hook=_unique)


def _records(text: str) -> Iterator[tuple[str, Record]]:
    """Return the records of a section apart, by the indentation of the first one."""
    first = re.search(_OPENING, text, re.MULTILINE)
    if first is None:
        return
    opening = re.compile(f'^{first["indent"]}"([^"\n]+)":[ \t]*\\{{', re.MULTILINE)
    starts = list(opening.finditer(text))
    ends = [match.start() for match in starts[1:]] + [len(text)]
    for match, end in zip(starts, ends):
        record = _record(text[match.end() - 1 : end])
        if record:
            yield match[1], record


def _record(text: str) -> Record:
    try:
        record, _ = _DECODER.raw_decode(text)
    except ValueError:
        return _known_fields(text)
    return dict(record)


def _known_fields(text: str) -> Record:
    """Return the attributes of a job that can be found in its record; empty if it has no state.

    Users write its variables, so that what looks like an attribute there does not count.
    """
    before, _, behind = text.partition('"Variable_List":')
    first = re.match(r"\{\s*?\n([ \t]+)\"", text)
    # Behind the variables only what is indented as the record's own attributes.
    margin = f"^{first[1]}" if first else "(?!)"
    found: Record = {}
    for name in _FIELDS:
        match = re.search(rf'"{name}":\s*{_VALUE}', before) or re.search(
            rf'{margin}"{name}":\s*{_VALUE}', behind, re.MULTILINE
        )
        if match:
            found[name] = _value(match[1])
    for name, part in _PARTS.items():
        whole = re.search(rf'"{name}":\s*\{{([^{{}}]*)\}}', before)
        match = re.search(rf'"{part}":\s*{_VALUE}', whole[1]) if whole else None
        if match:
            found[name] = {part: _value(match[1])}
    return found if "job_state" in found else {}


def _value(text: str) -> Any:
    try:
        return json.loads(text, strict=False)
    except ValueError:
        # Such as nan, a job's name.
        return text.strip('"')
