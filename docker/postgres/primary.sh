#!/bin/bash
# Run once by the image of PostgreSQL, when it has made an empty database: the service's user, who owns the database and
# is no superuser; the analysts' role; and who replicates.
set -euo pipefail
export SECRETS=${SECRETS:-/run/secrets}

psql -X -q -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" -v database="$POSTGRES_DB" <<'SQL'
-- By psql itself, so that passwords are in no list of processes.
\set password `tr -d '\r\n' < "$SECRETS/db_password"`
\set replication_password `tr -d '\r\n' < "$SECRETS/replication_password"`
CREATE ROLE ar_supervisor LOGIN PASSWORD :'password';
ALTER DATABASE :"database" OWNER TO ar_supervisor;
-- These need a superuser; the service finds them made.
CREATE EXTENSION IF NOT EXISTS postgis;
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
-- As sql/roles.sql would, if the service's user might make roles. It has no password until you set one.
CREATE ROLE ar_analyst LOGIN;
ALTER ROLE ar_analyst SET default_transaction_read_only = on;
ALTER ROLE ar_analyst SET statement_timeout = '30s';
ALTER ROLE ar_analyst SET search_path = gis, public;
CREATE ROLE replicator LOGIN REPLICATION PASSWORD :'replication_password';
SELECT pg_create_physical_replication_slot('replica') \g /dev/null
SQL

# From the private network that the databases share.
echo 'host replication replicator samenet scram-sha-256' >> "$PGDATA/pg_hba.conf"
