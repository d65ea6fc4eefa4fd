"""A state-wide centre on Slurm with two clusters, whose classes have nodes reserved for them."""

import batchspawner

c = get_config()  # noqa: F821
c.JupyterHub.spawner_class = "wrapspawner.ProfilesSpawner"
c.JupyterHub.hub_bind_url = "http://0.0.0.0:8081"
c.JupyterHub.hub_connect_url = "http://ondemand.example.org:8081"
c.JupyterHub.cleanup_servers = False
batchspawner.use_pages(c)

c.BatchSpawnerBase.launcher = "/usr/local/sbin/batchspawner-launcher"
c.BatchSpawnerBase.queue_timeout = 1200

# The groups of the Hub come from the authenticator; each class is one.
CLASSES = {
    "stat-101": {"account": "PCLASS0101", "reservation": "stat101"},
    "chem-230": {"account": "PCLASS0230", "reservation": "chem230"},
}


c.ProfilesSpawner.profiles = [
    *(
        {
            "display_name": f"Research on {cluster.title()}",
            "slug": cluster,
            "spawner": "slurm",
            "override": {
                "req_cluster": cluster,
                "resource_form": True,
                "resource_fields": ["queue", "nprocs", "memory", "runtime", "account"],
                "queue_limits": {"serial": {"nprocs": 40, "memory": "180G", "runtime": "2d"}},
                "req_nprocs": "1",
                "req_memory": "4G",
                "req_runtime": "2:00:00",
            },
        }
        for cluster in ("ash", "birch")
    ),
    *(
        {
            "display_name": name.upper(),
            "slug": name,
            "groups": [name],
            "spawner": "slurm",
            "override": {
                "req_cluster": "ash",
                "req_account": what["account"],
                "req_reservation": what["reservation"],
                "req_nprocs": "2",
                "req_memory": "8G",
                "req_runtime": "3:00:00",
            },
            "environment": {"conda": f"/apps/classes/{name}"},
        }
        for name, what in CLASSES.items()
    ),
]
