#!/bin/sh
# Install a database and a monitoring system for tests of a Hub, if possible; tests are skipped for what is missing.
# usage: .ci/services.sh VENV
here=$(dirname "$0")
"$here/apt.sh" pg_createcluster postgresql || true
"$here/apt.sh" prometheus prometheus || true
"$1/bin/python" -m pip install -qq --disable-pip-version-check 'psycopg[binary]' \
    || echo "psycopg could not be installed; the test of a restored PostgreSQL is skipped" >&2
