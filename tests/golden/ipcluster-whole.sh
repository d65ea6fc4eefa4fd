#!/bin/bash
set -uo pipefail
umask 077
folder=/home/alice/clusters/1
controller= engines= notebook=

fail() {
  echo "batchspawner: $1" >&2
  exit 1
}
# Wait until a process, which may end instead, has written a file.
wait_for() {
  until [ -s "$1" ]; do
    kill -0 "$2" 2>/dev/null || fail "$3 ended before it was ready; what it said is above"
    sleep 0.1
  done
}
finish() {
  local code=$? children="$notebook $engines $controller" waited
  trap - EXIT
  trap '' TERM INT HUP
  kill -TERM $children 2>/dev/null
  for ((waited = 0; waited < 10 * 10; waited++)); do
    kill -0 $children 2>/dev/null || break
    sleep 0.1
  done
  kill -KILL $children 2>/dev/null
  rm -rf "$profile"
  exit "$code"
}
export OMP_NUM_THREADS=2
export NOTE='it'"'"'s mine'
# Who submitted the job writes its id there; the profile is named after it.
for ((waited = 0; waited < 1200; waited++)); do
  [ -s "$folder/job_id" ] && break
  sleep 0.1
done
read -r job_id < "$folder/job_id" || fail "nobody wrote the job's id to $folder/job_id"
profile=/home/alice/.ipython/profile_job_$job_id
mkdir -p "$profile"
connection="$profile/security/ipcontroller-engine.json"
trap finish EXIT
trap 'exit 143' TERM HUP
# What a signal to the engines means is theirs to say.
trap : INT USR1 USR2

python3 -m ipyparallel.controller '--ip=*' --profile-dir="$profile" &
controller=$!
wait_for "$connection" "$controller" "the controller"
# The name of each engine says to its controller of which job it is. ipyparallel makes names of
# variables of it.
srun --ntasks=4 bash -c 'exec "$@" --Session.session="$0-${HOSTNAME//[^a-zA-Z0-9]/}-$$"' 1 \
  python3 -m ipyparallel.engine --mpi --profile-dir="$profile" --file="$connection" &
engines=$!
mkdir -p "$profile/jupyter"
# Port 8888 or the next one that is free; the server makes its own token.
JUPYTER_RUNTIME_DIR="$profile/jupyter" python3 -m jupyterlab --ip="$(hostname)" --no-browser \
  --ServerApp.port_retries=1000 &
notebook=$!
# The job lasts as long as its controller and its engines do.
while true; do
  for child in $controller $engines; do
    if ! kill -0 "$child" 2>/dev/null; then
      wait "$child"
      exit
    fi
  done
  sleep 0.5
done
