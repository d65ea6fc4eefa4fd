"""Schedulers for chaos: what is seen of their jobs and processes, and what is done to them."""

from __future__ import annotations

from tests.chaos.queues.gridengine import GridEngineQueue
from tests.chaos.queues.htcondor import HTCondorQueue
from tests.chaos.queues.local import EmbeddedQueue
from tests.chaos.queues.slurm import SlurmQueue

QUEUES = {one.name: one for one in (EmbeddedQueue, SlurmQueue, GridEngineQueue, HTCondorQueue)}
