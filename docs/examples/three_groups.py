"""Give users of three groups different profiles over two schedulers."""

c = get_config()  # noqa: F821
c.JupyterHub.spawner_class = "wrapspawner.ProfilesSpawner"
c.Spawner.default_url = "/lab"
QUEUES = {
    "debug": {"nprocs": 4, "memory": "16G", "runtime": "10m", "help": "Starts soon."},
    "normal": {"nprocs": 64, "memory": "240G", "runtime": "2d"},
}
SOFTWARE = {
    "stable": {"display_name": "Stable", "environment": {"modules": ["jupyter/2025"]}},
    "new": {"display_name": "New", "environment": {"conda": "/opt/conda/envs/new"}},
}
c.ProfilesSpawner.profiles = [
    {
        "display_name": "A look around",
        "spawner": "batchspawner.LocalQueueSpawner",
        "override": {"req_nprocs": "1", "req_runtime": "8:00:00"},
    },
    {
        "display_name": "Course",
        "groups": ["students"],
        "spawner": "batchspawner.LocalQueueSpawner",
        "options": [{"name": "nprocs", "type": "integer", "label": "Cores", "min": 1, "max": 2}],
    },
    {
        "display_name": "Cluster",
        "groups": ["physics", "chemistry"],
        "spawner": "batchspawner.SlurmSpawner",
        "override": {"resource_form": True, "queue_limits": QUEUES},
        "profile_options": {"software": {"display_name": "Software", "choices": SOFTWARE}},
    },
    {
        "display_name": "GPU",
        "groups": ["physics"],
        "spawner": "batchspawner.SlurmSpawner",
        "override": {"resource_form": True, "queue_limits": {"gpu": {"ngpus": 2, "runtime": "1h"}}},
    },
]
