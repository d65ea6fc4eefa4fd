"""A biostatistics group on Grid Engine: cores by a parallel environment, memory for each core."""

import batchspawner

c = get_config()  # noqa: F821
c.JupyterHub.spawner_class = "gridengine"
c.JupyterHub.hub_bind_url = "http://0.0.0.0:8081"
c.JupyterHub.hub_connect_url = "http://hub.biostat.example.edu:8081"
c.JupyterHub.cleanup_servers = False
batchspawner.use_pages(c)

# SGE_ROOT, SGE_CELL and the ports are in the environment of the Hub, and in the launcher's rules.
c.BatchSpawnerBase.launcher = "/usr/local/sbin/batchspawner-launcher"
c.GridengineSpawner.req_queue = "interactive.q"
c.GridengineSpawner.req_parallel_environment = "smp"
c.GridengineSpawner.req_options = "-l h_fsize=100G\n-m n"
c.GridengineSpawner.resource_form = True
c.GridengineSpawner.resource_fields = ["nprocs", "memory", "runtime"]
# h_vmem is a limit for each core.
c.GridengineSpawner.req_nprocs = "2"
c.GridengineSpawner.req_memory = "4G"
c.GridengineSpawner.req_runtime = "12:00:00"
c.GridengineSpawner.req_prologue = "module load R jupyter"
c.BatchSpawnerBase.queue_timeout = 1800
