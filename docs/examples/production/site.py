"""What this site sets: who may log in, and what their jobs ask for. install.sh leaves it alone."""

c = get_config()  # noqa: F821

# One of https://jupyterhub.readthedocs.io/en/stable/reference/authenticators.html; until then,
# nobody can log in.
c.JupyterHub.authenticator_class = "null"

c.BatchSpawnerBase.req_runtime = "8:00:00"
c.BatchSpawnerBase.req_memory = "4G"
c.BatchSpawnerBase.req_nprocs = "2"
c.BatchSpawnerBase.resource_form = True
# How long a job may wait in the queue (seconds).
c.BatchSpawnerBase.queue_timeout = 3600
