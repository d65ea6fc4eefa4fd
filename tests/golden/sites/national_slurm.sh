##### shared
#!/bin/bash
#SBATCH --job-name=spawner-jupyterhub
#SBATCH --output=/home/alice/.jupyterhub.slurm.%j.log
#SBATCH --chdir=/home/alice
#SBATCH --export=PATH
#SBATCH --get-user-env=L
#SBATCH --account=m1234
#SBATCH --qos=shared
#SBATCH --time=6:00:00
#SBATCH --mem=8G
#SBATCH --cpus-per-task=2
#SBATCH --constraint=cpu

set -euo pipefail
# It belongs to the login host and does not exist here.
unset XDG_RUNTIME_DIR
case $- in *u*) strict=-u ;; *) strict=+u ;; esac
set +u
module load python/2026.10
set "$strict"
status=0
trap 'echo SIGTERM received' TERM
# Else srun passes on only the variables of --export above, and nothing that the prologue set.
export SLURM_EXPORT_ENV=ALL
# Since Slurm 22.05 a step does not get the cores of its job by itself.
export SRUN_CPUS_PER_TASK=2
srun batchspawner-singleuser jupyterhub-singleuser || status=$?
exit "$status"

##### cpu
#!/bin/bash
#SBATCH --job-name=spawner-jupyterhub
#SBATCH --output=/home/alice/.jupyterhub.slurm.%j.log
#SBATCH --chdir=/home/alice
#SBATCH --export=PATH
#SBATCH --get-user-env=L
#SBATCH --account=m1234
#SBATCH --qos=interactive
#SBATCH --time=1:00:00
#SBATCH --constraint=cpu
#SBATCH --exclusive

set -euo pipefail
# It belongs to the login host and does not exist here.
unset XDG_RUNTIME_DIR
case $- in *u*) strict=-u ;; *) strict=+u ;; esac
set +u
module load python/2026.10
set "$strict"
status=0
trap 'echo SIGTERM received' TERM
# Else srun passes on only the variables of --export above, and nothing that the prologue set.
export SLURM_EXPORT_ENV=ALL
srun batchspawner-singleuser jupyterhub-singleuser || status=$?
exit "$status"

##### gpu
#!/bin/bash
#SBATCH --job-name=spawner-jupyterhub
#SBATCH --output=/home/alice/.jupyterhub.slurm.%j.log
#SBATCH --chdir=/home/alice
#SBATCH --export=PATH
#SBATCH --get-user-env=L
#SBATCH --account=m1234
#SBATCH --qos=interactive
#SBATCH --time=1:00:00
#SBATCH --gpus=1
#SBATCH --constraint=gpu

set -euo pipefail
# It belongs to the login host and does not exist here.
unset XDG_RUNTIME_DIR
case $- in *u*) strict=-u ;; *) strict=+u ;; esac
set +u
module load python/2026.10
set "$strict"
status=0
trap 'echo SIGTERM received' TERM
# Else srun passes on only the variables of --export above, and nothing that the prologue set.
export SLURM_EXPORT_ENV=ALL
srun batchspawner-singleuser jupyterhub-singleuser || status=$?
exit "$status"
