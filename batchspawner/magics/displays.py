"""What a Python cell shows: pictures, HTML and the like, as in Jupyter's messages.

https://jupyter-client.readthedocs.io/en/stable/messaging.html#display-data
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Display:
    """One thing to show, by MIME types, or with `clear` the wish to clear the output.

    An `update` replaces what is shown with this `display_id`. With `wait`, the output is cleared
    when there is something new.
    """

    data: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    display_id: str = ""
    update: bool = False
    clear: bool = False
    wait: bool = False

    @classmethod
    def read(cls, content: bytes, element: str = "") -> Display:
        """Return what a message of a cell, or of an element of an array, asks to show."""
        message = json.loads(content)
        if element and message.get("display_id"):
            # Elements that choose the same name have a display each.
            message["display_id"] = f"{message['display_id']}-{element}"
        return cls(**message)

    @property
    def text(self) -> str:
        """The plain text, a line or more; it may be empty."""
        text = self.data.get("text/plain", "")
        return f"{text}\n" if text else ""

    def publish(self) -> None:
        """Show it where the shell of this process shows things; a terminal gets the text."""
        from IPython.display import publish_display_data

        more = {"transient": {"display_id": self.display_id}} if self.display_id else {}
        publish_display_data(  # type: ignore[no-untyped-call, unused-ignore]
            self.data, self.metadata, update=self.update, **more
        )
