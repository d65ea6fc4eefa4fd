"""A testbed of several sites on OAR: short jobs on many kinds of nodes, and a day for everybody."""

import batchspawner

c = get_config()  # noqa: F821
c.JupyterHub.spawner_class = "oar"
c.JupyterHub.hub_bind_url = "http://0.0.0.0:8081"
c.JupyterHub.hub_connect_url = "http://frontend.north.example.org:8081"
c.JupyterHub.cleanup_servers = False
batchspawner.use_pages(c)

c.BatchSpawnerBase.launcher = "/usr/local/sbin/batchspawner-launcher"
c.OarSpawner.req_nprocs = "4"
c.OarSpawner.option_fields = [
    {
        "name": "options",
        "type": "choice",
        "label": "Nodes",
        "choices": [
            {"value": "-p cluster='falcon'", "label": "Falcon (Intel)"},
            {"value": "-p cluster='heron'", "label": "Heron (AMD)"},
        ],
        "default": "-p cluster='falcon'",
    },
    {
        "name": "runtime",
        "type": "duration",
        "label": "Time",
        "max": "1d",
        "default": "2h",
    },
]
c.OarSpawner.req_prologue = "source /etc/profile.d/guix.sh"
c.BatchSpawnerBase.queue_timeout = 900
