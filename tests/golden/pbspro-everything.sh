#!/bin/bash
#PBS -N jupyterhub-singleuser
#PBS -o /home/alice/.jupyterhub.pbs.out
#PBS -e /home/alice/.jupyterhub.pbs.err
#PBS -q course@node7
#PBS -l walltime=12:00:00
#PBS -l select=1:ncpus=2:ngpus=1:mem=4096mb
#PBS -A physics
#PBS -v JUPYTERHUB_API_TOKEN,LANG
#PBS -M ada+hub@example.org
#PBS -m ab
#PBS --exclusive
#PBS --mail-type=END

set -euo pipefail
# It belongs to the login host and does not exist here.
unset XDG_RUNTIME_DIR
# Where the Hub finds its commands; on the way here, sudo may have replaced it.
export PATH="$PATH":'/opt/the hub/bin:/usr/bin'
module load python
ulimit -n 4096
status=0
batchspawner-singleuser jupyterhub-singleuser || status=$?
rm -rf /scratch/$USER
exit "$status"
