"""A genomics institute on LSF: the Hub runs on another machine and submits on a login host."""

import batchspawner
from batchspawner.spawners.options import Choice, Integer, Memory, Option, Text

c = get_config()  # noqa: F821
c.JupyterHub.spawner_class = "lsf"
c.JupyterHub.hub_bind_url = "http://0.0.0.0:8081"
c.JupyterHub.hub_connect_url = "http://hub.genomics.example.org:8081"
c.JupyterHub.cleanup_servers = False
batchspawner.use_pages(c)

# The launcher is installed on the login host, to which the account of the Hub has a key.
c.BatchSpawnerBase.launcher = "/usr/local/sbin/batchspawner-launcher"
c.BatchSpawnerBase.exec_prefix = "ssh -o BatchMode=yes login sudo -n -u {username}"
c.LsfSpawner.req_runtime = "12:00:00"
c.LsfSpawner.option_fields = [
    Text("account", "Programme", pattern="[a-z]+-[0-9]+", required=True),
    Integer("nprocs", "Cores", min=1, max=16, default="2"),
    Memory("memory", "Memory", max="128G", default="8G"),
    Choice("queue", "Queue", choices=(Option("normal"), Option("long")), default="normal"),
]
c.LsfSpawner.req_prologue = ". /etc/profile.d/modules.sh\nmodule load jupyterlab/4"
c.BatchSpawnerBase.queue_timeout = 1800
