"""A climate centre on PBS Pro: an account that has to be chosen, and queues of a second server."""

import batchspawner

c = get_config()  # noqa: F821
c.JupyterHub.spawner_class = "wrapspawner.ProfilesSpawner"
c.JupyterHub.hub_bind_url = "http://0.0.0.0:8081"
c.JupyterHub.hub_connect_url = "http://jupyter.climate.example.org:8081"
c.JupyterHub.cleanup_servers = False
batchspawner.use_pages(c)

c.BatchSpawnerBase.launcher = "/usr/local/sbin/batchspawner-launcher"
c.BatchSpawnerBase.queue_timeout = 3600

ACCOUNT = {
    "name": "account",
    "label": "Project code",
    "pattern": "[A-Z]{4}[0-9]{4}",
    "pattern_help": "write four letters and four digits",
    "required": True,
}
c.ProfilesSpawner.profiles = [
    {
        "display_name": "Batch node",
        "slug": "batch",
        "spawner": "pbs",
        "override": {"req_queue": "analysis@pbs2", "req_options": "-l job_priority=regular"},
        "options": [
            ACCOUNT,
            {"name": "nprocs", "type": "integer", "label": "Cores", "max": 36, "default": "1"},
            {"name": "memory", "type": "memory", "label": "Memory", "max": "350G", "default": "4G"},
            {"name": "runtime", "type": "duration", "label": "Time", "max": "12h", "default": "2h"},
        ],
        "environment": {"modules": ["conda/latest"]},
    },
    {
        "display_name": "Batch node with a GPU",
        "slug": "gpu",
        "spawner": "pbs",
        "override": {
            "req_queue": "analysis@pbs2",
            "req_nprocs": "4",
            "req_ngpus": "1",
            "req_memory": "40G",
            "req_runtime": "2:00:00",
        },
        "options": [ACCOUNT],
        "environment": {"modules": ["conda/latest", "cuda"]},
    },
]
