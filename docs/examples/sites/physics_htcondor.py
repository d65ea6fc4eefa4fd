"""A particle-physics laboratory on HTCondor: containers by the pool, groups that share it, GPUs."""

import batchspawner

c = get_config()  # noqa: F821
c.JupyterHub.spawner_class = "wrapspawner.ProfilesSpawner"
c.JupyterHub.hub_bind_url = "http://0.0.0.0:8081"
c.JupyterHub.hub_connect_url = "http://jupyter.lab.example.org:8081"
c.JupyterHub.cleanup_servers = False
batchspawner.use_pages(c)

c.BatchSpawnerBase.launcher = "/usr/local/sbin/batchspawner-launcher"
c.CondorSpawner.req_runtime = "1d"
c.BatchSpawnerBase.queue_timeout = 1800

# HTCondor itself starts the job in the image; the pool's configuration names what runs images.
IMAGE = '+SingularityImage = "/cvmfs/images.example.org/jupyter:2026.10"'
GROUPS = {
    "display_name": "Experiment",
    "choices": {
        name: {"display_name": name.title(), "override": {"req_account": f"group_{name}.jupyter"}}
        for name in ("alpha", "beta")
    },
}
c.ProfilesSpawner.profiles = [
    {
        "display_name": "Analysis",
        "slug": "analysis",
        "spawner": "condor",
        "override": {"req_options": IMAGE},
        "options": [
            {"name": "nprocs", "type": "integer", "label": "Cores", "max": 8, "default": "1"},
            {"name": "memory", "type": "memory", "label": "Memory", "max": "32G", "default": "4G"},
        ],
        "profile_options": {"experiment": GROUPS},
    },
    {
        "display_name": "Analysis with a GPU",
        "slug": "gpu",
        "groups": ["gpu"],
        "spawner": "condor",
        "override": {
            "req_options": f"{IMAGE}\nrequire_gpus = Capability >= 8.0",
            "req_ngpus": "1",
            "req_nprocs": "4",
            "req_memory": "16G",
        },
        "profile_options": {"experiment": GROUPS},
    },
]
