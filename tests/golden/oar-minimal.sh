#!/bin/bash
#OAR -n spawner-jupyterhub
#OAR -O /home/alice/.jupyterhub.oar.%jobid%.out
#OAR -E /home/alice/.jupyterhub.oar.%jobid%.out

set -euo pipefail
# It belongs to the login host and does not exist here.
unset XDG_RUNTIME_DIR
status=0
batchspawner-singleuser jupyterhub-singleuser || status=$?
exit "$status"
