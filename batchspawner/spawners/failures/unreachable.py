"""Why the Hub cannot reach a server that its job has started, and what an administrator can set."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from ...message import Message, headed
from .causes import Cause
from .spawn_failure import FailureDetails

if TYPE_CHECKING:
    from ..server_job import ServerJob

UNREACHABLE = Cause(
    "node_unreachable",
    Message("The Hub could not reach the server on its node."),
    Message("You cannot repair that: tell the administrator, with the job's number and its node."),
)

_MEANINGS = {
    "name": Message("the name %(host)s is not known there"),
    "no_route": Message("there is no route to it"),
    "refused": Message("the connection was refused"),
    "filtered": Message("there was no answer at all"),
    "silent": Message("the connection was made, but no HTTP came"),
}
"""What each answer of the probe means."""

_LET_THROUGH = (
    "it must let the Hub and its proxy through to the port; c.{cls}.port_range limits which ports "
    "there are"
)

_CURES = {
    "name": "add {host} to the name service, or to /etc/hosts of the Hub's machine; or set "
    "c.{cls}.trust_reported_host = True, so that the address counts from which the job reports",
    "no_route": "the Hub's machine needs an interface in the network of the nodes, or a gateway",
    "refused": "the server listens on another address of its node, such as 127.0.0.1: look at "
    "c.{cls}.ip, and at ip in the user's own configuration of Jupyter. Or a firewall refuses: "
    + _LET_THROUGH,
    "filtered": "a firewall drops what the Hub sends: " + _LET_THROUGH,
    "silent": "the server starts slowly, or another program answers there. If the log shows that "
    "it only needs more time, set c.{cls}.http_timeout to more than {limit}",
}
"""What the administrator can do about it, in English."""


def unreachable(
    problem: str, job: ServerJob, tail: str, *, cls: str, seconds: float, http_timeout: int
) -> FailureDetails:
    """Return the failure of a server that could not be reached for so many seconds.

    `problem` is the last answer of the probe, `cls` the name of the spawner's class in the
    configuration, and `tail` the end of the job's log.
    """
    words = {"host": job.host, "cls": cls, "limit": http_timeout}
    tried = Message(
        "From %(hub)s, the Hub tried %(host)s port %(port)s for %(seconds)s s",
        hub=socket.gethostname(),
        host=job.host,
        port=job.port,
        seconds=f"{seconds:g}",
    )
    return FailureDetails(
        UNREACHABLE,
        headed(tried, Message(_MEANINGS[problem].text, host=job.host)),
        job.id,
        job.log_path,
        tail,
        f"For the administrator: {_CURES[problem].format(**words)}.",
    )
