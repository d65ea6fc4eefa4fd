#!/bin/bash
#PBS -N jupyterhub-singleuser
#PBS -o /home/alice/.jupyterhub.torque.out
#PBS -e /home/alice/.jupyterhub.torque.err
#PBS -v JUPYTERHUB_API_TOKEN,LANG

set -euo pipefail
# It belongs to the login host and does not exist here.
unset XDG_RUNTIME_DIR
status=0
batchspawner-singleuser jupyterhub-singleuser || status=$?
exit "$status"
