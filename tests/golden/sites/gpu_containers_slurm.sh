##### gpu
#!/bin/bash
#SBATCH --job-name=spawner-jupyterhub
#SBATCH --output=/home/alice/.jupyterhub.slurm.%j.log
#SBATCH --chdir=/home/alice
#SBATCH --export=PATH
#SBATCH --get-user-env=L
#SBATCH --partition=gpu
#SBATCH --time=4:00:00
#SBATCH --mem=64G
#SBATCH --cpus-per-task=8
#SBATCH --gres=gpu:a100:1

set -euo pipefail
# It belongs to the login host and does not exist here.
unset XDG_RUNTIME_DIR
status=0
trap 'echo SIGTERM received' TERM
# Else srun passes on only the variables of --export above, and nothing that the prologue set.
export SLURM_EXPORT_ENV=ALL
# Since Slurm 22.05 a step does not get the cores of its job by itself.
export SRUN_CPUS_PER_TASK=8
srun apptainer exec --nv --bind /data /images/pytorch-2026.10.sif batchspawner-singleuser jupyterhub-singleuser || status=$?
exit "$status"
