#!/bin/bash
#PBS -N jupyterhub-singleuser
#PBS -o /home/alice/.jupyterhub.pbs.out
#PBS -e /home/alice/.jupyterhub.pbs.err
#PBS -q workq
#PBS -l walltime=8:00:00
#PBS -l select=1:ncpus=2:mem=4gb
#PBS -v PATH

set -euo pipefail
# It belongs to the login host and does not exist here.
unset XDG_RUNTIME_DIR
status=0
batchspawner-singleuser jupyterhub-singleuser || status=$?
exit "$status"
