-- Phones. The exact position is not indexed: it moves all the time, and an index on it would make every
-- update twice as dear (no HOT). Searches go by the centre of its H3 cell, which rarely changes.
CREATE TABLE ar.device_connections (
    device_id         varchar(255) CONSTRAINT device_connections_pkey PRIMARY KEY CONSTRAINT device_connections_device_id_not_blank CHECK (device_id <> ''),
    id                uuid NOT NULL DEFAULT gen_random_uuid(),
    user_id           uuid CONSTRAINT device_connections_user_id_fkey REFERENCES ar.users (id) ON DELETE SET NULL,
    edge_server_id    uuid CONSTRAINT device_connections_edge_server_id_fkey REFERENCES ar.edge_servers (id) ON DELETE SET NULL,
    connected_at      timestamptz NOT NULL DEFAULT now(),
    last_ping         timestamptz NOT NULL DEFAULT now(),
    position          geography(Point, 4326),
    accuracy_meters   double precision CONSTRAINT device_connections_accuracy_meters_range CHECK (accuracy_meters BETWEEN 0 AND 1e7),
    recorded_at       timestamptz,
    cell_centre       geography(Point, 4326),
    h3_r7             bigint CONSTRAINT device_connections_h3_r7_is_r7 CHECK (h3_r7 >> 52 = 135),
    h3_r9             bigint CONSTRAINT device_connections_h3_r9_is_r9 CHECK (h3_r9 >> 52 = 137),
    connection_status varchar(50) NOT NULL DEFAULT 'connected' CONSTRAINT device_connections_connection_status_known
        CHECK (connection_status IN ('connected', 'disconnected', 'error')),
    app_version       varchar(50),
    device_info       jsonb CONSTRAINT device_connections_device_info_is_object CHECK (jsonb_typeof(device_info) = 'object')
) WITH (fillfactor = 50);
CREATE INDEX device_connections_cell_centre_gist ON ar.device_connections USING gist (cell_centre);
CREATE INDEX device_connections_edge_server_id_idx ON ar.device_connections (edge_server_id);
CREATE INDEX device_connections_user_id_idx ON ar.device_connections (user_id);
COMMENT ON TABLE ar.device_connections IS 'One row a device: where it is and which edge serves it.';
COMMENT ON COLUMN ar.device_connections.device_id IS 'The device''s own name.';
COMMENT ON COLUMN ar.device_connections.id IS 'The connection''s identity; not a key, so that the table can be distributed by device_id.';
COMMENT ON COLUMN ar.device_connections.user_id IS 'Whose device it is now.';
COMMENT ON COLUMN ar.device_connections.edge_server_id IS 'The edge that serves it.';
COMMENT ON COLUMN ar.device_connections.connected_at IS 'Start of this connection.';
COMMENT ON COLUMN ar.device_connections.last_ping IS 'Last sign of life, by the database''s clock.';
COMMENT ON COLUMN ar.device_connections.position IS 'Exact position, WGS 84; emptied after LOCATION_RETENTION. Not indexed on purpose.';
COMMENT ON COLUMN ar.device_connections.accuracy_meters IS 'Radius of uncertainty in metres, as the device says.';
COMMENT ON COLUMN ar.device_connections.recorded_at IS 'When the device took the fix, by its own clock.';
COMMENT ON COLUMN ar.device_connections.cell_centre IS 'Centre of the position''s r9 cell: what searches by.';
COMMENT ON COLUMN ar.device_connections.h3_r7 IS 'H3 cell of the position at resolution 7.';
COMMENT ON COLUMN ar.device_connections.h3_r9 IS 'H3 cell of the position at resolution 9.';
COMMENT ON COLUMN ar.device_connections.connection_status IS '`connected`, `disconnected` or `error`.';
COMMENT ON COLUMN ar.device_connections.app_version IS 'Version of the app.';
COMMENT ON COLUMN ar.device_connections.device_info IS 'What the device says about itself.';

CREATE TABLE ar.device_presence (
    bucket_start timestamptz NOT NULL,
    h3_r7        bigint NOT NULL CONSTRAINT device_presence_h3_r7_is_r7 CHECK (h3_r7 >> 52 = 135),
    user_id      uuid NOT NULL,
    CONSTRAINT device_presence_pkey PRIMARY KEY (bucket_start, h3_r7, user_id)
) PARTITION BY RANGE (bucket_start);
COMMENT ON TABLE ar.device_presence IS 'Who was in which r7 cell in which quarter-hour. Private: gis.device_density is what is published of it.';
COMMENT ON COLUMN ar.device_presence.bucket_start IS 'Start of the quarter-hour.';
COMMENT ON COLUMN ar.device_presence.h3_r7 IS 'H3 cell at resolution 7.';
COMMENT ON COLUMN ar.device_presence.user_id IS 'Who was there.';

-- A table and not a view: a view that suppresses small counts leaks them through EXPLAIN ANALYZE.
CREATE SCHEMA gis;
COMMENT ON SCHEMA gis IS 'What GIS analysts may read: views, functions and published tables. Made from the folder sql/ of the project; see sql/README.md there.';
CREATE TABLE gis.device_density (
    bucket_start timestamptz NOT NULL,
    cell         bigint NOT NULL CONSTRAINT device_density_cell_is_r7 CHECK (cell >> 52 = 135),
    users        integer NOT NULL CONSTRAINT device_density_users_over_threshold CHECK (users >= 10),
    CONSTRAINT device_density_pkey PRIMARY KEY (bucket_start, cell)
);
COMMENT ON TABLE gis.device_density IS 'Distinct users by H3 cell (resolution 7) and closed quarter-hour. Cells with fewer than 10 are left out before anything is written here; coarser cells are sums of these.';
COMMENT ON COLUMN gis.device_density.bucket_start IS 'Start of the quarter-hour.';
COMMENT ON COLUMN gis.device_density.cell IS 'H3 cell at resolution 7; gis.h3_hex gives its usual form.';
COMMENT ON COLUMN gis.device_density.users IS 'Distinct users seen there, 10 or more.';
