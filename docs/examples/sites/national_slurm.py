"""A national centre on Slurm: CPU and GPU nodes, shared and whole, and projects that pay."""

import batchspawner

c = get_config()  # noqa: F821
c.JupyterHub.spawner_class = "wrapspawner.ProfilesSpawner"
c.JupyterHub.hub_bind_url = "http://0.0.0.0:8081"
c.JupyterHub.hub_connect_url = "http://hub.internal.example.org:8081"
c.JupyterHub.cleanup_servers = False
c.JupyterHub.allow_named_servers = True
c.JupyterHub.named_server_limit_per_user = 2
batchspawner.use_pages(c)

c.BatchSpawnerBase.launcher = "/usr/local/sbin/batchspawner-launcher"
# The nodes have addresses on the internal network only, which their names do not tell.
c.BatchSpawnerBase.trust_reported_host = True
c.BatchSpawnerBase.port_range = (50000, 59999)
c.Spawner.default_url = "/lab"
c.BatchSpawnerBase.queue_timeout = 1800

PROJECT = {
    "name": "account",
    "label": "Project",
    "pattern": "m[0-9]{1,5}",
    "pattern_help": "write m and the number of the project",
    "required": True,
}
SOFTWARE = {
    "display_name": "Software",
    "choices": {
        "2026": {
            "display_name": "Python of 2026",
            "default": True,
            "environment": {"modules": ["python/2026.10"]},
        },
        "2025": {
            "display_name": "Python of 2025",
            "environment": {"modules": ["python/2025.10"]},
        },
    },
}
c.ProfilesSpawner.profiles = [
    {
        "display_name": "Shared CPU node",
        "description": "Two cores; usually starts at once.",
        "slug": "shared",
        "spawner": "slurm",
        "override": {
            "req_qos": "shared",
            "req_options": "--constraint=cpu",
            "req_nprocs": "2",
            "req_memory": "8G",
            "req_runtime": "6:00:00",
        },
        "options": [PROJECT],
        "profile_options": {"software": SOFTWARE},
    },
    {
        "display_name": "Whole CPU node",
        "slug": "cpu",
        "spawner": "slurm",
        "override": {"req_qos": "interactive", "req_options": "--constraint=cpu\n--exclusive"},
        "options": [
            PROJECT,
            {"name": "runtime", "type": "duration", "label": "Time", "max": "4h", "default": "1h"},
        ],
        "profile_options": {"software": SOFTWARE},
    },
    {
        "display_name": "GPUs",
        "slug": "gpu",
        "groups": ["gpu-users"],
        "spawner": "slurm",
        "override": {"req_qos": "interactive", "req_options": "--constraint=gpu"},
        "options": [
            PROJECT,
            {
                "name": "ngpus",
                "type": "integer",
                "label": "GPUs",
                "min": 1,
                "max": 4,
                "default": "1",
            },
            {"name": "runtime", "type": "duration", "label": "Time", "max": "4h", "default": "1h"},
        ],
        "profile_options": {"software": SOFTWARE},
    },
]
