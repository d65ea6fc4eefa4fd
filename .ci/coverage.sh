#!/bin/sh
# Measure lines and branches that tests reach, in the processes that they start too, and print a table.
# usage: .ci/coverage.sh VENV
set -eu
python=$1/bin/python
$python -m coverage erase
failed=0
run() { $python -m coverage run -m pytest --reruns 1 -rsR "$@" || failed=1; }
run -n $(($(getconf _NPROCESSORS_ONLN) + 1)) --dist worksteal -m unit
run -n 4 -m jobs
run -n 2 -m "hub and not scheduler and not browser and not packaging and not tutorial"
$python -m coverage combine --quiet
$python -m coverage report --format=total > .coverage-total
$python -m coverage report
printf '\nmeasured with unit, jobs and hub: %s %% of lines and branches\n' "$(cat .coverage-total)"
exit $failed
