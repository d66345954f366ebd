-- What analysts ask about that was kept nowhere, indexes for the boxes of their maps, and nothing about where a person is.

-- How edges were over time. Not partitioned: a change is rare, and a missing partition would make a beat fail.
CREATE TABLE ar.edge_health_changes (
    gid            bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT edge_health_changes_pkey PRIMARY KEY,
    edge_server_id uuid NOT NULL CONSTRAINT edge_health_changes_edge_server_id_fkey REFERENCES ar.edge_servers (id) ON DELETE CASCADE,
    changed_at     timestamptz NOT NULL DEFAULT now(),
    was            varchar(50),
    health_status  varchar(50) NOT NULL,
    health_reason  varchar(255)
);
CREATE INDEX edge_health_changes_edge_server_id_idx ON ar.edge_health_changes (edge_server_id, changed_at);
CREATE INDEX edge_health_changes_changed_at_idx ON ar.edge_health_changes (changed_at);
COMMENT ON TABLE ar.edge_health_changes IS 'One row for every change of an edge''s health_status, appended by a trigger; kept as long as metrics are.';
COMMENT ON SEQUENCE ar.edge_health_changes_gid_seq IS 'Numbers for edge_health_changes.gid.';
COMMENT ON COLUMN ar.edge_health_changes.gid IS 'Number for GIS tools, never given twice.';
COMMENT ON COLUMN ar.edge_health_changes.edge_server_id IS 'The edge.';
COMMENT ON COLUMN ar.edge_health_changes.changed_at IS 'When, by the database''s clock.';
COMMENT ON COLUMN ar.edge_health_changes.was IS 'What it was before; null in the row of its registration.';
COMMENT ON COLUMN ar.edge_health_changes.health_status IS 'What it is since then.';
COMMENT ON COLUMN ar.edge_health_changes.health_reason IS 'Why it changed; null when it became healthy.';

CREATE FUNCTION ar.note_edge_health() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ar.edge_health_changes (edge_server_id, was, health_status, health_reason)
    VALUES (NEW.id, CASE WHEN TG_OP = 'UPDATE' THEN OLD.health_status END, NEW.health_status, NEW.health_reason);
    RETURN NULL;
END $$;
COMMENT ON FUNCTION ar.note_edge_health() IS 'Appends a change of health to edge_health_changes, whichever statement made it.';
CREATE TRIGGER edge_servers_note_registration AFTER INSERT ON ar.edge_servers
    FOR EACH ROW EXECUTE FUNCTION ar.note_edge_health();
-- Beats write all edges all the time: those whose health stays are told apart before anything is called.
CREATE TRIGGER edge_servers_note_health AFTER UPDATE OF health_status ON ar.edge_servers
    FOR EACH ROW WHEN (OLD.health_status IS DISTINCT FROM NEW.health_status) EXECUTE FUNCTION ar.note_edge_health();
-- The history begins with what is known.
INSERT INTO ar.edge_health_changes (edge_server_id, health_status, health_reason)
SELECT id, health_status, health_reason FROM ar.edge_servers WHERE deleted_at IS NULL ORDER BY gid;

-- PostGIS shows a column's statistics to whoever asks (ST_EstimatedExtent, _postgis_selectivity), whatever rights he has:
-- those of few devices are where they are. No search needs them. The other type is the same one: it drops what there is.
ALTER TABLE ar.device_connections ALTER COLUMN position SET STATISTICS 0, ALTER COLUMN cell_centre SET STATISTICS 0;
ALTER TABLE ar.device_connections ALTER COLUMN position TYPE geography(Point, 4326), ALTER COLUMN cell_centre TYPE geography(Point, 4326);

