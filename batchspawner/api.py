"""The handler that jobs report to, under its 1.x import path."""

from .spawners.report_handler import BatchSpawnerAPIHandler

__all__ = ["BatchSpawnerAPIHandler"]
