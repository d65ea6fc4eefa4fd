"""OAR: oarsub, oarstat and oardel.

Manual: https://oar-documentation.readthedocs.io/en/2.5/user/commands.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ...commands import Command
from ...errors import ParseError, SchedulerUnavailable
from ...jobs import JobInfo, JobState, TaggedJob
from ..base import Detection, LauncherRules, Scheduler
from ..broken_records import load_json, status_or_unreadable, valid_records
from . import reasons

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ...commands import CommandResult
    from ...jobs import JobRequest
    from ..base import Listing

# "Job states" in
# https://oar-documentation.readthedocs.io/en/2.5/user/mechanisms.html
STATES = {
    "Waiting": JobState.PENDING,
    "toAckReservation": JobState.PENDING,
    "toLaunch": JobState.PENDING,
    "Launching": JobState.PENDING,
    "Hold": JobState.HELD,
    "Running": JobState.RUNNING,
    "Suspended": JobState.SUSPENDED,
    "Resuming": JobState.SUSPENDED,
    "Finishing": JobState.COMPLETING,
    "toError": JobState.COMPLETING,
    "Terminated": JobState.COMPLETED,
    "Error": JobState.FAILED,
}

# `oarsub` reads no script from its input and takes no environment along. Both lie in a folder that
# only the owner may enter, in his home, which the nodes share; the environment is deleted as soon
# as the job has read it, the rest at its end, or by a later submit where the job was killed. Of an
# array, the last element to end deletes all. The
# text is constant: what differs comes as input, as arguments, and as variables whose names are
# arguments.
_SUBMIT = r"""
umask 077
names=$1 tag=$2
shift 2
elements=1 before=
for word; do
    [ "$before" != --array ] || elements=$word
    before=$word
done
cd "$HOME" && export PWD && mkdir -p .batchspawner || exit
if live=$(oarstat -J 2>/dev/null); then
    for old in $(find .batchspawner -maxdepth 1 -name 'job.*' -mmin +10); do
        case $live in *"/$old/job"*) ;; *) rm -rf "$old" ;; esac
    done
fi
folder=$(mktemp -d "$HOME/.batchspawner/job.XXXXXX") || exit
cat > "$folder/script"
for name in $names; do
    eval "value=\${$name-}"
    quoted=$(printf '%s.' "$value" | sed "s/'/'\\\\''/g")
    printf "export %s='%s'\n" "$name" "${quoted%.}"
