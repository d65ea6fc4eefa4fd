"""A GPU cluster on Slurm whose servers run in containers, with images for each framework."""

import batchspawner

c = get_config()  # noqa: F821
c.JupyterHub.spawner_class = "wrapspawner.ProfilesSpawner"
c.JupyterHub.hub_bind_url = "http://0.0.0.0:8081"
c.JupyterHub.hub_connect_url = "http://login.gpu.example.org:8081"
c.JupyterHub.cleanup_servers = False
batchspawner.use_pages(c)

c.BatchSpawnerBase.launcher = "/usr/local/sbin/batchspawner-launcher"
c.BatchSpawnerBase.queue_timeout = 7200
c.Spawner.http_timeout = 300  # an image that is read for the first time

CONTAINER = "apptainer exec --nv --bind /data {image}"
c.ProfilesSpawner.profiles = [
    {
        "display_name": "GPU",
        "slug": "gpu",
        "spawner": "slurm",
        "override": {"req_partition": "gpu", "req_nprocs": "8", "req_memory": "64G"},
        "options": [
            {
                "name": "gres",
                "type": "choice",
                "label": "GPU",
                "choices": ["gpu:a100:1", "gpu:a100:2", "gpu:h100:1", "shard:4"],
                "default": "gpu:a100:1",
            },
            {"name": "runtime", "type": "duration", "label": "Time", "max": "1d", "default": "4h"},
        ],
        "profile_options": {
            "image": {
                "display_name": "Image",
                "choices": {
                    "pytorch": {
                        "display_name": "PyTorch",
                        "default": True,
                        "environment": {
                            "image": "/images/pytorch-2026.10.sif",
                            "container_command": CONTAINER,
                        },
                    },
                    "jax": {
                        "display_name": "JAX",
                        "environment": {
                            "image": "/images/jax-2026.10.sif",
                            "container_command": CONTAINER,
                        },
                    },
                },
                "unlisted_choice": {
                    "enabled": True,
                    "display_name": "An image of my own",
                    "validation_regex": r"/home/[A-Za-z0-9._/-]+\.sif",
                    "validation_message": "give the path of a .sif file in /home",
                    "environment": {"image": "{value}", "container_command": CONTAINER},
                },
            }
        },
    }
]
