#!/bin/sh
# Install the browser that the tests of the pages drive.
exec "$(dirname "$0")/apt.sh" chromium chromium fonts-dejavu-core
