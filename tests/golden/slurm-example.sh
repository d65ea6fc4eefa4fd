#!/bin/bash
#SBATCH --job-name=spawner-jupyterhub
#SBATCH --output=/home/alice/.jupyterhub.slurm.%j.log
#SBATCH --chdir=/home/alice
#SBATCH --export=PATH
#SBATCH --get-user-env=L
#SBATCH --partition=interactive
#SBATCH --time=8:00:00
#SBATCH --mem=4G
#SBATCH --cpus-per-task=2

set -euo pipefail
# It belongs to the login host and does not exist here.
unset XDG_RUNTIME_DIR
module load jupyter
status=0
trap 'echo SIGTERM received' TERM
# Else srun passes on only the variables of --export above, and nothing that the prologue set.
export SLURM_EXPORT_ENV=ALL
# Since Slurm 22.05 a step does not get the cores of its job by itself.
export SRUN_CPUS_PER_TASK=2
srun batchspawner-singleuser jupyterhub-singleuser || status=$?
exit "$status"
