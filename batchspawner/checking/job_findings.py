"""Findings about the test job: what it and its scheduler have reported."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import TYPE_CHECKING

from .findings import Finding, Verdict, ok, skipped, warning, wrong
from .job_control import CommandControl
from .job_report import Facts, HomeFacts, HubFacts
from .page_finding import changed_cure, changed_variables, page_finding
from .query_finding import query_finding

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from .hub_host import Target
    from .probe_job import ProbeRun

_MAX_SKEW_S = 5.0
_MIN_FREE_MB = 100
_SLOW_ANSWER_S = 1.0
_MAX_LOG_LINES = 8

_SENT_VARIABLES = ("JUPYTERHUB_", "BATCHSPAWNER_")

AFTER_JOB = ("node", "home", "hub", "port", "environment", "page", "secrets", "visit", "clock")
"""The findings that need the job's report."""


def job_findings(target: Target, run: ProbeRun, queue_timeout_s: float) -> Iterator[Finding]:
    """Return the findings about submit, start, report and end of the job."""
    title = target.control.title
    if run.submit_error is not None:
        yield wrong("submit", str(run.submit_error), _submit_cure(target))
        yield from (skipped(name, "there was no job") for name in ("start", *AFTER_JOB, "cancel"))
        return
    yield ok(
        "submit",
        f"{title} accepted job {run.job_id} after {run.submit_seconds:.1f} s",
        submit_seconds=round(run.submit_seconds, 2),
    )
    if isinstance(target.control, CommandControl):
        yield query_finding(target, target.control, run)
    yield _start_finding(target, run, queue_timeout_s)
    if run.facts is None:
        reason = "the job reported nothing"
        yield from (skipped(name, reason) for name in AFTER_JOB)
    else:
        yield from _report_findings(target, run, run.facts)
        yield from _visit_findings(target, run)
    yield _cancel_finding(run)


def _submit_cure(target: Target) -> str:
    asked = {
        name: getattr(target.spawner, name)
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
        if getattr(target.spawner, name)
    }
    lines = [
        f"c.{target.section}.{name} = {value!r}   (is it right?)" for name, value in asked.items()
    ]
    return "\n".join(lines) or f'c.{target.section}.req_queue = "<a queue that accepts such jobs>"'


def _start_finding(target: Target, run: ProbeRun, queue_timeout_s: float) -> Finding:
    status, title = run.status, target.control.title
    if run.facts is not None:
        waited, reported = run.wait_seconds or 0.0, run.report_seconds or 0.0
        return ok(
            "start",
            f"the job started {waited:.1f} s after its submit, on {run.facts['host']}",
            wait_seconds=round(waited, 1),
            report_seconds=round(reported, 1),
        )
    if run.wait_seconds is None:
        scheduler = target.control.scheduler
        known = scheduler.explain(status.reason if status else "") if scheduler else None
        reason = (known.meaning or known.native if known else "") or "no reason given"
        text = f"job {run.job_id} has not started within {queue_timeout_s:g} s; {title}: {reason}"
        advice = known.advice if known else ""
        return wrong(
            "start", text, advice or "Try again when the queue is shorter, or with --patience 600"
        )
    how = status.describe() if status else "unknown"
    text = f"job {run.job_id} ran but reported nothing ({how})"
    if run.log_text:
        last = " | ".join(run.log_text.splitlines()[-_MAX_LOG_LINES:])
        return wrong("start", f"{text}; its log ends with: {last}", _log_cure(target, run.log_text))
    return wrong(
        "start",
        f"{text}; its log {run.log or 'of a server'} cannot be read here either",
        f"Does {target.spawner.req_homedir} exist on the nodes? If not:\n{_homedir_cure(target)}",
    )


def _log_cure(target: Target, log: str) -> str:
    if re.search(r"python3: (?:command )?not found|python3: No such file", log):
        return f'c.{target.section}.req_prologue = "module load python"   (or its name here)'
    return f"see c.{target.section}.req_prologue, and the template: batchspawner templates list"


def _homedir_cure(target: Target) -> str:
    if "req_homedir" in target.spawner.trait_names(config=True):
        return f'c.{target.section}.req_homedir = "<a folder that the nodes have>"'
    return (
        f"class Own({target.section}):\n"
        '    @default("req_homedir")\n'
        '    def _homedir(self): return f"/<where the nodes have it>/{self.user.name}"\n'
        "c.JupyterHub.spawner_class = Own"
    )


