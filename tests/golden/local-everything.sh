#!/bin/bash
#QUEUE --name=spawner-jupyterhub
#QUEUE --output=/home/alice/.jupyterhub.local.%j.log
#QUEUE --chdir=/home/alice
#QUEUE --slots=2
#QUEUE --walltime=12:00:00
#QUEUE --exclusive
#QUEUE --mail-type=END

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
