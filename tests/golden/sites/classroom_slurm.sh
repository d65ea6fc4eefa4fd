##### ash
#!/bin/bash
#SBATCH --job-name=spawner-jupyterhub
#SBATCH --output=/home/alice/.jupyterhub.slurm.%j.log
#SBATCH --chdir=/home/alice
#SBATCH --export=PATH
#SBATCH --get-user-env=L
#SBATCH --clusters=ash
#SBATCH --partition=serial
#SBATCH --time=2:00:00
#SBATCH --mem=4G
#SBATCH --cpus-per-task=1

set -euo pipefail
# It belongs to the login host and does not exist here.
unset XDG_RUNTIME_DIR
status=0
trap 'echo SIGTERM received' TERM
# Else srun passes on only the variables of --export above, and nothing that the prologue set.
export SLURM_EXPORT_ENV=ALL
# Since Slurm 22.05 a step does not get the cores of its job by itself.
export SRUN_CPUS_PER_TASK=1
srun batchspawner-singleuser jupyterhub-singleuser || status=$?
exit "$status"

##### birch
#!/bin/bash
#SBATCH --job-name=spawner-jupyterhub
#SBATCH --output=/home/alice/.jupyterhub.slurm.%j.log
#SBATCH --chdir=/home/alice
#SBATCH --export=PATH
#SBATCH --get-user-env=L
#SBATCH --clusters=birch
#SBATCH --partition=serial
#SBATCH --time=2:00:00
#SBATCH --mem=4G
#SBATCH --cpus-per-task=1

set -euo pipefail
# It belongs to the login host and does not exist here.
unset XDG_RUNTIME_DIR
status=0
trap 'echo SIGTERM received' TERM
# Else srun passes on only the variables of --export above, and nothing that the prologue set.
export SLURM_EXPORT_ENV=ALL
# Since Slurm 22.05 a step does not get the cores of its job by itself.
export SRUN_CPUS_PER_TASK=1
srun batchspawner-singleuser jupyterhub-singleuser || status=$?
exit "$status"

##### stat-101
#!/bin/bash
#SBATCH --job-name=spawner-jupyterhub
#SBATCH --output=/home/alice/.jupyterhub.slurm.%j.log
#SBATCH --chdir=/home/alice
#SBATCH --export=PATH
#SBATCH --get-user-env=L
#SBATCH --clusters=ash
#SBATCH --account=PCLASS0101
#SBATCH --reservation=stat101
#SBATCH --time=3:00:00
#SBATCH --mem=8G
#SBATCH --cpus-per-task=2

set -euo pipefail
# It belongs to the login host and does not exist here.
unset XDG_RUNTIME_DIR
case $- in *u*) strict=-u ;; *) strict=+u ;; esac
set +u
export CONDA_PREFIX=/apps/classes/stat-101
export PATH="$CONDA_PREFIX/bin:$PATH"
for script in "$CONDA_PREFIX"/etc/conda/activate.d/*.sh; do
    if [ -r "$script" ]; then . "$script"; fi
done
set "$strict"
status=0
trap 'echo SIGTERM received' TERM
# Else srun passes on only the variables of --export above, and nothing that the prologue set.
export SLURM_EXPORT_ENV=ALL
# Since Slurm 22.05 a step does not get the cores of its job by itself.
export SRUN_CPUS_PER_TASK=2
srun batchspawner-singleuser jupyterhub-singleuser || status=$?
exit "$status"

##### chem-230
#!/bin/bash
#SBATCH --job-name=spawner-jupyterhub
#SBATCH --output=/home/alice/.jupyterhub.slurm.%j.log
#SBATCH --chdir=/home/alice
#SBATCH --export=PATH
#SBATCH --get-user-env=L
#SBATCH --clusters=ash
#SBATCH --account=PCLASS0230
#SBATCH --reservation=chem230
#SBATCH --time=3:00:00
#SBATCH --mem=8G
#SBATCH --cpus-per-task=2

set -euo pipefail
# It belongs to the login host and does not exist here.
unset XDG_RUNTIME_DIR
case $- in *u*) strict=-u ;; *) strict=+u ;; esac
set +u
export CONDA_PREFIX=/apps/classes/chem-230
export PATH="$CONDA_PREFIX/bin:$PATH"
for script in "$CONDA_PREFIX"/etc/conda/activate.d/*.sh; do
    if [ -r "$script" ]; then . "$script"; fi
done
set "$strict"
status=0
trap 'echo SIGTERM received' TERM
# Else srun passes on only the variables of --export above, and nothing that the prologue set.
export SLURM_EXPORT_ENV=ALL
# Since Slurm 22.05 a step does not get the cores of its job by itself.
export SRUN_CPUS_PER_TASK=2
srun batchspawner-singleuser jupyterhub-singleuser || status=$?
exit "$status"
