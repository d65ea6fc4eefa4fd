"""What a spawner asks the scheduler for: traits that every template can name."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from traitlets import HasTraits, Unicode, default

from .environment import account_of

if TYPE_CHECKING:
    from .environment import JobOwner


class RequestTraits(HasTraits):
    """Traits that templates see without their prefix: ``req_foo`` as ``foo``.

    Subclasses add traits of their own in the same way.
    """

    req_queue = Unicode("", help="Queue to submit to. Slurm calls it a partition.").tag(config=True)
    req_host = Unicode(
        "", help="Host to ask for: the server of the queue in PBS, the node in Slurm."
    ).tag(config=True)
    req_memory = Unicode(
        "",
        help="Memory to ask for, such as 4G; a bare number means what it means to the scheduler.",
    ).tag(config=True)
    req_nprocs = Unicode("", help="Number of processor cores to ask for.").tag(config=True)
    req_ngpus = Unicode("", help="Number of GPUs to ask for.").tag(config=True)
    req_runtime = Unicode(
        "",
        help="How long the job may run, such as 12:00:00, 1-12:00:00 or 1d 12h; a bare number "
        "means what it means to the scheduler.",
    ).tag(config=True)
    req_partition = Unicode("", help="Partition to submit to; rules over req_queue.").tag(
        config=True
    )
    req_account = Unicode("", help="Account that pays for the job.").tag(config=True)
    req_reservation = Unicode("", help="Reservation to run in.").tag(config=True)
    req_mail_user = Unicode(
        "",
        help="Address to which the scheduler sends an e-mail when the job starts or fails; empty: "
        "none. HTCondor only tells of failures, LSF of every end.",
    ).tag(config=True)
    req_options = Unicode(
        "", help="More options of the submit command, one or several a line, for the job script."
    ).tag(config=True)
    req_prologue = Unicode("", help="Shell commands to run in the job before the server.").tag(
        config=True
    )
    req_epilogue = Unicode("", help="Shell commands to run in the job after the server.").tag(
        config=True
    )
    req_username = Unicode()
    req_homedir = Unicode()
    req_keepvars = Unicode()
    req_keepvars_extra = Unicode(
        "",
        help="Names of environment variables to keep in the job besides those that JupyterHub "
        "sets, separated by commas.",
    ).tag(config=True)

    user: JobOwner

    @default("req_username")
    def _req_username_default(self) -> str:
        return self.user.name

    @default("req_homedir")
    def _req_homedir_default(self) -> str:
        return account_of(self.user.name).pw_dir

    @default("req_keepvars")
    def _req_keepvars_default(self) -> str:
        # One text for all servers, which have the same variables.
        return sys.intern(",".join(self.get_env()))

    def get_env(self) -> dict[str, str]:
        """Return the environment of the server; JupyterHub's Spawner provides it."""
        env: dict[str, str] = super().get_env()  # type: ignore[misc]
        return env

    def get_req_subvars(self) -> dict[str, Any]:
        """Return the value of every trait ``req_foo`` as ``foo``, for the templates."""
        variables = {
            name[len("req_") :]: getattr(self, name)
            for name in self.trait_names()
            if name.startswith("req_")
        }
        # A subclass may have replaced a trait by a plain class attribute.
        for name in dir(type(self)):
            if name.startswith("req_") and name[len("req_") :] not in variables:
                variables[name[len("req_") :]] = getattr(self, name)
        if variables.get("keepvars_extra"):
            variables["keepvars"] += "," + variables["keepvars_extra"]
        return variables
