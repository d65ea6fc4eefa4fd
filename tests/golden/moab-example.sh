#!/bin/bash
#PBS -N jupyterhub-singleuser
#PBS -l walltime=8:00:00
#PBS -v PATH
#PBS -l advres=course.12

set -euo pipefail
# It belongs to the login host and does not exist here.
unset XDG_RUNTIME_DIR
status=0
batchspawner-singleuser jupyterhub-singleuser || status=$?
exit "$status"
