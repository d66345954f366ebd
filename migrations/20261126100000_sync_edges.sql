-- What an edge holds by our books, as a digest that costs nothing to ask for; and snapshots that are not complete.
CREATE FUNCTION ar.sync_digest(decoration_id uuid, version bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN ('x' || encode(substr(sha256(uuid_send(decoration_id) || int8send(version)), 1, 8), 'hex'))::bit(64)::bigint;
COMMENT ON FUNCTION ar.sync_digest(uuid, bigint) IS 'The first 8 bytes of SHA-256(id ‖ number as 8 bytes big-endian), as a signed number; a set''s digest is their XOR.';

ALTER TABLE ar.decoration_sync
    ADD COLUMN held_digest bigint GENERATED ALWAYS AS (ar.sync_digest(decoration_id, synced_version)) STORED;
COMMENT ON COLUMN ar.decoration_sync.held_digest IS 'The pair''s part of the digest of what the edge holds; null when it holds none.';
COMMENT ON COLUMN ar.decoration_sync.synced_version IS 'Number of the state that the edge has acknowledged to hold; null when it holds none. (A removal that was acknowledged leaves no row.)';

ALTER TABLE ar.edge_servers ADD COLUMN snapshot_due boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN ar.edge_servers.snapshot_due IS 'The edge is to get all of its content, and has not acknowledged the end of it yet.';

-- Removals that were acknowledged before this: their rows are no longer kept.
DELETE FROM ar.decoration_sync WHERE wanted = 'remove' AND sync_status = 'synced';

INSERT INTO ar.meta (key, value) VALUES ('sync_margin_m', '500') ON CONFLICT DO NOTHING;

-- Edges that an admin has sent all of their content anew: too much for one transaction, so it is noted here and done in
-- pieces. A table of its own, because beats write ar.edge_servers all the time.
CREATE TABLE ar.sync_resends (
    edge_server_id uuid CONSTRAINT sync_resends_pkey PRIMARY KEY
        CONSTRAINT sync_resends_edge_server_id_fkey REFERENCES ar.edge_servers (id) ON DELETE CASCADE,
    done_up_to     uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000'
);
COMMENT ON TABLE ar.sync_resends IS 'Edges all of whose content is being given new numbers, in pieces by decoration; a row goes with the last piece.';
COMMENT ON COLUMN ar.sync_resends.edge_server_id IS 'The edge.';
COMMENT ON COLUMN ar.sync_resends.done_up_to IS 'The last decoration of the pieces that are done.';
