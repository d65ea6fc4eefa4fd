"""Judge what the tiny job and its scheduler have told."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .findings import Finding, doubtful, fine, skipped, wrong

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from .hub_host import Bench
    from .probe_job import Course

_SKEW = 5.0
_LEAST_HOME = 100
_LOG_LINES = 8

_OURS = ("JUPYTERHUB_", "BATCHSPAWNER_")

AFTER_JOB = ("node", "home", "hub", "port", "visit", "clock", "environment", "secrets")
"""What only a job can tell."""


def judge_course(bench: Bench, course: Course, patience: float) -> Iterator[Finding]:
    """Judge submit, start, word and end of the job."""
    title = bench.client.scheduler.title
    if course.submit_error is not None:
        yield wrong("submit", str(course.submit_error), _submit_cure(bench))
        yield from (skipped(name, "there was no job") for name in ("start", *AFTER_JOB, "cancel"))
        return
    yield fine(
        "submit",
        f"{title} took job {course.job_id} after {course.submit_seconds:.1f} s",
        submit_seconds=round(course.submit_seconds, 2),
    )
    yield _judge_start(bench, course, patience)
    if course.facts is None:
        reason = "the job told nothing"
        yield from (skipped(name, reason) for name in AFTER_JOB)
    else:
        yield from _judge_facts(bench, course, course.facts)
        yield from _judge_visit(bench, course)
    yield _judge_end(course)


def _submit_cure(bench: Bench) -> str:
    asked = {
        name: getattr(bench.spawner, name)
        for name in (
            "req_partition",
            "req_queue",
            "req_account",
            "req_reservation",
            "req_memory",
            "req_nprocs",
            "req_runtime",
            "req_options",
        )
        if getattr(bench.spawner, name)
    }
    lines = [
        f"c.{bench.section}.{name} = {value!r}   (is it right?)" for name, value in asked.items()
    ]
    return "\n".join(lines) or f'c.{bench.section}.req_queue = "<a queue that takes such jobs>"'


def _judge_start(bench: Bench, course: Course, patience: float) -> Finding:
    status, title = course.status, bench.client.scheduler.title
    if course.facts is not None:
        waited, told = course.wait_seconds or 0.0, course.report_seconds or 0.0
        return fine(
            "start",
            f"it ran {waited:.1f} s after its submit, on {course.facts['host']}",
            wait_seconds=round(waited, 1),
            report_seconds=round(told, 1),
        )
    if course.wait_seconds is None:
        known = bench.client.scheduler.explain(status.reason if status else "")
        reason = known.meaning or known.native or "it gives no reason"
        text = f"job {course.job_id} has not started within {patience:g} s; {title}: {reason}"
        cure = known.advice or "Try again when the queue is shorter, or --patience 600"
        return wrong("start", text, cure)
    how = status.describe() if status else "unknown"
    text = f"job {course.job_id} ran and told nothing ({how})"
    if course.log_text:
        last = " | ".join(course.log_text.splitlines()[-_LOG_LINES:])
        return wrong(
            "start", f"{text}; its log ends with: {last}", _log_cure(bench, course.log_text)
        )
    return wrong(
        "start",
        f"{text}; its log {course.log} cannot be read here either",
        f"Is {bench.spawner.req_homedir} there on the nodes? If not:\n{_homedir_cure(bench)}",
    )


def _log_cure(bench: Bench, log: str) -> str:
    if re.search(r"python3: (?:command )?not found|python3: No such file", log):
        return f'c.{bench.section}.req_prologue = "module load python"   (or as it is called here)'
    return f"look into c.{bench.section}.req_prologue and its template: batchspawner templates"


def _homedir_cure(bench: Bench) -> str:
    if type(bench.spawner).req_homedir.metadata.get("config"):
        return f'c.{bench.section}.req_homedir = "<a folder that the nodes have>"'
    return (
        f"class Own({bench.section}):\n"
        '    @default("req_homedir")\n'
        '    def _homedir(self): return f"/<where the nodes have it>/{self.user.name}"\n'
        "c.JupyterHub.spawner_class = Own"
    )


def _judge_end(course: Course) -> Finding:
    if course.cancel_error is not None:
        return wrong("cancel", str(course.cancel_error), "Let the Hub's user cancel users' jobs.")
    if not course.ended:
        text = f"job {course.job_id} still lives after it was cancelled; cancel it by hand"
        return wrong("cancel", text)
    return fine("cancel", "the job was cancelled, and is gone")


def _judge_facts(bench: Bench, course: Course, facts: Mapping[str, Any]) -> Iterator[Finding]:
    """Judge what the job saw from its node."""
    yield from _judge_node(bench, facts)
    yield _judge_home(bench, facts["home"] or {})
    yield judge_hub(facts["hub"] or {}, bench.spawner.hub.api_url)
    yield _judge_port(bench, facts)
    yield _judge_environment(bench, course.environment, facts["environment"] or ())
    if facts["seen"]:
        text = f"everybody on the node can read the token of the server: {facts['seen'][0]}"
        yield wrong("secrets", text, f"take it out of c.{bench.section}.cmd, args and prologue")
    else:
        yield fine("secrets", "no process on the node shows the token of the server")


def _judge_node(bench: Bench, facts: Mapping[str, Any]) -> Iterator[Finding]:
    spawner, section = bench.spawner, bench.section
    wrapper = spawner.batchspawner_singleuser_cmd.split(" ")[0]
    if not facts["wrapper"]:
        yield wrong(
            "node",
            f"{wrapper} is not found on {facts['host']}; PATH is {facts['path']}",
            f'c.{section}.batchspawner_singleuser_cmd = "/path/on/the/nodes/bin/{wrapper}"',
        )
    elif facts["wrapper_error"]:
        text = f"{facts['wrapper']} cannot be run on {facts['host']}: {facts['wrapper_error']}"
        yield wrong("node", text, f"head -1 {facts['wrapper']}   (may users run that Python?)")
    if not facts["server"]:
        yield wrong(
            "node",
            f"{spawner.cmd[0]} is not found on {facts['host']}; PATH is {facts['path']}",
            f'c.{section}.cmd = ["/path/on/the/nodes/bin/{spawner.cmd[0]}"]\n'
            f'c.{section}.req_prologue = "module load jupyter"   (or as it is called here)',
        )
    if facts["wrapper"] and facts["server"] and not facts["wrapper_error"]:
        yield _judge_versions(facts)


def _judge_versions(facts: Mapping[str, Any]) -> Finding:
    from jupyterhub import __version__ as ours

    versions = facts["versions"] or {}
    theirs = versions.get("jupyterhub", "")
    said = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    if theirs and theirs.split(".")[0] != ours.split(".")[0]:
        return wrong(
            "node",
            f"{facts['host']} has JupyterHub {theirs}, and the Hub is {ours}",
            f'pip install "jupyterhub=={ours}"   (in the environment of {facts["server"]})',
        )
    if theirs and not any(
        versions.get(name) for name in ("jupyterlab", "notebook", "jupyter_server")
    ):
        return wrong(
            "node",
            f"{facts['server']} has no Jupyter to start: {said}",
            f"pip install jupyterlab   (in the environment of {facts['server']})",
        )
    return fine("node", f"{facts['host']} has {facts['server']}: {said or 'versions unknown'}")


def _judge_home(bench: Bench, home: Mapping[str, Any]) -> Finding:
    path, cure = home.get("path", ""), _homedir_cure(bench)
    if not home.get("exists"):
        return wrong("home", f"the home folder {path} does not exist on the node", cure)
    if home.get("error"):
        text = f"nothing can be written into {path} on the node: {home['error']}"
        return wrong("home", text, f"ls -ld {path}; df {path}; quota -s   (on the node)")
    free = home.get("free_mb", 0)
    if free < _LEAST_HOME:
        return doubtful("home", f"{path} has only {free} MB free", f"df -h {path}")
    return fine("home", f"{path} can be written, {free >> 10} GB free", free_mb=free)


def judge_hub(told: Mapping[str, Any], url: str) -> Finding:
    """Judge how far a job came on its way to the Hub."""
    step, error = told.get("step"), told.get("error", "")
    connect = 'c.JupyterHub.hub_connect_ip = "<an address of this machine that the nodes reach>"'
    if step == "name":
        return wrong("hub", f"the node cannot resolve the name in {url}: {error}", connect)
    if step == "connect":
        text = f"the node cannot connect to {url} (at {told.get('address')}): {error}"
        bind = 'c.JupyterHub.hub_ip = "0.0.0.0"\n'
        return wrong(
            "hub", text, f"{bind}{connect}\nOpen that port in the firewall, for the nodes."
        )
    if error or step != "done":
        text = f"what answers at {url} is no JupyterHub: {error}"
        cure = f'c.JupyterHub.hub_connect_url = "<where the Hub is, seen from a node>"\nNow: {url}'
        return wrong("hub", text, cure)
    seconds = told.get("answer_seconds") or told.get("connect_seconds") or 0.0
    figures = {"answer_ms": round(seconds * 1000, 1)}
    if seconds > 1:
        return doubtful("hub", f"the job reaches the Hub, but an answer takes {seconds:.1f} s")
    return fine("hub", f"the job reaches the Hub at {url} in {seconds * 1000:.0f} ms", **figures)


def _judge_port(bench: Bench, facts: Mapping[str, Any]) -> Finding:
    wanted = "-".join(str(port) for port in bench.spawner.port_range)
    if facts["port"]:
        return fine(
            "port", f"a server can listen on the node{f', within {wanted}' if wanted else ''}"
        )
    text = f"no port{f' of {wanted}' if wanted else ''} is free on the node: {facts['port_error']}"
    return wrong("port", text, f"c.{bench.section}.port_range = (20000, 29999)   (a wider one)")


def _judge_environment(bench: Bench, sent: Mapping[str, str], there: Collection[str]) -> Finding:
    ours = [name for name, value in sent.items() if value and name.startswith(_OURS)]
    lost = sorted(set(ours) - set(there))
    if lost:
        return wrong(
            "environment",
            f"the job does not get {', '.join(lost[:4])}{' ...' if len(lost) > 4 else ''}",
            f'c.{bench.section}.exec_prefix = "sudo -E -u {{username}}"   (SETENV in sudoers)\n'
            f"let c.{bench.section}.batch_script export {{keepvars}}",
        )
    return fine("environment", f"the job gets all that the Hub gives to it ({len(ours)} variables)")


def _judge_visit(bench: Bench, course: Course) -> Iterator[Finding]:
    visit = course.visit
    if visit is None or not (course.facts or {}).get("port"):
        yield from (skipped(name, "the job had no port") for name in ("visit", "clock"))
        return
    if visit.error:
        text = f"the Hub cannot reach the job at {visit.address}: {visit.error}"
        yield wrong("visit", text, _visit_cure(bench))
        yield skipped("clock", "the Hub cannot reach the job")
        return
    milliseconds = round(visit.seconds * 1000, 1)
    text = f"the Hub reaches the job at {visit.address} in {milliseconds:g} ms"
    yield fine("visit", text, answer_ms=milliseconds)
    yield judge_clock(visit.skew or 0.0)


def _visit_cure(bench: Bench) -> str:
    lines = [
        f"c.{bench.section}.trust_reported_host = True   (where names of nodes do not resolve)"
    ]
    if not bench.spawner.port_range:
        lines.append(
            f"c.{bench.section}.port_range = (9000, 9999)   (the ports that the firewall lets in)"
        )
    return "\n".join(lines)


def judge_clock(skew: float) -> Finding:
    """Judge by how many seconds the clock of the node is ahead of the Hub's."""
    if abs(skew) > _SKEW:
        way = "ahead of" if skew > 0 else "behind"
        text = f"the node's clock is {abs(skew):.0f} s {way} the Hub's"
        return wrong("clock", text, "timedatectl set-ntp true   (on the node)")
    return fine("clock", "the clocks of Hub and node agree", skew_seconds=round(skew, 3))
