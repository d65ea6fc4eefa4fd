"""Ask a scheduler: submit, query, cancel, watch, and what its queues offer."""

from .batch_client import BatchClient
from .blocking_client import BlockingClient

__all__ = ["BatchClient", "BlockingClient"]
