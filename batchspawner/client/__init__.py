"""The client of a scheduler: submit, query, cancel and watch jobs, and see what queues offer."""

from .batch_client import BatchClient
from .blocking_client import BlockingClient

__all__ = ["BatchClient", "BlockingClient"]
