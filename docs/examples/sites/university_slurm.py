"""A university on Slurm: one form for everybody, with the limits that Slurm itself tells."""

import batchspawner

c = get_config()  # noqa: F821
c.JupyterHub.spawner_class = "slurm"
c.JupyterHub.hub_bind_url = "http://0.0.0.0:8081"
c.JupyterHub.hub_connect_url = "http://jupyter.example.edu:8081"
c.JupyterHub.cleanup_servers = False
batchspawner.use_pages(c)

# The account of the Hub may run sbatch, scancel and squeue as the members of one group.
c.SlurmSpawner.exec_prefix = "sudo -n -E -u {username}"
c.SlurmSpawner.batchspawner_singleuser_cmd = "/apps/jupyter/bin/batchspawner-singleuser"
c.Spawner.cmd = ["/apps/jupyter/bin/jupyterhub-singleuser"]
c.Spawner.notebook_dir = "/"
c.Spawner.default_url = "/lab/tree/home/{username}"

c.SlurmSpawner.resource_form = True
c.SlurmSpawner.queue_limits = {
    "short": {"runtime": "4h", "help": "Starts soon."},
    "long": {"runtime": "3d"},
    "gpu": {"runtime": "1d", "ngpus": 2},
}
c.SlurmSpawner.req_nprocs = "2"
c.SlurmSpawner.req_memory = "8G"
c.SlurmSpawner.req_runtime = "4:00:00"
c.SlurmSpawner.req_prologue = """
# Home folders are mounted by the automounter, which may take a moment.
cd "$HOME"
module purge
module load anaconda
"""
c.BatchSpawnerBase.queue_timeout = 3600
