"""How a server and its secrets stay with their owner."""

from __future__ import annotations

from traitlets import Bool, CaselessStrEnum, HasTraits, List, Unicode


class SecrecyTraits(HasTraits):
    """Traits that `secrets.package`, `secrets.exchange` and `secrets.confirmation` follow."""

    secret_transport = CaselessStrEnum(
        ["claim", "file", "environment"],
        "claim",
        help="How the server's token and other secrets reach the job: 'claim' gives the job a "
        "code that is good for one use, for which the Hub hands them out; 'file' puts them into a "
        "file in the user's home that only they can read; 'environment' submits them with the job, "
        "where some schedulers show them to every user.",
    ).tag(config=True)
    secret_variables = List(
        Unicode(),
        [
            "*TOKEN*",
            "*SECRET*",
            "*PASS*",
            "*_PWD",
            "*CREDENTIAL*",
            "*APIKEY*",
            "*API_KEY*",
            "*_KEY",
            "*_PAT",
            "*JWT*",
            "*_DSN",
            "DATABASE_URL",
        ],
        help="Names of the variables of the server's environment that are secrets, a `*` standing "
        "for anything. `['*']` keeps back all that the job can begin without. Where the scheduler "
        "shows the environment of a job to other users, every variable that is not known to be "
        "harmless is a secret, whatever its name. What `req_keepvars_extra` names is not a secret.",
    ).tag(config=True)
    second_claim = CaselessStrEnum(
        ["report", "cancel"],
        "report",
        help="What happens when somebody uses a claim code a second time. It is always refused, "
        "logged and shown; 'cancel' also cancels the job.",
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
        "on its node, before users are sent there. It reads /proc/net on the node; set it to False "
        "if the server listens in a network of its own.",
    ).tag(config=True)
    accept_older_wrapper = Bool(
        True,
        help="Whether a job may start its server with the batchspawner-singleuser of an older "
        "release. That cannot confirm its server, and the claim code becomes the server's token; "
        "whoever has stolen a code could say that they are such a wrapper. Set it to False once "
        "all nodes have this release.",
    ).tag(config=True)
