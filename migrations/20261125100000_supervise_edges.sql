-- What supervising edges and placing devices needs beyond the first tables.

-- Beats are written all the time; with room on the page they touch no index.
ALTER TABLE ar.edge_servers SET (fillfactor = 70);
ALTER TABLE ar.edge_servers
    ADD COLUMN service_area_drawn geometry(MultiPolygon, 4326),
    ADD COLUMN good_beats smallint NOT NULL DEFAULT 0 CONSTRAINT edge_servers_good_beats_range CHECK (good_beats BETWEEN 0 AND 2),
    ADD COLUMN failed_probes integer NOT NULL DEFAULT 0 CONSTRAINT edge_servers_failed_probes_range CHECK (failed_probes >= 0),
    ADD COLUMN socket_lost boolean NOT NULL DEFAULT false,
    ADD COLUMN clock_skew_s double precision CONSTRAINT edge_servers_clock_skew_s_finite CHECK (clock_skew_s BETWEEN -1e15 AND 1e15),
    ADD COLUMN drain_deadline timestamptz,
    ALTER COLUMN health_reason SET DEFAULT 'never_heard';
UPDATE ar.edge_servers SET health_reason = 'never_heard' WHERE last_ping IS NULL;
CREATE INDEX edge_servers_created_at_idx ON ar.edge_servers (created_at DESC, id DESC) WHERE deleted_at IS NULL;
COMMENT ON COLUMN ar.edge_servers.service_area_drawn IS 'The service area as the admin drew it, in plain latitude/longitude edges; null when the circle decides. service_area is the same with long edges densified.';
COMMENT ON COLUMN ar.edge_servers.good_beats IS 'Good beats in a row since it was last not healthy, 2 at most: rising again takes two.';
COMMENT ON COLUMN ar.edge_servers.failed_probes IS 'Failed probes in a row.';
COMMENT ON COLUMN ar.edge_servers.socket_lost IS 'True: its socket broke, and it was not heard since.';
COMMENT ON COLUMN ar.edge_servers.clock_skew_s IS 'How far its clock was ahead of the database''s at the last beat that told its time, in seconds.';
COMMENT ON COLUMN ar.edge_servers.drain_deadline IS 'When a draining edge may go; null when it does not drain.';

