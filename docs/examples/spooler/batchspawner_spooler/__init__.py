"""Task Spooler, a queue of one user on one machine, for batchspawner.

Manual: https://vicerveza.homeunix.net/~viric/soft/ts/
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from traitlets import Unicode

from batchspawner import BatchSpawnerBase
from batchspawner.commands import Command
from batchspawner.errors import ParseError, SchedulerUnavailable
from batchspawner.jobs import JobInfo, JobState, TaggedJob
from batchspawner.schedulers.base import Scheduler

STATES = {
    "queued": JobState.PENDING,
    "allocating": JobState.PENDING,
    "running": JobState.RUNNING,
    "finished": JobState.COMPLETED,
    "skipped": JobState.CANCELLED,
}
# "2  running  /tmp/ts-out.ab         [jh-12ab]sh -c "$0" ... /tmp/job"
LINE = re.compile(
    r"^(?P<id>\d+) +(?P<state>\w+) +(?:\S+) +(?P<code>-?\d+ )?.*?(?:\[(?P<tag>[\w.-]+)\])?sh ",
    re.MULTILINE,
)
# `tsp` takes a command, not a script on its input. No word of a user is in these texts.
SUBMIT = r"""
tag=$1; shift; set -f
file=$(mktemp) && cat > "$file" && chmod 700 "$file" || exit
tsp -L "$tag" $(sed -n 's/^#TSP //p' "$file") "$@" \
  sh -c '"$0"; status=$?; rm -f "$0"; exit $status' "$file" || { rm -f "$file"; exit 1; }
"""
# A job that has just begun can miss a signal.
CANCEL = r"""
for pause in 0.1 0.3 1 3; do
    case $(tsp -s "$1") in
        queued) tsp -r "$1" ;;
        running) tsp -k "$1"; sleep "$pause" ;;
    esac
done 2>/dev/null
tsp -l >/dev/null
"""


@dataclass(frozen=True)
class Spooler(Scheduler):
    """Commands of Task Spooler."""

    name = "spooler"
    title = "Task Spooler"
    tool_variables = ("TS_*", "TMPDIR")
    shared = False  # `tsp -l` lists the caller's own jobs
    this_machine = True
    directives = ("#TSP",)
    no_answer = re.compile("server didn't come up|connection refused", re.IGNORECASE)
    log_directive = re.compile(r"^exec >(?P<path>\S+)", re.MULTILINE)

    def submit(self, request):
        argv = ("sh", "-c", SUBMIT, "tsp", request.tag or "untagged", *request.arguments)
        return Command(argv, parse_submit, request.script, request.environment)

    def query(self, job_ids):
        wanted = {self.checked(job_id) for job_id in job_ids}

        def parse(result):
            return {one.job_id: one for one, _ in parse_list(result) if one.job_id in wanted}

        return [Command(("tsp", "-l"), parse)]

    def confirm(self, job_id):
        self.checked(job_id)

        def parse(result):
            return next((one for one, _ in parse_list(result) if one.job_id == job_id), None)

        return [Command(("tsp", "-l"), parse)]

    def find(self, tag):
        def parse(result):
            return [one.job_id for one, found in parse_list(result) if found == tag]

        return Command(("tsp", "-l"), parse)

    def tagged(self):
        def parse(result):
            jobs = [(one, tag) for one, tag in parse_list(result) if not one.is_final]
            return [TaggedJob(one.job_id, "", tag or "") for one, tag in jobs]

        return Command(("tsp", "-l"), parse)

    def cancel(self, job_id):
        return Command(("sh", "-c", CANCEL, "tsp", self.checked(job_id)), self.answered)


def parse_submit(result):
    """Return the id of the new job."""
    Spooler.accepted(result)
    if not re.fullmatch(r"\d+\n", result.stdout):
        raise ParseError("tsp printed no job id.", result)
    return result.stdout.strip()


def parse_list(result):
    """Return the status and the tag of each job."""
    if not result.ok:
        raise SchedulerUnavailable("tsp did not answer.", result)
    return [(status(match), match["tag"]) for match in LINE.finditer(result.stdout)]


def status(match):
    """Return the status of the job in a line of the list."""
    state = STATES.get(match["state"], JobState.UNKNOWN)
    code = int(match["code"]) if match["code"] and state is JobState.COMPLETED else None
    if code is not None and code < 0:
        state, code = JobState.CANCELLED, None
    elif code:
        state = JobState.FAILED
    running = state is JobState.RUNNING
    return JobInfo(
        match["id"],
        state,
        native=match["state"],
        reason="all slots are taken" if state is JobState.PENDING else "",
        host="localhost" if running else "",
        exit_code=code,
    )


class SpoolerSpawner(BatchSpawnerBase):
    """Start servers as jobs of Task Spooler, which belong to the user who runs the Hub."""

    scheduler_name = "spooler"
    exec_prefix = Unicode("").tag(config=True)
