#!/bin/bash
#OAR -n spawner-jupyterhub
#OAR -O /home/alice/.jupyterhub.oar.%jobid%.out
#OAR -E /home/alice/.jupyterhub.oar.%jobid%.out
#OAR -l /nodes=1/core=4,walltime=2:00:00
#OAR -p cluster='falcon'

set -euo pipefail
# It belongs to the login host and does not exist here.
unset XDG_RUNTIME_DIR
source /etc/profile.d/guix.sh
status=0
batchspawner-singleuser jupyterhub-singleuser || status=$?
exit "$status"
