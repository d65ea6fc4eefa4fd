"""Spawner for Grid Engine."""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ET

from traitlets import Unicode

from .base import BatchSpawnerBase

_VARIABLES = (
    "SGE_CELL",
    "SGE_EXECD",
    "SGE_ROOT",
    "SGE_CLUSTER_NAME",
    "SGE_QMASTER_PORT",
    "SGE_EXECD_PORT",
    "PATH",
)

_LISTING = re.compile(r"<\?xml|<job_info")


class GridengineSpawner(BatchSpawnerBase):
    """Spawner of servers that are jobs of Grid Engine (SGE, Son of Grid Engine, UGE)."""

    scheduler_name = "gridengine"

    req_parallel_environment = Unicode(
        "",
        help="Parallel environment, such as smp, that gives req_nprocs cores of one host. "
        "`qconf -spl` lists them; without one a job has a single core.",
    ).tag(config=True)

    batch_submit_cmd = Unicode("qsub").tag(config=True)
    batch_query_cmd = Unicode("qstat -xml").tag(config=True)
    batch_cancel_cmd = Unicode("qdel {job_id}").tag(config=True)

    def parse_job_id(self, output: str) -> str:
        """Return N of ``Your job N ("name") has been submitted``, or the third word of any text."""
        match = re.search(r"^Your job(?:-array)? ([0-9]+)", output, re.MULTILINE)
        return match[1] if match else output.split(" ")[2]

    def state_ispending(self) -> bool:
        return self._state() == "pending"

    def state_isrunning(self) -> bool:
        return self._state() == "running"

    def state_gethost(self) -> str | None:
        job = self._job()
        queue = "" if job is None else job.findtext("queue_name") or ""
        if "@" not in queue:
            self.log.error("%s: no host in %r", self.log_name, self.job_status)
            return None
        return queue.split("@")[1]

    def _state(self) -> str | None:
        job = self._job()
        return None if job is None else job.get("state")

    def _job(self) -> ET.Element | None:
        if not self.job_status:
            return None
        # The login shell of another machine prints notices first.
        begin = _LISTING.search(self.job_status)
        listing = ET.fromstring(self.job_status[begin.start() if begin else 0 :])  # noqa: S314
        return listing.find(f".//job_list[JB_job_number='{self.job_id}']")

    def get_env(self) -> dict[str, str]:
        """Add the variables by which Grid Engine's commands and jobs find their cell."""
        env = super().get_env()
        for name in _VARIABLES:
            if name in os.environ:
                env.setdefault(name, os.environ[name])
        return env
