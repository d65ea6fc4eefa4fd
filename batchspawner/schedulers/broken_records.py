"""Parsers of listings of all users' jobs, in which a record may be broken.

One broken record costs at most its own job: the others are read, and a job whose record cannot be
read is in an unknown state, which is no end.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import ParseError
from ..jobs import JobInfo, JobState
from .xml_output import read_xml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..commands import CommandResult

T = TypeVar("T")
R = TypeVar("R")

_ERRORS = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError)


def unreadable(job_id: str) -> JobInfo:
    """Return the status of a job whose record cannot be read."""
    return JobInfo(job_id, JobState.UNKNOWN, native="unreadable record")


def status_or_unreadable(job_id: str, record: R, read: Callable[[str, R], JobInfo]) -> JobInfo:
    """Return the status that `read` finds in a record of a job."""
    try:
        return read(job_id, record)
    except _ERRORS:
        return unreadable(job_id)


def read_each(
    command: str, what: str, result: CommandResult, records: Iterable[R], read: Callable[[R], T]
) -> list[T]:
    """Return what `read` makes of each record, without those that it cannot read.

    `what` is the message, up to the cause. Raises ParseError if there are records, and
    none can be read.
    """
    found: list[T] = []
    failure: Exception | None = None
    for record in records:
        try:
            found.append(read(record))
        except _ERRORS as error:  # noqa: PERF203  (each record on its own)
            failure = error
    if failure is not None and not found:
        text = " ".join((command, what, repr(failure)))
        raise ParseError(text, result) from failure
    return found


def check_not_cut_off(command: str, result: CommandResult, fields: int) -> None:
    """Check that a listing with fields between bars does not end in mid-line.

    Raises ParseError: the jobs in the lines that are missing have not ended.
    """
    last = result.stdout.rpartition("\n")[2]
    if last and last.count("|") < fields - 1:
        raise ParseError(f"{command} printed a line of another form: {last!r}", result)


def load_json(command: str, what: str, result: CommandResult) -> Any:
    """Return the value of a JSON document, line breaks in its texts included.

    `what` is the message, up to the cause. Raises ParseError.
    """
    try:
        return json.loads(result.stdout, strict=False)
    except ValueError as error:
        text = " ".join((command, what, repr(error)))
        raise ParseError(text, result) from error


def valid_records(text: str, start: re.Pattern[str]) -> list[tuple[str, Any]]:
    """Return the records of a JSON document that is not valid: the text and the value of each.

    `start` matches what is before a record. The value of one that is not valid is None. Nothing
    is returned for a document without its end: the jobs that are missing have not ended.
    """
    if not text.rstrip().endswith(("]", "}")):
        return []
    return list(_records(text, json.JSONDecoder(strict=False), start))


def _records(
    text: str, decoder: json.JSONDecoder, start: re.Pattern[str]
) -> Iterator[tuple[str, Any]]:
    match = start.search(text)
    while match:
        try:
            record, end = decoder.raw_decode(text, match.end())
        except ValueError:
            record, end = None, match.end() + 1
        following = start.search(text, end)
        yield text[match.start() : following.start() if following else None], record
        match = following


def read_xml_records(
    command: str, result: CommandResult, tag: str, number: str
) -> list[ET.Element]:
    """Return the elements with a tag in the XML that a command printed.

    If it is no valid XML, those that are valid; of any other, only the child with its number.
    Raises ParseError for a document without its end.
    """
    try:
        return read_xml(command, result).findall(f".//{tag}")
    except ParseError:
        text = result.stdout.rstrip()
        root = re.search(r"<([A-Za-z]\w*)", text)
        pieces = re.findall(rf"<{tag}\b.*?</{tag}>", text, re.DOTALL)
        if not pieces or not root or "<!DOCTYPE" in text or not text.endswith(f"</{root[1]}>"):
            raise
    return [_element(command, replace(result, stdout=piece), tag, number) for piece in pieces]


def _element(command: str, piece: CommandResult, tag: str, number: str) -> ET.Element:
    try:
        return read_xml(command, piece)
    except ParseError:
        element = ET.Element(tag)
        found = re.search(rf"<{number}>([^<]*)</{number}>", piece.stdout)
        ET.SubElement(element, number).text = found[1] if found else ""
        return element
