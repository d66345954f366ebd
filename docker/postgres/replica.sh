#!/bin/bash
# A streaming replica: copies the primary when its own folder is empty, then follows it. A replica that was away for
# longer than the primary kept its WAL (max_slot_wal_keep_size) says so in its log: remove its volume and start it again.
set -euo pipefail
primary=${PRIMARY_HOST:-primary} port=${PRIMARY_PORT:-5432}
passfile=${PASSFILE:-/tmp/replicator.pgpass}

# By a file, so that the password is neither in the environment nor in the data folder.
(umask 077; printf '*:*:*:replicator:%s\n' "$(tr -d '\r\n' < "${SECRETS:-/run/secrets}/replication_password" | sed 's/[:\\]/\\&/g')" > "$passfile")

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    install -d -m 0700 "$PGDATA"
    chmod 0700 "$PGDATA"
    until pg_basebackup --dbname "host=$primary port=$port user=replicator passfile=$passfile application_name=replica" \
        --pgdata "$PGDATA" --write-recovery-conf --slot replica --wal-method stream --checkpoint fast; do
        echo "the primary is not there yet; trying again" >&2
        find "$PGDATA" -mindepth 1 -delete
        sleep 2
    done
fi
exec postgres "$@"
