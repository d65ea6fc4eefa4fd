#!/bin/bash
#SBATCH --job-name=spawner-jupyterhub
#SBATCH --output=/home/alice/.jupyterhub.slurm.%j.log
#SBATCH --chdir=/home/alice
#SBATCH --export=JUPYTERHUB_API_TOKEN,LANG
#SBATCH --get-user-env=L

set -euo pipefail
# It belongs to the login host and does not exist here.
unset XDG_RUNTIME_DIR
status=0
trap 'echo SIGTERM received' TERM
batchspawner-singleuser jupyterhub-singleuser || status=$?
exit "$status"
