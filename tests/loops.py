"""What tests need to know of an event loop."""

from __future__ import annotations

import asyncio


class Rounds:
    """The rounds of the event loop while the block runs; `number` is that of the present one."""

    number = 0

    async def __aenter__(self) -> Rounds:
        self._task = asyncio.ensure_future(self._count())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()

    async def _count(self) -> None:
        while True:
            self.number += 1
            await asyncio.sleep(0)