-- A decoration that one phone alone was answered tells where that phone is. So it is counted roughly how many different
-- networks asked, and only what at least ten were answered is published, once, when its hour is over.
ALTER TABLE ar.decoration_usage ADD COLUMN askers bit(64) NOT NULL DEFAULT 0::bit(64);
COMMENT ON COLUMN ar.decoration_usage.askers IS 'Each network that asked sets one of 64 bits, which one follows from its address and the hour: at least as many asked as are set. Nothing else is kept about who asked.';
COMMENT ON TABLE ar.decoration_usage IS 'How often each decoration was in an answer to a phone, by hour; from nowhere, and from whom only as a count. Private: gis.decoration_usage is what is published of it.';
CREATE TABLE ar.published_usage (
    gid           bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT published_usage_gid_key UNIQUE,
    hour          timestamptz NOT NULL,
    decoration_id uuid NOT NULL,
    h3_r7         bigint NOT NULL CONSTRAINT published_usage_h3_r7_is_r7 CHECK (h3_r7 >> 52 = 135),
    answers       bigint NOT NULL CONSTRAINT published_usage_answers_over_threshold CHECK (answers >= 10),
    CONSTRAINT published_usage_pkey PRIMARY KEY (hour, decoration_id, h3_r7)
);
CREATE INDEX published_usage_decoration_id_idx ON ar.published_usage (decoration_id, hour);
COMMENT ON TABLE ar.published_usage IS 'Of decoration_usage what analysts may read: closed hours, answers to ten different networks at least. Never corrected; kept as long as metrics are.';
COMMENT ON SEQUENCE ar.published_usage_gid_seq IS 'Numbers for published_usage.gid.';
COMMENT ON COLUMN ar.published_usage.gid IS 'Number for GIS tools, never given twice.';
COMMENT ON COLUMN ar.published_usage.hour IS 'Start of the hour.';
COMMENT ON COLUMN ar.published_usage.decoration_id IS 'The decoration.';
COMMENT ON COLUMN ar.published_usage.h3_r7 IS 'The decoration''s own H3 cell at resolution 7.';
COMMENT ON COLUMN ar.published_usage.answers IS 'Answers of `nearby` that it was in.';
INSERT INTO ar.meta (key, value) VALUES ('usage_published_until', to_char(date_trunc('hour', now() AT TIME ZONE 'UTC'), 'YYYY-MM-DD"T"HH24:MI:SS"Z"'));
COMMENT ON TABLE ar.meta IS 'Facts about this database itself: `epoch` (changes when it was restored from a backup), `sql_layer` (digest of the applied files of sql/), `density_published_until` (end of the last quarter-hour in gis.device_density), `usage_published_until` (end of the last hour in published_usage), `sync_margin_m` (how far beyond its service area an edge holds decorations, in metres), `sync_margin_marked_m` (the margin for which all edges were marked last).';

-- Pieces of regions are drawn too.
ALTER TABLE ar.region_parts ADD COLUMN gid bigint GENERATED ALWAYS AS IDENTITY, ADD CONSTRAINT region_parts_gid_key UNIQUE (gid);
ALTER TABLE ar.region_seams ADD COLUMN gid bigint GENERATED ALWAYS AS IDENTITY, ADD CONSTRAINT region_seams_gid_key UNIQUE (gid);
COMMENT ON SEQUENCE ar.region_parts_gid_seq IS 'Numbers for region_parts.gid.';
COMMENT ON SEQUENCE ar.region_seams_gid_seq IS 'Numbers for region_seams.gid.';
COMMENT ON COLUMN ar.region_parts.gid IS 'Number for GIS tools; another one when the region''s border was changed.';
COMMENT ON COLUMN ar.region_seams.gid IS 'Number for GIS tools; another one when the region''s border was changed.';

-- Word for word the expression of gis.coverage.geom, so that a map's box finds it.
CREATE INDEX edge_servers_drawn_area_gist ON ar.edge_servers USING gist ((
    CASE
        WHEN ST_DWithin(service_area, 'SRID=4326;POINT(0 90)'::geography, 0)
            THEN ST_Multi(ST_MakeEnvelope(-180, ST_YMin(service_area::geometry), 180, 90, 4326))
        WHEN ST_DWithin(service_area, 'SRID=4326;POINT(0 -90)'::geography, 0)
            THEN ST_Multi(ST_MakeEnvelope(-180, -90, 180, ST_YMax(service_area::geometry), 4326))
        ELSE service_area::geometry
    END::geometry(MultiPolygon, 4326)
)) WHERE is_active AND deleted_at IS NULL;
-- The density of the cells of a box.
CREATE INDEX device_density_cell_idx ON gis.device_density (cell, bucket_start);
