#!/bin/sh
# Makes the secrets that compose.yaml reads, in ./secrets; keeps those that are there already.
set -eu
umask 077
mkdir -p secrets
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
make() { [ -e "secrets/$1" ] || printf '%s\n' "$2" >"secrets/$1"; }
make postgres_password "$(random)"
make db_url "postgresql://regimes:$(cat secrets/postgres_password)@postgres:5432/regimes"
make dashboard_token "$(random)"
make metrics_token "$(random)"
make grafana_password "$(random)"
make webhooks_all ""
# The users inside the containers read them; the folder keeps everybody else out.
chmod 0644 secrets/*
