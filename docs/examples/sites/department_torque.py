"""A department on Torque that came from batchspawner and wrapspawner 1.x: tuples, an own script."""

import batchspawner  # noqa: F401

c = get_config()  # noqa: F821
c.JupyterHub.spawner_class = "wrapspawner.ProfilesSpawner"
c.JupyterHub.hub_ip = "0.0.0.0"  # noqa: S104
c.JupyterHub.hub_connect_ip = "10.1.0.1"
c.JupyterHub.cleanup_servers = False
c.Spawner.http_timeout = 120
c.BatchSpawnerBase.queue_timeout = 900

c.TorqueSpawner.batch_script = """#!/bin/bash
#PBS -q {queue}@{host}
#PBS -l walltime={runtime}
#PBS -l nodes=1:ppn={nprocs}
#PBS -l mem={memory}
#PBS -N jupyter
#PBS -o {homedir}/.jupyterhub.torque.out
#PBS -e {homedir}/.jupyterhub.torque.err
#PBS -v {keepvars}
{prologue}
{cmd}
"""
c.TorqueSpawner.req_host = "torque.physics.example.edu"
c.TorqueSpawner.req_prologue = "export PATH=/opt/anaconda3/bin:$PATH"
c.ProfilesSpawner.profiles = [
    (
        "Students: 2 cores, 4 GB, 8 hours",
        "students",
        "batchspawner.TorqueSpawner",
        {"req_queue": "lab", "req_nprocs": "2", "req_runtime": "8:00:00", "req_memory": "4gb"},
    ),
    (
        "Research: 12 cores, 40 GB, 4 days",
        "research",
        "batchspawner.TorqueSpawner",
        {"req_queue": "batch", "req_nprocs": "12", "req_runtime": "96:00:00", "req_memory": "40gb"},
    ),
]
