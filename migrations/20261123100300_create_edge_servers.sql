-- Edge servers: what an admin set (edge_servers), what changes every second (edge_load), who may speak
-- for one (edge_keys, edge_sessions) and which H3 cells it may be asked about (edge_coverage).
CREATE TABLE ar.edge_servers (
    id                 uuid CONSTRAINT edge_servers_pkey PRIMARY KEY DEFAULT gen_random_uuid(),
    name               varchar(255) NOT NULL CONSTRAINT edge_servers_name_not_blank CHECK (name <> ''),
    region             varchar(100) NOT NULL CONSTRAINT edge_servers_region_not_blank CHECK (region <> ''),
    api_url            varchar(500) NOT NULL,
    websocket_url      varchar(500) NOT NULL,
    location           geography(Point, 4326) NOT NULL CONSTRAINT edge_servers_location_canonical CHECK (
        ST_Y(location::geometry) BETWEEN -90 AND 90
        AND ST_X(location::geometry) > -180 AND ST_X(location::geometry) <= 180
        AND (abs(ST_Y(location::geometry)) < 90 OR ST_X(location::geometry) = 0)),
    service_radius_km  double precision NOT NULL DEFAULT 5 CONSTRAINT edge_servers_service_radius_km_range
        CHECK (service_radius_km BETWEEN 0.01 AND 999.99 AND service_radius_km = round(service_radius_km::numeric, 2)::double precision),
    service_area       geography(MultiPolygon, 4326) NOT NULL,
    service_area_given boolean NOT NULL DEFAULT false,
    max_connections    integer NOT NULL DEFAULT 100 CONSTRAINT edge_servers_max_connections_range CHECK (max_connections BETWEEN 1 AND 1000000),
    health_status      varchar(50) NOT NULL DEFAULT 'unknown' CONSTRAINT edge_servers_health_status_known
        CHECK (health_status IN ('healthy', 'degraded', 'offline', 'unknown')),
    health_reason      varchar(255),
    health_check_url   varchar(500),
    last_health_check  timestamptz,
    last_ping          timestamptz,
    cpu_usage          double precision CONSTRAINT edge_servers_cpu_usage_range CHECK (cpu_usage BETWEEN 0 AND 100),
    memory_usage       double precision CONSTRAINT edge_servers_memory_usage_range CHECK (memory_usage BETWEEN 0 AND 100),
    draining           boolean NOT NULL DEFAULT false,
    is_active          boolean NOT NULL DEFAULT true,
    version            bigint NOT NULL DEFAULT 1 CONSTRAINT edge_servers_version_range CHECK (version >= 1),
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now(),
    deleted_at         timestamptz
);
CREATE INDEX edge_servers_location_gist ON ar.edge_servers USING gist (location) WHERE is_active AND deleted_at IS NULL;
CREATE INDEX edge_servers_service_area_gist ON ar.edge_servers USING gist (service_area) WHERE is_active AND deleted_at IS NULL;
CREATE INDEX edge_servers_geometry_gist ON ar.edge_servers USING gist ((location::geometry(Point, 4326)));
CREATE INDEX edge_servers_region_folded_idx ON ar.edge_servers (lower(region COLLATE "und-x-icu"));
COMMENT ON TABLE ar.edge_servers IS 'Edge servers, as admins set them up and as they were last heard.';
COMMENT ON COLUMN ar.edge_servers.id IS 'Identity, UUID v7 when the service makes it.';
COMMENT ON COLUMN ar.edge_servers.name IS 'Name shown to people.';
COMMENT ON COLUMN ar.edge_servers.region IS 'Operator''s label, such as `eu-central`.';
COMMENT ON COLUMN ar.edge_servers.api_url IS 'Where phones reach it over HTTP.';
COMMENT ON COLUMN ar.edge_servers.websocket_url IS 'Where phones reach it over WebSocket.';
COMMENT ON COLUMN ar.edge_servers.location IS 'Where it stands, WGS 84.';
COMMENT ON COLUMN ar.edge_servers.service_radius_km IS 'Radius of its service area in kilometres, two decimals, when no area was given.';
COMMENT ON COLUMN ar.edge_servers.service_area IS 'The area given; else a polygon around the circle, which narrows a search. The circle itself is ST_DWithin(location, point, radius).';
COMMENT ON COLUMN ar.edge_servers.service_area_given IS 'True: the polygon decides. False: the circle does.';
COMMENT ON COLUMN ar.edge_servers.max_connections IS 'Most devices it takes.';
COMMENT ON COLUMN ar.edge_servers.health_status IS '`healthy`, `degraded`, `offline` or `unknown`.';
COMMENT ON COLUMN ar.edge_servers.health_reason IS 'Why it is so.';
COMMENT ON COLUMN ar.edge_servers.health_check_url IS 'What is probed, if anything.';
COMMENT ON COLUMN ar.edge_servers.last_health_check IS 'Last probe.';
COMMENT ON COLUMN ar.edge_servers.last_ping IS 'Last beat, by the database''s clock.';
COMMENT ON COLUMN ar.edge_servers.cpu_usage IS 'CPU in use at the last beat, per cent.';
COMMENT ON COLUMN ar.edge_servers.memory_usage IS 'Memory in use at the last beat, per cent.';
COMMENT ON COLUMN ar.edge_servers.draining IS 'True: gets no new devices and hands over those it has.';
COMMENT ON COLUMN ar.edge_servers.is_active IS 'False: kept, but chosen by nobody.';
COMMENT ON COLUMN ar.edge_servers.version IS 'Rises by one at every change by an admin; the ETag.';
COMMENT ON COLUMN ar.edge_servers.created_at IS 'When it was registered.';
COMMENT ON COLUMN ar.edge_servers.updated_at IS 'When an admin last changed it.';
COMMENT ON COLUMN ar.edge_servers.deleted_at IS 'When it was removed; its history stays.';