-- Whoever was not watched cannot have been silent: after an outage, silence counts from its end.
CREATE TABLE ar.supervision (
    only_row     boolean CONSTRAINT supervision_pkey PRIMARY KEY DEFAULT true CONSTRAINT supervision_only_row CHECK (only_row),
    watched_from timestamptz NOT NULL DEFAULT now(),
    watched_at   timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO ar.supervision DEFAULT VALUES;
COMMENT ON TABLE ar.supervision IS 'Since when edges and devices are watched without a gap, by whichever instance.';
COMMENT ON COLUMN ar.supervision.only_row IS 'There is one row.';
COMMENT ON COLUMN ar.supervision.watched_from IS 'Since when: the end of the last gap.';
COMMENT ON COLUMN ar.supervision.watched_at IS 'The last look.';

-- A session stands for a key: one that is revoked ends it. Sessions end with their sockets, so none is lost here.
DELETE FROM ar.edge_sessions;
ALTER TABLE ar.edge_sessions SET (fillfactor = 50);
ALTER TABLE ar.edge_sessions
    ADD COLUMN key_id uuid NOT NULL CONSTRAINT edge_sessions_key_id_fkey REFERENCES ar.edge_keys (id) ON DELETE CASCADE;
CREATE INDEX edge_sessions_instance_id_idx ON ar.edge_sessions (instance_id);
CREATE INDEX edge_sessions_key_id_idx ON ar.edge_sessions (key_id);
COMMENT ON COLUMN ar.edge_sessions.key_id IS 'The key that opened it.';

-- Numbers of sessions never repeat, also when a session's row has gone in between.
CREATE SEQUENCE ar.edge_session_generation_seq;
COMMENT ON SEQUENCE ar.edge_session_generation_seq IS 'Numbers for edge_sessions.generation.';

CREATE TABLE ar.edge_device_notices (
    number         bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT edge_device_notices_pkey PRIMARY KEY,
    edge_server_id uuid NOT NULL CONSTRAINT edge_device_notices_edge_server_id_fkey REFERENCES ar.edge_servers (id) ON DELETE CASCADE,
    device_id      varchar(255) NOT NULL,
    assigned       boolean NOT NULL
);
CREATE INDEX edge_device_notices_edge_server_id_idx ON ar.edge_device_notices (edge_server_id, number);
COMMENT ON TABLE ar.edge_device_notices IS 'What connected edges have not been told yet of devices that came and went. An edge that connects anew reads the list of its devices instead.';
COMMENT ON SEQUENCE ar.edge_device_notices_number_seq IS 'Numbers for edge_device_notices.number.';
COMMENT ON COLUMN ar.edge_device_notices.number IS 'Order in which they are told.';
COMMENT ON COLUMN ar.edge_device_notices.edge_server_id IS 'The edge to tell.';
COMMENT ON COLUMN ar.edge_device_notices.device_id IS 'The device.';
COMMENT ON COLUMN ar.edge_device_notices.assigned IS 'True: it came; false: it went.';

ALTER TABLE ar.device_connections
    ADD COLUMN edge_reason varchar(30) CONSTRAINT device_connections_edge_reason_known
        CHECK (edge_reason IN ('all_full', 'none_healthy', 'outside_service_areas', 'no_edges')),
    ADD COLUMN edge_chosen_at timestamptz,
    ADD COLUMN edge_chosen_cell bigint CONSTRAINT device_connections_edge_chosen_cell_is_r9 CHECK (edge_chosen_cell >> 52 = 137),
    ADD COLUMN handed_over boolean NOT NULL DEFAULT false,
    ADD COLUMN positioned_at timestamptz;
COMMENT ON COLUMN ar.device_connections.edge_reason IS 'Why it has no edge, or only a second choice; null when it has the edge it should.';
COMMENT ON COLUMN ar.device_connections.edge_chosen_at IS 'When its edge was last chosen, or kept after a comparison.';
COMMENT ON COLUMN ar.device_connections.edge_chosen_cell IS 'The r9 cell it was in then.';
COMMENT ON COLUMN ar.device_connections.positioned_at IS 'When the position was written, by the database''s clock: what its retention counts from.';
COMMENT ON COLUMN ar.device_connections.handed_over IS 'True: its edge changed since it was last told which one it is.';

ALTER TABLE ar.decoration_sync ADD COLUMN wanted_at timestamptz NOT NULL DEFAULT now();
COMMENT ON COLUMN ar.decoration_sync.wanted_at IS 'Since when the wanted state is wanted.';
CREATE INDEX decoration_sync_failed_idx ON ar.decoration_sync (edge_server_id) WHERE sync_status = 'failed';

CREATE TABLE ar.decoration_usage (
    hour          timestamptz NOT NULL,
    decoration_id uuid NOT NULL,
    h3_r7         bigint NOT NULL CONSTRAINT decoration_usage_h3_r7_is_r7 CHECK (h3_r7 >> 52 = 135),
    answers       bigint NOT NULL CONSTRAINT decoration_usage_answers_range CHECK (answers > 0),
    CONSTRAINT decoration_usage_pkey PRIMARY KEY (hour, decoration_id, h3_r7)
) PARTITION BY RANGE (hour);
CREATE INDEX decoration_usage_decoration_id_idx ON ar.decoration_usage (decoration_id, hour);
COMMENT ON TABLE ar.decoration_usage IS 'How often each decoration was in an answer to a phone, by hour; nothing about who asked or from where.';
COMMENT ON COLUMN ar.decoration_usage.hour IS 'Start of the hour.';
COMMENT ON COLUMN ar.decoration_usage.decoration_id IS 'The decoration.';
COMMENT ON COLUMN ar.decoration_usage.h3_r7 IS 'The decoration''s own H3 cell at resolution 7.';
COMMENT ON COLUMN ar.decoration_usage.answers IS 'Answers of `nearby` that it was in.';
SELECT ar.make_daily_partitions('ar.decoration_usage', 7);

CREATE FUNCTION ar.drop_daily_partitions(parent regclass, keep interval) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    part record;
    dropped integer := 0;
BEGIN
    FOR part IN
        SELECT i.inhrelid::regclass AS name, to_date(right(c.relname, 8), 'YYYYMMDD') + 1 AS ends
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = parent AND c.relname ~ '_[0-9]{8}$'
    LOOP
        IF part.ends::timestamp AT TIME ZONE 'UTC' <= now() - keep THEN
            EXECUTE format('DROP TABLE %s', part.name);
            dropped := dropped + 1;
        END IF;
    END LOOP;
    RETURN dropped;
END $$;
COMMENT ON FUNCTION ar.drop_daily_partitions(regclass, interval) IS 'Drops the daily partitions in which nothing is younger than `keep`; returns how many.';

INSERT INTO ar.meta (key, value) VALUES ('density_published_until', to_char(date_bin('15 minutes', now(), 'epoch') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'));
COMMENT ON TABLE ar.meta IS 'Facts about this database itself: `epoch` (changes when it was restored from a backup), `sql_layer` (digest of the applied files of sql/), `density_published_until` (end of the last quarter-hour in gis.device_density).';
