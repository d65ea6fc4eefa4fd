"""Parser for the XML output of schedulers, whatever users have put into it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from ..errors import ParseError

if TYPE_CHECKING:
    from ..commands import CommandResult

# Control characters, plain or as a reference: https://www.w3.org/TR/xml/#charsets forbids them,
# but some schedulers print what is in a user's environment as it is. One user's would make the
# listing of all users unreadable.
_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]"
    "|&#(?:0*(?:[0-8]|1[124-9]|2[0-9]|3[01])|x0*(?:[0-8bcef]|1[0-9a-f]));",
    re.IGNORECASE,
)


def read_xml(command: str, result: CommandResult) -> ET.Element:
    """Return the root of the document that a command printed.

    Raises ParseError for text that is no document, and for one with a document type: only that
    can define entities, and no scheduler's command prints one.
    """
    text = _FORBIDDEN.sub("\ufffd", result.stdout.strip())
    if "<!DOCTYPE" in text:
        raise ParseError(f"{command} printed XML with a document type, which is not read.", result)
    try:
        return ET.fromstring(text)  # noqa: S314  (without a document type there are no entities)
    except ET.ParseError as error:
        raise ParseError(f"{command} printed no XML: {error}", result) from error
