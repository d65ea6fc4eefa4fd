"""Spawners for Torque, Moab and PBS."""

from __future__ import annotations

from traitlets import Unicode

from ..commands import CommandResult
from ..jobs import JobRequest
from ..schedulers import scheduler_class
from .regex_states import BatchSpawnerRegexStates


class TorqueSpawner(BatchSpawnerRegexStates):
    """Spawner of servers that are Torque jobs."""

    scheduler_name = "torque"

    batch_submit_cmd = Unicode("qsub").tag(config=True)
    batch_query_cmd = Unicode("qstat -x {job_id}").tag(config=True)
    batch_cancel_cmd = Unicode("qdel {job_id}").tag(config=True)
    state_pending_re = Unicode(r"<job_state>[QH]</job_state>").tag(config=True)
    state_running_re = Unicode(r"<job_state>R</job_state>").tag(config=True)
    state_exechost_re = Unicode(r"<exec_host>((?:[\w_-]+\.?)+)/\d+").tag(config=True)

    def parse_job_id(self, output: str) -> str:
        """Return what the submit command printed; of several lines the one that is a job id."""
        if "\n" not in output.strip():
            return output
        submit = scheduler_class(self.scheduler_name)().submit(JobRequest(""))
        return submit.parse(CommandResult((self.batch_submit_cmd,), 0, output, ""))


class MoabSpawner(TorqueSpawner):
    """Spawner of servers that are Moab jobs."""

    scheduler_name = "moab"

    req_qos = Unicode("", help="Quality of service to ask for.").tag(config=True)

    batch_submit_cmd = Unicode("msub").tag(config=True)
    batch_query_cmd = Unicode("mdiag -j {job_id} --xml").tag(config=True)
    batch_cancel_cmd = Unicode("mjobctl -c {job_id}").tag(config=True)
    state_pending_re = Unicode(r'State="Idle"').tag(config=True)
    state_running_re = Unicode(r'State="Running"').tag(config=True)
    state_exechost_re = Unicode(r'AllocNodeList="([^\r\n\t\f :"]*)').tag(config=True)


class PBSSpawner(TorqueSpawner):
    """Spawner of servers that are jobs of PBS Pro or OpenPBS."""

    scheduler_name = "pbspro"

    batch_query_cmd = Unicode("qstat -fx {job_id}").tag(config=True)
    state_pending_re = Unicode(r"job_state = [QH]").tag(config=True)
    state_running_re = Unicode(r"job_state = R").tag(config=True)
    state_exechost_re = Unicode(r"exec_host = ([\w_-]+)/").tag(config=True)
