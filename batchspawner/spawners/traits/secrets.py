"""Hold how a server is kept to its owner, as traits."""

from __future__ import annotations

from traitlets import Bool, CaselessStrEnum, HasTraits, List, Unicode


class SecrecyTraits(HasTraits):
    """Offer the choices that `packing`, `claiming` and `confirming` follow."""

    secret_transport = CaselessStrEnum(
        ["claim", "file", "environment"],
        "claim",
        help="How the server's token and other secrets reach the job: 'claim' gives the job a "
        "code that is good for one use, for which the Hub hands them out; 'file' puts them into a "
        "file that only its owner can read, in his home; 'environment' submits them with the job, "
        "where some schedulers show them to every user.",
    ).tag(config=True)
    secret_variables = List(
        Unicode(),
        ["*TOKEN*", "*SECRET*", "*PASSW*", "*CREDENTIAL*", "*APIKEY*", "*_KEY"],
        help="Names of the variables of the server's environment that are secrets, a `*` standing "
        "for anything. `['*']` keeps back all that the job can begin without. What the job script "
        "or `req_keepvars_extra` names is none.",
    ).tag(config=True)
    second_claim = CaselessStrEnum(
        ["report", "cancel"],
        "report",
        help="What happens when somebody uses a claim code a second time. He never gets anything "
        "but a refusal, and it is always logged and shown; 'cancel' also cancels the job.",
    ).tag(config=True)
    claim_from = CaselessStrEnum(
        ["anywhere", "host"],
        "anywhere",
        help="Where a claim code may be used: 'host' only on the host on which the scheduler says "
        "that the job runs. Needs a Hub that sees the real addresses of nodes.",
    ).tag(config=True)
    confirm_server = Bool(
        True,
        help="Whether a job must confirm that its own server has opened the port, and nobody else "
        "on its node, before anybody is sent there. The node's /proc/net tells; set it to False "
        "where the server listens in a network of its own.",
    ).tag(config=True)
