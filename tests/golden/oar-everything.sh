#!/bin/bash
#OAR -n spawner-jupyterhub
#OAR -O /home/alice/.jupyterhub.oar.%jobid%.out
#OAR -E /home/alice/.jupyterhub.oar.%jobid%.out
#OAR -l /nodes=1/gpu=1/core=2,walltime=12:00:00
#OAR -q day
#OAR -p network_address='node7'
#OAR --project physics
#OAR -t inner=course
#OAR --notify [RUNNING,ERROR]mail:ada+hub@example.org
#OAR --exclusive
#OAR --mail-type=END

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
