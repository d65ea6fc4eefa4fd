#!/bin/sh
# Install the packages of a real OAR, with the database and the sshd that it needs.
exec "$(dirname "$0")/apt.sh" oar-server oar-server oar-server-pgsql oar-user oar-user-pgsql oar-node \
    postgresql openssh-server sudo