def _cancel_finding(run: ProbeRun) -> Finding:
    if run.cancel_error is not None:
        return wrong(
            "cancel", str(run.cancel_error), "Allow the Hub's user to cancel the jobs of users."
        )
    if not run.ended:
        text = f"job {run.job_id} has not ended after it was cancelled; cancel it by hand"
        return wrong("cancel", text)
    return ok("cancel", "the job was cancelled, and has ended")


def _report_findings(target: Target, run: ProbeRun, facts: Facts) -> Iterator[Finding]:
    """Return the findings about what the job saw on its node."""
    node = list(_node_findings(target, facts))
    yield from node
    yield _home_finding(target, facts["home"] or HomeFacts())
    yield hub_finding(facts["hub"] or HubFacts(), target.spawner.hub.api_url)
    yield _port_finding(target, facts)
    sent, received = target.spawner.get_env(), facts["environment"] or {}
    changed = changed_variables(sent, received)
    yield _environment_finding(target, run.environment, received, changed)
    if not facts["port"] or any(one.verdict is Verdict.WRONG for one in node):
        yield skipped("page", "the server cannot be started on this node")
    else:
        yield page_finding(target, facts, changed)
    if facts["seen"]:
        text = f"everybody on the node can read the token of the server: {facts['seen'][0]}"
        yield wrong("secrets", text, f"remove it from c.{target.section}.cmd, args and prologue")
    else:
        yield ok("secrets", "no process on the node shows the token of the server")


def _node_findings(target: Target, facts: Facts) -> Iterator[Finding]:
    spawner, section = target.spawner, target.section
    wrapper, server = spawner.batchspawner_singleuser_cmd.split(" ")[0], spawner.cmd[0]
    if not facts["wrapper"]:
        place = f"/path/on/the/nodes/bin/{PurePath(wrapper).name}"
        yield wrong(
            "node",
            f"{wrapper} is not found on {facts['host']}; PATH is {facts['path']}",
            f'c.{section}.batchspawner_singleuser_cmd = "{place}"',
        )
    elif facts["wrapper_error"]:
        text = f"{facts['wrapper']} cannot be run on {facts['host']}: {facts['wrapper_error']}"
        yield wrong("node", text, f"head -1 {facts['wrapper']}   (may users run that Python?)")
    if not facts["server"]:
        yield wrong(
            "node",
            f"{server} is not found on {facts['host']}; PATH is {facts['path']}",
            f'c.{section}.cmd = ["/path/on/the/nodes/bin/{PurePath(server).name}"]\n'
            f'c.{section}.req_prologue = "module load jupyter"   (or its name here)',
        )
    if facts["wrapper"] and facts["server"] and not facts["wrapper_error"]:
        yield _version_finding(facts)


def _version_finding(facts: Facts) -> Finding:
    from jupyterhub import __version__ as hub_version

    versions = facts["versions"] or {}
    node_version = versions.get("jupyterhub", "")
    installed = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    if node_version and node_version.split(".")[0] != hub_version.split(".")[0]:
        return wrong(
            "node",
            f"{facts['host']} has JupyterHub {node_version}, and the Hub is {hub_version}",
            f'pip install "jupyterhub=={hub_version}"   (in the environment of {facts["server"]})',
        )
    if node_version and not any(
        versions.get(name) for name in ("jupyterlab", "notebook", "jupyter_server")
    ):
        return wrong(
            "node",
            f"{facts['server']} has no Jupyter that it could start: {installed}",
            f"pip install jupyterlab   (in the environment of {facts['server']})",
        )
    return ok("node", f"{facts['host']} has {facts['server']}: {installed or 'versions unknown'}")


def _home_finding(target: Target, home: HomeFacts) -> Finding:
    path, cure = home.get("path", ""), _homedir_cure(target)
    if not home.get("exists"):
        return wrong("home", f"the home folder {path} does not exist on the node", cure)
    if home.get("error"):
        text = f"nothing can be written into {path} on the node: {home['error']}"
        return wrong("home", text, f"ls -ld {path}; df {path}; quota -s   (on the node)")
    free = home.get("free_mb", 0)
    if free < _MIN_FREE_MB:
        return warning("home", f"{path} has only {free} MB free", f"df -h {path}")
    return ok("home", f"{path} is writable, {free >> 10} GB free", free_mb=free)


