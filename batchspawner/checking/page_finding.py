"""The finding about a page of the user's server, which the test job has started."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from .findings import Finding, ok, skipped, warning, wrong

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from .hub_host import Target
    from .job_report import Facts, PageFacts

_MAX_LOG_LINES = 6
_MAX_LOG_LENGTH = 1200

_ERROR = re.compile(r"^\[[CE] |\bCRITICAL\b|\bERROR\b|Error\b|\berror:|: not found")

_REPLACED = ("JUPYTERHUB_API_TOKEN", "JUPYTERHUB_API_URL", "JUPYTERHUB_SERVICE_URL")
"""Variables that the way to the job changes by design: the token is a code until it is claimed."""


def changed_variables(sent: Mapping[str, str], received: Mapping[str, str]) -> list[str]:
    """Return the Hub's variables that have another value in the job."""
    return sorted(
        name
        for name, value in sent.items()
        if value
        and received.get(name)
        and name not in _REPLACED
        and received[name] != hashlib.sha256(value.encode(errors="surrogateescape")).hexdigest()
    )


def changed_cure(target: Target, names: Collection[str]) -> str:
    """Return the line with which variables take the way of the secrets, which changes nothing."""
    secret = [*target.spawner.secret_variables, *names]
    return (
        f"c.{target.section}.secret_variables = {secret!r}\n"
        f"or remove what sets {', '.join(names)} in the job script and its prologue"
    )


def page_finding(target: Target, facts: Facts, changed: Collection[str]) -> Finding:
    """Return the finding about the start of the server and its answer to its owner."""
    page = facts["page"]
    if page is None:
        text = f"the server could not be tried: {facts['errors'].get('page', 'unknown')}"
        return warning("page", text)
    if page["step"] == "ssl":
        return skipped("page", "with internal_ssl no page of the server is opened")
    if page["step"] != "done":
        return _no_answer(target, page)
    return _answer(target, page, changed)


def _no_answer(target: Target, page: PageFacts) -> Finding:
    command = " ".join(target.spawner.cmd)
    log = _log(page)
    if page["step"] == "ended":
        text = f"the server ended with exit status {page['status']} before it answered{log}"
        cure = f"run it by hand in a job: {command}   (c.{target.section}.cmd, args, req_prologue)"
        return wrong("page", text, cure)
    limit = target.spawner.http_timeout
    if page["step"] == "port":
        text = f"the server was started, but no port was reported within {limit} s{log}"
        return wrong("page", text, f"see c.{target.section}.batchspawner_singleuser_cmd")
    text = f"the server did not answer within {limit} s (http_timeout){log}"
    return wrong("page", text, f"c.{target.section}.http_timeout = {2 * limit}")


def _answer(target: Target, page: PageFacts, changed: Collection[str]) -> Finding:
    status, path = page["status"], page["path"]
    if status >= 500 and changed:
        text = (
            f"the server answers {path} with HTTP {status}; {', '.join(changed)} "
            f"reached the job with another value than the Hub has set{_log(page)}"
        )
        return wrong("page", text, changed_cure(target, changed))
    if status >= 500:
        text = f"the server answers {path} with HTTP {status}{_log(page)}"
        return wrong(
            "page",
            text,
            f"The log above names the cause; is it a package in the environment of "
            f"{target.spawner.cmd[0]}, or a variable in c.{target.section}.environment?",
        )
    if status >= 400:
        text = f"the server refuses its owner {path}: HTTP {status}{_log(page)}"
        return wrong("page", text, f"see c.{target.section}.default_url, cmd and args")
    if status >= 300:
        text = f"the server sends its owner, who has its token, from {path} to {page['target']}"
        return warning("page", text, f"see c.{target.section}.cmd: does it use the Hub's login?")
    seconds = round(page["page_seconds"], 1)
    text = f"a server started on the node, and its page {path} opened after {seconds:g} s"
    return ok("page", text, page_seconds=seconds)


def _log(page: PageFacts) -> str:
    """Return the last lines of the server's log, only those about errors if there are any."""
    lines = page.get("log", "").splitlines()
    errors = [line for line in lines if _ERROR.search(line)]
    shown = " | ".join((errors or lines)[-_MAX_LOG_LINES:])[-_MAX_LOG_LENGTH:]
    return f"; its log {'says' if errors else 'ends with'}: {shown}" if shown else ""
