#!/bin/bash
#SBATCH --job-name=spawner-jupyterhub
#SBATCH --output=/home/alice/.jupyterhub.slurm.%j.log
#SBATCH --chdir=/home/alice
#SBATCH --export=JUPYTERHUB_API_TOKEN,LANG
#SBATCH --get-user-env=L
#SBATCH --clusters=one
#SBATCH --partition=day
#SBATCH --account=physics
#SBATCH --qos=high
#SBATCH --reservation=course
#SBATCH --nodelist=node7
#SBATCH --time=12:00:00
#SBATCH --mem=4G
#SBATCH --cpus-per-task=2
#SBATCH --gres=tmp:10G
#SBATCH --gpus=1
#SBATCH --mail-user=ada+hub@example.org
#SBATCH --mail-type=BEGIN,FAIL
#SBATCH --exclusive
#SBATCH --mail-type=END

set -euo pipefail
# It belongs to the login host and does not exist here.
unset XDG_RUNTIME_DIR
# Where the Hub finds its commands; on the way here, sudo may have replaced it.
export PATH="$PATH":'/opt/the hub/bin:/usr/bin'
module load python
ulimit -n 4096
status=0
trap 'echo SIGTERM received' TERM
# Else srun passes on only the variables of --export above, and nothing that the prologue set.
export SLURM_EXPORT_ENV=ALL
# Since Slurm 22.05 a step does not get the cores of its job by itself.
export SRUN_CPUS_PER_TASK=2
srun batchspawner-singleuser jupyterhub-singleuser || status=$?
rm -rf /scratch/$USER
exit "$status"