CREATE TABLE ar.edge_load (
    edge_server_id       uuid CONSTRAINT edge_load_pkey PRIMARY KEY CONSTRAINT edge_load_edge_server_id_fkey REFERENCES ar.edge_servers (id) ON DELETE CASCADE,
    current_connections  integer NOT NULL DEFAULT 0 CONSTRAINT edge_load_current_connections_range CHECK (current_connections >= 0),
    reported_connections integer NOT NULL DEFAULT 0 CONSTRAINT edge_load_reported_connections_range CHECK (reported_connections >= 0),
    updated_at           timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
COMMENT ON TABLE ar.edge_load IS 'Counters of an edge, apart from its wide row because they change all the time.';
COMMENT ON COLUMN ar.edge_load.edge_server_id IS 'The edge.';
COMMENT ON COLUMN ar.edge_load.current_connections IS 'Devices assigned to it by us.';
COMMENT ON COLUMN ar.edge_load.reported_connections IS 'Connections it says it has.';
COMMENT ON COLUMN ar.edge_load.updated_at IS 'When a counter last changed.';

CREATE FUNCTION ar.begin_edge_load() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ar.edge_load (edge_server_id) VALUES (NEW.id);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION ar.begin_edge_load() IS 'Every edge has its row of counters from the start.';
CREATE TRIGGER edge_servers_begin_load AFTER INSERT ON ar.edge_servers
    FOR EACH ROW EXECUTE FUNCTION ar.begin_edge_load();

CREATE TABLE ar.edge_coverage (
    h3_cell        bigint NOT NULL CONSTRAINT edge_coverage_h3_cell_resolution CHECK (h3_cell >> 52 IN (133, 135, 137)),
    edge_server_id uuid NOT NULL CONSTRAINT edge_coverage_edge_server_id_fkey REFERENCES ar.edge_servers (id) ON DELETE CASCADE,
    CONSTRAINT edge_coverage_pkey PRIMARY KEY (h3_cell, edge_server_id)
);
CREATE INDEX edge_coverage_edge_server_id_idx ON ar.edge_coverage (edge_server_id);
COMMENT ON TABLE ar.edge_coverage IS 'H3 cells that cover an edge''s service area grown by the sync margin, at the finest of resolutions 9, 7, 5 that needs at most 2,000. A position''s candidates are the edges at its own cells of these resolutions; the geography decides.';
COMMENT ON COLUMN ar.edge_coverage.h3_cell IS 'H3 cell at resolution 5, 7 or 9.';
COMMENT ON COLUMN ar.edge_coverage.edge_server_id IS 'The edge.';

CREATE TABLE ar.edge_keys (
    id             uuid CONSTRAINT edge_keys_pkey PRIMARY KEY DEFAULT gen_random_uuid(),
    edge_server_id uuid NOT NULL CONSTRAINT edge_keys_edge_server_id_fkey REFERENCES ar.edge_servers (id) ON DELETE CASCADE,
    key_hash       bytea NOT NULL CONSTRAINT edge_keys_key_hash_key UNIQUE CONSTRAINT edge_keys_key_hash_sha256 CHECK (octet_length(key_hash) = 32),
    created_at     timestamptz NOT NULL DEFAULT now(),
    expires_at     timestamptz
);
CREATE INDEX edge_keys_edge_server_id_idx ON ar.edge_keys (edge_server_id);
COMMENT ON TABLE ar.edge_keys IS 'Keys with which edges sign in; two live ones during a rotation.';
COMMENT ON COLUMN ar.edge_keys.id IS 'The key''s public half, part of its text.';
COMMENT ON COLUMN ar.edge_keys.edge_server_id IS 'The edge it speaks for.';
COMMENT ON COLUMN ar.edge_keys.key_hash IS 'SHA-256 of the secret.';
COMMENT ON COLUMN ar.edge_keys.created_at IS 'When it was made.';
COMMENT ON COLUMN ar.edge_keys.expires_at IS 'When it stops to work; null for the current one.';

CREATE TABLE ar.edge_sessions (
    edge_server_id uuid CONSTRAINT edge_sessions_pkey PRIMARY KEY CONSTRAINT edge_sessions_edge_server_id_fkey REFERENCES ar.edge_servers (id) ON DELETE CASCADE,
    session_id     uuid NOT NULL,
    instance_id    uuid NOT NULL,
    generation     bigint NOT NULL,
    connected_at   timestamptz NOT NULL DEFAULT now(),
    lease_until    timestamptz NOT NULL
);
COMMENT ON TABLE ar.edge_sessions IS 'Which instance holds an edge''s socket, by a lease on the database''s clock.';
COMMENT ON COLUMN ar.edge_sessions.edge_server_id IS 'The edge.';
COMMENT ON COLUMN ar.edge_sessions.session_id IS 'Its connection.';
COMMENT ON COLUMN ar.edge_sessions.instance_id IS 'The server that holds the socket.';
COMMENT ON COLUMN ar.edge_sessions.generation IS 'Rises at every takeover; writes of an older generation are void.';
COMMENT ON COLUMN ar.edge_sessions.connected_at IS 'When it connected.';
COMMENT ON COLUMN ar.edge_sessions.lease_until IS 'When the session counts as lost unless renewed.';
