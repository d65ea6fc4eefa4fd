#!/bin/bash
#QUEUE --name=spawner-jupyterhub
#QUEUE --output=/home/alice/.jupyterhub.local.%j.log
#QUEUE --chdir=/home/alice

set -euo pipefail
# It belongs to the login host and does not exist here.
unset XDG_RUNTIME_DIR
status=0
batchspawner-singleuser jupyterhub-singleuser || status=$?
exit "$status"
