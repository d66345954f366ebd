-- What each edge holds, and measurements over time.
CREATE SEQUENCE ar.sync_version_seq;
COMMENT ON SEQUENCE ar.sync_version_seq IS 'Numbers for decoration_sync.sync_version; taken while the pair''s row is locked.';

CREATE TABLE ar.decoration_sync (
    edge_server_id   uuid NOT NULL CONSTRAINT decoration_sync_edge_server_id_fkey REFERENCES ar.edge_servers (id) ON DELETE CASCADE,
    -- No cascade: the row outlives the decoration until the edge has acknowledged the removal.
    decoration_id    uuid NOT NULL CONSTRAINT decoration_sync_decoration_id_fkey REFERENCES ar.decorations (id),
    id               uuid NOT NULL DEFAULT gen_random_uuid(),
    sync_status      varchar(50) NOT NULL CONSTRAINT decoration_sync_sync_status_known CHECK (sync_status IN ('pending', 'synced', 'failed', 'outdated')),
    wanted           varchar(10) NOT NULL DEFAULT 'put' CONSTRAINT decoration_sync_wanted_known CHECK (wanted IN ('put', 'remove')),
    sync_version     bigint NOT NULL DEFAULT nextval('ar.sync_version_seq'),
    synced_version   bigint CONSTRAINT decoration_sync_synced_version_range CHECK (synced_version <= sync_version),
    attempts         integer NOT NULL DEFAULT 0 CONSTRAINT decoration_sync_attempts_range CHECK (attempts >= 0),
    next_attempt_at  timestamptz,
    last_sync_at     timestamptz,
    error_message    text,
    CONSTRAINT decoration_sync_pkey PRIMARY KEY (edge_server_id, decoration_id)
);
CREATE INDEX decoration_sync_due_idx ON ar.decoration_sync (edge_server_id, sync_version) WHERE sync_status IN ('pending', 'outdated');
CREATE INDEX decoration_sync_decoration_id_idx ON ar.decoration_sync (decoration_id);
COMMENT ON TABLE ar.decoration_sync IS 'For each edge and decoration: what the edge should have, and what it has acknowledged.';
COMMENT ON COLUMN ar.decoration_sync.edge_server_id IS 'The edge.';
COMMENT ON COLUMN ar.decoration_sync.decoration_id IS 'The decoration.';
COMMENT ON COLUMN ar.decoration_sync.id IS 'The pair''s identity; not a key, so that the table can be distributed by edge.';
COMMENT ON COLUMN ar.decoration_sync.sync_status IS '`pending` never delivered, `outdated` an older one is held, `synced` acknowledged, `failed` refused too often.';
COMMENT ON COLUMN ar.decoration_sync.wanted IS '`put`: the edge should hold it; `remove`: it should not.';
COMMENT ON COLUMN ar.decoration_sync.sync_version IS 'Number of the wanted state; higher than all this pair had before.';
COMMENT ON COLUMN ar.decoration_sync.synced_version IS 'Number of the acknowledged state.';
COMMENT ON COLUMN ar.decoration_sync.attempts IS 'Refusals of the wanted state so far.';
COMMENT ON COLUMN ar.decoration_sync.next_attempt_at IS 'Not before this time is it tried again.';
COMMENT ON COLUMN ar.decoration_sync.last_sync_at IS 'Last acknowledgement.';
COMMENT ON COLUMN ar.decoration_sync.error_message IS 'What the edge said when it refused.';

CREATE TABLE ar.system_metrics (
    id             uuid NOT NULL DEFAULT gen_random_uuid(),
    edge_server_id uuid CONSTRAINT system_metrics_edge_server_id_fkey REFERENCES ar.edge_servers (id) ON DELETE CASCADE,
    metric_type    varchar(100) NOT NULL,
    metric_value   double precision NOT NULL CONSTRAINT system_metrics_metric_value_finite CHECK (metric_value BETWEEN -1e15 AND 1e15),
    recorded_at    timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (recorded_at);
CREATE INDEX system_metrics_edge_type_time_idx ON ar.system_metrics (edge_server_id, metric_type, recorded_at);
COMMENT ON TABLE ar.system_metrics IS 'Samples over time, in daily partitions made ahead; no default partition, so a missing one is an error and not a slow table.';
COMMENT ON COLUMN ar.system_metrics.id IS 'The sample''s identity; not a key.';
COMMENT ON COLUMN ar.system_metrics.edge_server_id IS 'The edge; null for the system''s own samples.';
COMMENT ON COLUMN ar.system_metrics.metric_type IS '`cpu`, `memory` (per cent), `connections`, `bandwidth` (Mbit/s), and others.';
COMMENT ON COLUMN ar.system_metrics.metric_value IS 'The value, in the type''s unit.';
COMMENT ON COLUMN ar.system_metrics.recorded_at IS 'When, by the database''s clock.';

CREATE FUNCTION ar.make_daily_partitions(parent regclass, days_ahead integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    day date;
    made integer := 0;
    parent_schema text;
    parent_name text;
BEGIN
    SELECT n.nspname, c.relname INTO STRICT parent_schema, parent_name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = parent;
    FOR day IN SELECT (now() AT TIME ZONE 'UTC')::date + i FROM generate_series(0, days_ahead) AS i LOOP
        IF to_regclass(format('%I.%I', parent_schema, parent_name || to_char(day, '_YYYYMMDD'))) IS NULL THEN
            EXECUTE format('CREATE TABLE %I.%I PARTITION OF %s FOR VALUES FROM (%L) TO (%L)',
                parent_schema, parent_name || to_char(day, '_YYYYMMDD'), parent,
                day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END $$;
COMMENT ON FUNCTION ar.make_daily_partitions(regclass, integer) IS 'Makes the partitions of today (UTC) and the days ahead that are not there yet; returns how many it made.';
SELECT ar.make_daily_partitions('ar.system_metrics', 7), ar.make_daily_partitions('ar.device_presence', 7);
