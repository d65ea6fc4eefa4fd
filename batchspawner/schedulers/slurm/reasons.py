"""Explanations of the reasons for which Slurm lets jobs wait.

https://slurm.schedmd.com/job_reason_codes.html
"""

from __future__ import annotations

from ..reasons import Reason

_FEWER = "Stop another server or job of yours, or ask for less."
_SUPPORT = "Tell the support of this cluster the job's number."
_OTHER = "Stop this server and choose other values."

# Limits have names of one grammar: who sets it (QOS, Assoc), for whom (Max: each, Grp: all
# together), of what (Cpu, GRES ...), counted how (PerUser, PerJob, Minutes ...).
_LIMIT = r"^(?:QOS|Assoc)"
_THINGS = (
    ("cores", r"cpu"),
    ("GPUs", r"gres"),
    ("memory", r"mem(?:ory)?"),
    ("nodes", r"nodes?"),
)


def _limits() -> list[Reason]:
    table = [
        Reason(
            _LIMIT + r"(?:Max|Grp).*Wall.*PerJob|(?:QOS|Assoc)MaxWall|PartitionTimeLimit",
            "it asks for more time than is allowed here",
            "It will not start like this. Stop this server and ask for a shorter time.",
            forever=True,
        ),
        Reason(
            _LIMIT + r"(?:Max|Grp).*(?:Minutes|RunMins|Mins)",
            "the computing time of your account is used up, or promised to running jobs",
            "Wait until running jobs end, choose another account, or ask for a shorter time.",
        ),
        Reason(
            r"^(?:QOS|Assoc)(?:Max|Grp)(?:Submit)?Jobs?|AssociationJobLimit|QOSJobLimit",
            "as many jobs as are allowed at a time run already for you or your account",
            "Stop another server or job of yours, or wait until one ends.",
        ),
    ]
    for things, word in _THINGS:
        table += [
            Reason(
                rf"{_LIMIT}(?:Max|Min){word}\w*?Per(?:Job|Node)\w*",
                f"it asks for a number of {things} that one job may not have"
                if things != "memory"
                else "it asks for an amount of memory that one job may not have",
                f"It will not start like this. {_OTHER}",
                forever=True,
            ),
            Reason(
                rf"{_LIMIT}Max{word}\w*",
                f"you already use as {'much' if things == 'memory' else 'many'} {things} as one "
                "user may have here at a time",
                _FEWER,
                of_cores=things == "cores",
            ),
            Reason(
                rf"{_LIMIT}Grp{word}\w*",
                f"your account, with everybody in it, already uses all the {things} that it may "
                "have at a time",
                f"Wait until a job of the account ends, or choose another account. {_FEWER}",
            ),
        ]
    return table


REASONS = (
    Reason(
        r"JobHeldUser",
        "you, or a program of yours, put it on hold",
        "Release it (scontrol release), or stop this server and start it again.",
        forever=True,
    ),
    Reason(
        r"JobHeldAdmin|ReservationDeleted|RESV_DEL",
        "an administrator has put it on hold",
        _SUPPORT,
        forever=True,
    ),
    Reason(
        r"launch[ _]failed[ _]requeued[ _]held|JobHoldMaxRequeue|Prolog",
        "its node could not start it, so it was put back",
        _SUPPORT,
        forever=True,
    ),
    *_limits(),
    Reason(
        r"MaxMemPerLimit",
        "it asks for more memory than a job may have here",
        "It will not start like this. Stop this server and ask for less memory.",
        forever=True,
    ),
    Reason(
        r"^(?:QOS|Assoc)",
        "a limit of you, your account or your quality of service is reached",
        _FEWER,
    ),
    Reason(
        r"InvalidAccount|AccountNotAllowed|AccountingPolicy",
        "your account may not be used for it",
        f"{_OTHER} Ask for another account.",
        forever=True,
    ),
    Reason(
        r"InvalidQOS|QOSNotAllowed",
        "the quality of service may not be used for it",
        f"{_OTHER} Ask for another quality of service.",
        forever=True,
    ),
    Reason(
        r"PartitionNodeLimit",
        "it asks for more nodes than its partition may give, or has",
        f"It will not start like this. {_OTHER}",
        forever=True,
    ),
    Reason(
        r"PartitionDown|PartitionInactive",
        "its partition starts no jobs at present",
        "Wait, or stop this server and choose another partition.",
    ),
    Reason(
        r"BadConstraints|Constraints",
        "no node has all that it asks for",
        f"It will not start like this. {_OTHER}",
        forever=True,
    ),
    Reason(
        r"ReqNodeNotAvail.*maintenance|Reserved[ _]for[ _]maintenance",
        "nodes are reserved for maintenance that begins before it would end",
        "Ask for a time that ends before the maintenance, or wait until that is over.",
    ),
    Reason(
        r"ReqNodeNotAvail|Nodes[ _]required|NodeDown",
        "the nodes that could run it are down, or kept for others",
        "Wait, or stop this server and choose another partition.",
    ),
    Reason(
        r"^Reservation",
        "its reservation has not begun, or is full",
        "Wait, or start without the reservation.",
    ),
    Reason(
        r"DependencyNeverSatisfied",
        "it waits for a job that has failed",
        f"It will not start like this. {_OTHER}",
        forever=True,
    ),
    Reason(r"^Dependency", "it waits for another job to end"),
    Reason(
        r"BeginTime",
        "the time that was set for its start has not come",
        "A job that was put back after a failure also waits like this, for about two minutes.",
    ),
    Reason(r"Licenses", "all licences that it needs are in use"),
    Reason(r"JobArrayTaskLimit", "as many tasks of its array run as may run at a time"),
    Reason(r"Cleaning|FedJobLock|None", "Slurm has not looked at it yet"),
    Reason(r"BurstBuffer", "the fast storage that it needs is not ready"),
    Reason(r"SystemFailure", "Slurm itself has a failure", _SUPPORT),
    Reason(r"^Priority", "jobs that come before it wait, too"),
    Reason(
        r"^Resources",
        "it is the next in its queue; what it needs is in use by others",
        "It starts when enough is free. A smaller request may start earlier.",
    ),
)
