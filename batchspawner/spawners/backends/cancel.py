"""Cancel a job also where the scheduler does not answer at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ...errors import SchedulerUnavailable

if TYPE_CHECKING:
    from ...client.batch_client import BatchClient

_PAUSES = (1.0, 5.0)
"""Seconds between the tries to cancel a job while the scheduler does not answer."""


async def cancel_patiently(client: BatchClient, spawner: Any) -> None:
    """Cancel a spawner's job, again for a while. Raises SchedulerError where it did not help."""
    for pause in _PAUSES:
        try:
            return await client.cancel(spawner.job_id)
        except SchedulerUnavailable as error:
            spawner.log.warning(
                "%s: job %s is not cancelled yet: %s", spawner._log_name, spawner.job_id, error
            )
        await asyncio.sleep(pause)
    return await client.cancel(spawner.job_id)
