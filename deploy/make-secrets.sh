#!/bin/sh
# Makes the passwords of compose.yaml, at random, in the folder "secrets" beside it. Those that are there stay.
# The folder is its owner's alone. The files in it are not: a container's user is another one, and sees only what compose.yaml gives to it.
set -eu
cd "$(dirname "$0")/.."

random() {
  od -An -N24 -tx1 /dev/urandom | tr -d ' \n'
}

# Without a line's end: a program may take it for a part of the password.
secret() {
  test -e "secrets/$1" || printf %s "$2" >"secrets/$1"
  chmod 444 "secrets/$1"
}

umask 077
mkdir -p secrets
secret postgres-password "$(random)"
secret redis-password "$(random)"
secret database-url "postgres://tidings:$(cat secrets/postgres-password)@postgres:5432/tidings"
secret redis-url "redis://:$(cat secrets/redis-password)@redis:6379"
