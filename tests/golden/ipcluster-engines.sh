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
  exit "$code"
}
profile=/home/alice/.ipython/profile_default
connection=/home/alice/.ipython/profile_default/security/ipcontroller-engine.json
trap finish EXIT
trap 'exit 143' TERM HUP
# What a signal to the engines means is theirs to say.
trap : INT USR1 USR2

# The name of each engine says to its controller of which job it is. ipyparallel makes names of
# variables of it.
(
  code=0 pids=
  trap 'kill $pids 2>/dev/null; wait; exit 143' TERM
  trap : INT USR1 USR2
  for ((one = 0; one < 2; one++)); do
    ipengine --profile-dir="$profile" --file="$connection" \
      --Session.session="1-${HOSTNAME//[^a-zA-Z0-9]/}-$$-$one" &
    pids="$pids $!"
  done
  # One engine that ends does not end the others; a signal ends only the wait.
  for pid in $pids; do
    while true; do
      wait "$pid"
      code=$?
      kill -0 "$pid" 2>/dev/null || break
    done
  done
  exit "$code"
) &
engines=$!
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
