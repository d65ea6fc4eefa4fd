"""Plain text of a notebook's cell that is rewritten in place."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.display_functions import DisplayHandle


class RewrittenOutput:
    """One output of the cell that runs; its last version stays in the notebook."""

    def __init__(self) -> None:
        self._handle: DisplayHandle | None = None

    def show(self, text: str) -> None:
        """Show a text in place of the last one."""
        from IPython.display import display

        data = {"text/plain": text}
        if self._handle is None:
            self._handle = display(data, raw=True, display_id=True)  # type: ignore[no-untyped-call, unused-ignore]
        else:
            self._handle.update(data, raw=True)  # type: ignore[no-untyped-call, unused-ignore]
