"""The rows that all open browsers of this server see, sent to them as differences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .rows import Row

    Send = Callable[[dict[str, Any]], None]
    """Sends a message to a browser; it must not wait."""


class Board:
    """Rows by their ids, and the browsers that follow them.

    It belongs to one event loop.
    """

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self._followers: list[Send] = []

    def follow(self, send: Send) -> None:
        """Send all rows now, and each change from now on."""
        self._followers.append(send)
        send({"type": "all", "rows": [one.as_json() for one in self.rows.values()]})

    def forget(self, send: Send) -> None:
        """Send nothing more."""
        if send in self._followers:
            self._followers.remove(send)

    def update(self, rows: Iterable[Row]) -> bool:
        """Replace all rows; send what differs, and return whether anything does."""
        fresh = {one.id: one for one in rows}
        changed = [one for key, one in fresh.items() if _differ(self.rows.get(key), one)]
        removed = [key for key in self.rows if key not in fresh]
        self.rows = fresh
        if changed or removed:
            rows_ = [one.as_json() for one in changed]
            self.send({"type": "changes", "changed": rows_, "removed": removed})
        return bool(changed or removed)

    def send(self, message: dict[str, Any]) -> None:
        """Send a message to all browsers."""
        for send in list(self._followers):
            send(message)


def _differ(one: Row | None, other: Row) -> bool:
    # Most rows are the same objects as before, and there may be thousands.
    return one is not other and one != other