def hub_finding(reached: HubFacts, url: str) -> Finding:
    """Return the finding about the job's way to the Hub."""
    step, error = reached.get("step"), reached.get("error", "")
    connect = 'c.JupyterHub.hub_connect_ip = "<an address of this machine that the nodes reach>"'
    if step == "name":
        return wrong("hub", f"the node cannot resolve the name in {url}: {error}", connect)
    if step == "connect":
        text = f"the node cannot connect to {url} (at {reached.get('address')}): {error}"
        bind = 'c.JupyterHub.hub_ip = "0.0.0.0"\n'
        return wrong(
            "hub", text, f"{bind}{connect}\nOpen that port in the firewall, for the nodes."
        )
    if error or step != "done":
        text = f"what answers at {url} is not a JupyterHub: {error}"
        cure = f'c.JupyterHub.hub_connect_url = "<where the Hub is, seen from a node>"\nNow: {url}'
        return wrong("hub", text, cure)
    seconds = reached.get("answer_seconds") or reached.get("connect_seconds") or 0.0
    figures = {"answer_ms": round(seconds * 1000, 1)}
    if seconds > _SLOW_ANSWER_S:
        return warning("hub", f"the job reaches the Hub, but an answer takes {seconds:.1f} s")
    return ok("hub", f"the job reaches the Hub at {url} in {seconds * 1000:.0f} ms", **figures)


def _port_finding(target: Target, facts: Facts) -> Finding:
    wanted = "-".join(str(port) for port in target.spawner.port_range)
    if facts["port"]:
        return ok(
            "port", f"a server can listen on the node{f', within {wanted}' if wanted else ''}"
        )
    text = f"no port{f' of {wanted}' if wanted else ''} is free on the node: {facts['port_error']}"
    return wrong("port", text, f"c.{target.section}.port_range = (20000, 29999)   (a wider one)")


def _environment_finding(
    target: Target, sent: Mapping[str, str], received: Collection[str], changed: Collection[str]
) -> Finding:
    expected = [name for name, value in sent.items() if value and name.startswith(_SENT_VARIABLES)]
    lost = sorted(set(expected) - set(received))
    if lost:
        return wrong(
            "environment",
            f"the job does not get {', '.join(lost[:4])}{' ...' if len(lost) > 4 else ''}",
            f'c.{target.section}.exec_prefix = "sudo -E -u {{username}}"   (SETENV in sudoers)\n'
            f"or export {{keepvars}} in c.{target.section}.batch_script",
        )
    if changed:
        text = f"the job gets another value than the Hub sends: {', '.join(changed)}"
        return warning("environment", text, changed_cure(target, changed))
    text = f"the job gets all {len(expected)} variables that the Hub sends"
    return ok("environment", text)


def _visit_findings(target: Target, run: ProbeRun) -> Iterator[Finding]:
    visit = run.visit
    if visit is None or not (run.facts or Facts()).get("port"):
        reason = "the job had no port" if visit else "it is not known where the job runs"
        yield from (skipped(name, reason) for name in ("visit", "clock"))
        return
    if visit.error:
        text = f"the Hub cannot reach the job at {visit.address}: {visit.error}"
        yield wrong("visit", text, _visit_cure(target))
        yield skipped("clock", "the Hub cannot reach the job")
        return
    milliseconds = round(visit.seconds * 1000, 1)
    text = f"the Hub reaches the job at {visit.address} in {milliseconds:g} ms"
    yield ok("visit", text, answer_ms=milliseconds)
    yield clock_finding(visit.skew or 0.0)


def _visit_cure(target: Target) -> str:
    lines = [
        f"c.{target.section}.trust_reported_host = True   (if the names of nodes do not resolve)"
    ]
    if not target.spawner.port_range:
        lines.append(
            f"c.{target.section}.port_range = (9000, 9999)   (the ports that the firewall lets in)"
        )
    return "\n".join(lines)


def clock_finding(skew: float) -> Finding:
    """Return the finding about a node's clock that is `skew` seconds ahead of the Hub's."""
    if abs(skew) > _MAX_SKEW_S:
        way = "ahead of" if skew > 0 else "behind"
        text = f"the node's clock is {abs(skew):.0f} s {way} the Hub's"
        return wrong("clock", text, "timedatectl set-ntp true   (on the node)")
    return ok("clock", "the clocks of Hub and node agree", skew_seconds=round(skew, 3))