done > "$folder/environment"
{
    echo '#!/bin/sh'
    grep '^#OAR ' "$folder/script"
    echo "elements=$elements"
    cat << 'END'
folder=${0%/*}
. "$folder/environment"
[ "$elements" -gt 1 ] || rm -f "$folder/environment"
"$folder/script" &
script=$!
trap 'kill -TERM "$script"' TERM INT
trap 'kill -USR1 "$script"' USR1
trap 'kill -USR2 "$script"' USR2
wait "$script"
status=$?
while kill -0 "$script" 2>/dev/null; do
    wait "$script"
    status=$?
done
: > "$folder/done.$OAR_JOB_ID"
set -- "$folder"/done.*
[ "$#" -lt "$elements" ] || rm -rf "$folder"
exit "$status"
END
} > "$folder/job"
chmod 700 "$folder/script" "$folder/job"
oarsub ${tag:+-n "$tag"} "$@" -S "$folder/job"
status=$?
[ "$status" = 0 ] || rm -rf "$folder"
exit "$status"
"""
_JOB = re.compile(r'^ {3}"(\d+)" : (?=\{)', re.MULTILINE)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OTHER_OPTION = (
    r"(?m)^#OAR (?![ \t]*(?:-[lqpdnaOEt]|--(?:resource|queue|property|directory|name|anterior"
    r"|stdout|stderr|type|project|checkpoint|signal|hold)\b"
    r"|--notify[ \t]+(?:\[[A-Z,]*\])?mail:[A-Za-z0-9_.+@-]+[ \t\r]*$))"
)


@dataclass(frozen=True)
class OAR(Scheduler):
    """Commands of OAR. Lines ``#OAR`` of a script hold options of `oarsub`.

    A job id is a number, ``12[]`` an array whose first element is job 12.
    """

    name: ClassVar[str] = "oar"
    title: ClassVar[str] = "OAR"
    own_options: ClassVar[frozenset[str]] = frozenset({"project"})
    detection = Detection("oarsub")
    numbers_lone_jobs: ClassVar[bool] = True
    reasons = reasons.REASONS
    tool_variables: ClassVar[tuple[str, ...]] = ("OAR*",)
    # The environment lies in a folder that only its owner may enter; see _SUBMIT.
    environment_readers: ClassVar[str] = "administrators of the nodes"
    directives: ClassVar[tuple[str, ...]] = ("#OAR",)
    # hours[:minutes[:seconds]]
    bare_runtime_s: ClassVar[int] = 3600
    paired_runtime_s: ClassVar[int] = 3600
    job_id_variable: ClassVar[str] = "OAR_JOB_ID"
    index_variable: ClassVar[str] = "OAR_ARRAY_INDEX"
    job_variables: ClassVar[re.Pattern[str]] = re.compile(r"(?!OAR_LIB$)OAR_.*")
    log_directive: ClassVar[re.Pattern[str]] = re.compile(
        r"^#?OAR -[OE] (?P<path>\S+)", re.MULTILINE
    )
    log_job_id: ClassVar[re.Pattern[str]] = re.compile("%jobid%")
    launcher_rules = LauncherRules(
        show=("oarstat", "-f", "-j", "{job_id}"),
        shown=r"(?m)^ *name = (\S+)$",
        log="{home}/.jupyterhub.oar.{job_id}.out",
        # https://oar-documentation.readthedocs.io/en/2.5/user/commands.html: --notify exec:…, what
        # reads and writes files here, --array-param-file by a shell; types of jobs of a frontend.
        refused=(
            _OTHER_OPTION,
            r"(?m)^#OAR [ \t]*(?:-t|--type)\W*(?:deploy|cosystem)",
        ),
    )
    finds_all: ClassVar[bool] = True
    arrays: ClassVar[bool] = True
    job_id_pattern: ClassVar[re.Pattern[str]] = re.compile(r"[0-9]+(?:\[\])?")
    no_answer: ClassVar[re.Pattern[str]] = re.compile(
        "db connection|dbi connect|connection refused|(?:can|could) ?not connect|timed? ?out"
        "|unable to connect|job is killed|almighty",
        re.IGNORECASE,
    )

    def submit(self, request: JobRequest) -> Command[str]:
        names = " ".join(name for name in request.environment if _NAME.fullmatch(name))
        array = ("--array", str(request.elements)) if request.elements > 1 else ()
        argv = ("sh", "-c", _SUBMIT, "oarsub", names, request.tag, *array, *request.arguments)
        return Command(argv, _parse_submit, request.script, request.environment, timeout=60)

    def element(self, job_id: str, index: str) -> str:
        # The elements of an array are jobs that follow each other.
        return str(int(job_id.removesuffix("[]")) + int(index) - 1)

    def query(self, job_ids: Collection[str]) -> Sequence[Command[Listing]]:
        wanted = {self.checked(job_id) for job_id in job_ids}
        return [Command(("oarstat", "-J"), lambda result: _parse_query(result, wanted))]

    def query_owner(self, owner: str, job_ids: Collection[str]) -> Command[Listing]:
        wanted = {self.checked(job_id) for job_id in job_ids}
        return Command(("oarstat", "-J", "-u", owner), lambda result: _parse_query(result, wanted))

    def confirm(self, job_id: str) -> Sequence[Command[JobInfo | None]]:
        argv = ("oarstat", "-J", "-f", *self._selected(job_id))
        return [Command(argv, lambda result: _parse_query(result, {job_id}).get(job_id))]

    def find(self, tag: str) -> Command[list[str]]:
        return Command(
            ("oarstat", "-J"),
            lambda result: [one.job_id for one in _parse_tagged(result) if one.text == tag],
        )

    def tagged(self) -> Command[list[TaggedJob]]:
        return Command(("oarstat", "-J"), _parse_tagged)

    def own_jobs(self, owner: str) -> Command[list[JobInfo]]:
        return Command(("oarstat", "-J", "-u", owner), _parse_own_jobs)

    def cancel(self, job_id: str) -> Command[None]:
        return Command(("oardel", *self._selected(job_id)), _parse_cancel)

    def dependencies(self, jobs: Mapping[str, Sequence[str]]) -> str | None:
        if [*jobs] != ["afterany"]:
            return None
        return "\n".join(f"-a {one}" for one in jobs["afterany"])

    def signal(self, job_id: str, number: int) -> Command[None]:
        return Command(("oardel", "-s", str(number), *self._selected(job_id)), self.answered)

    def _selected(self, job_id: str) -> tuple[str, ...]:
        """Return the words that select an array, or a job with all that OAR made of it."""
        if self.checked(job_id).endswith("[]"):
            return ("--array", job_id[:-2])
        # Like _submitted_as; the first condition spares OAR a look at all jobs that ever were.
        return ("--sql", f"job_id >= {job_id} AND array_id + array_index - 1 = {job_id}")


def _parse_submit(result: CommandResult) -> str:
    # A submit that failed may have printed an id: the exit status counts.
    OAR.accepted(result)
    ids = re.findall(r"^OAR_JOB_ID=([0-9]+)$", result.stdout, re.MULTILINE)
    if not ids:
        raise ParseError("oarsub printed no job id.", result)
    return ids[0] if len(ids) == 1 else f"{ids[0]}[]"


def _jobs(result: CommandResult) -> dict[str, dict[str, Any]]:
    if not result.ok:
        raise SchedulerUnavailable("oarstat failed.", result)
    if not result.stdout.strip():
        # No jobs, or an unknown one: not even an empty object.
        return {}
    try:
        jobs = load_json("oarstat", "printed no jobs:", result)
    except ParseError:
        jobs = _valid_jobs(result.stdout)
        if not jobs:
            raise
    if not isinstance(jobs, dict):
        raise ParseError(f"oarstat printed no jobs: {jobs!r}", result)
    # A job whose record cannot be read is listed all the same: it has not ended.
    return {job_id: job if isinstance(job, dict) else {} for job_id, job in jobs.items()}


def _valid_jobs(text: str) -> dict[str, object]:
    found: dict[str, object] = {}
    for whole, record in valid_records(text, _JOB):
        if match := _JOB.match(whole):
            # Within a record that is not valid, its owner can have written another's number.
            found[match[1]] = record if match[1] not in found else None
    return found


def _submitted_as(number: str, job: dict[str, Any]) -> str:
    """Return the id of a submit. OAR itself resubmits a job, under a new id, if its node fails.

    The new job keeps the place in the array of which each job is an element, be it alone there:
    ``resubmit_job`` in https://github.com/oar-team/oar/blob/2.5/sources/core/common-libs/lib/OAR/IO.pm
    """
    first, index = job.get("array_id"), job.get("array_index")
    if job.get("resubmit_job_id") and isinstance(first, int) and isinstance(index, int):
        return str(first + index - 1)
    return number


def _parse_query(result: CommandResult, wanted: set[str]) -> dict[str, JobInfo]:
    found: dict[str, JobInfo] = {}
    # In the order of their submits, so that what a job was resubmitted as counts.
    for number, job in sorted(_jobs(result).items(), key=lambda one: (len(one[0]), one[0])):
        for job_id in (_submitted_as(number, job), f"{job.get('array_id')}[]"):
            # An array lives as long as one of its elements.
            if job_id in wanted and (job_id not in found or found[job_id].is_final):
                found[job_id] = status_or_unreadable(job_id, job, _status)
    return found


def _parse_own_jobs(result: CommandResult) -> list[JobInfo]:
    found = [
        status_or_unreadable(_submitted_as(number, job), job, _status)
        for number, job in _jobs(result).items()
    ]
    return [one for one in found if not one.is_final]


def _status(job_id: str, job: dict[str, Any]) -> JobInfo:
    native = str(job.get("state", ""))
    state = STATES.get(native, JobState.UNKNOWN)
    code = number = None
    if state.is_final:
        state, code, number = _end(job)
    start = _seconds(job.get("startTime"))
    limit = _seconds(job.get("walltime"))
    deadline = start + limit if start and limit else None
    hosts = job.get("assigned_network_address") or [""]
    return JobInfo(
        job_id=job_id,
        state=state,
        native=native,
        reason=" ".join(str(job.get("message") or "").split()) if state.is_waiting else "",
        # Of a job that waits, these are a plan.
        host="" if state.is_waiting else str(hosts[0]),
        queue=str(job.get("queue") or ""),
        name=str(job.get("name") or ""),
        start=None if state.is_waiting else start,
        expected_start=_seconds(job.get("scheduledStart")) if state.is_waiting else None,
        end=_seconds(job.get("stopTime")) if state.is_final else deadline,
        exit_code=code,
        signal=number,
    )


def _end(job: dict[str, Any]) -> tuple[JobState, int | None, int | None]:
    """Return how a job ended: its state, exit status and signal."""
    events = {str(event.get("type")) for event in job.get("events") or ()}
    if "WALLTIME" in events:
        return JobState.TIMEOUT, None, None
    if "FRAG_JOB_REQUEST" in events:
        return JobState.CANCELLED, None, None
    status = job.get("exit_code")
    if not isinstance(status, int):
        failed = job.get("state") == "Error"
        return (JobState.FAILED if failed else JobState.COMPLETED), None, None
    # As wait(2) gives it.
    code, number = status >> 8, status & 0x7F
    if not number and code > 128:
        # The script's signal, as the shell around it puts it.
        code, number = 0, code - 128
    if number:
        return JobState.FAILED, None, number
    return (JobState.FAILED if code else JobState.COMPLETED), code, None


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and value > 0 else None


def _parse_tagged(result: CommandResult) -> list[TaggedJob]:
    return [
        TaggedJob(
            _submitted_as(number, job), str(job.get("owner") or ""), str(job.get("name") or "")
        )
        for number, job in _jobs(result).items()
    ]


def _parse_cancel(result: CommandResult) -> None:
    # "You are not the right user" is also the answer for a job that never existed. Of several jobs
    # that a job was resubmitted as, OAR says so of each that has ended.
    ended = re.search("already killed|not the right user|terminated", result.text)
    if not ended or OAR.no_answer.search(result.text):
        OAR.answered(result)
