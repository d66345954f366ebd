-- How far the margin in force has come, edge by edge, and how far the comparison of edges' rows with what they should hold.
ALTER TABLE ar.edge_servers ADD COLUMN covered_margin_m double precision NOT NULL DEFAULT 500
    CONSTRAINT edge_servers_covered_margin_m_range CHECK (covered_margin_m BETWEEN 0 AND 100000);
COMMENT ON COLUMN ar.edge_servers.covered_margin_m IS 'By how many metres beyond its service area its cells in edge_coverage reach at least; never less than the margin in force.';

-- All edges are marked for the margin that the cells were made with.
INSERT INTO ar.meta (key, value) SELECT 'sync_margin_marked_m', value FROM ar.meta WHERE key = 'sync_margin_m' ON CONFLICT DO NOTHING;
COMMENT ON TABLE ar.meta IS 'Facts about this database itself: `epoch` (changes when it was restored from a backup), `sql_layer` (digest of the applied files of sql/), `density_published_until` (end of the last quarter-hour in gis.device_density), `sync_margin_m` (how far beyond its service area an edge holds decorations, in metres), `sync_margin_marked_m` (the margin for which all edges were marked last).';

CREATE TABLE ar.reconciliation (
    only_row      boolean CONSTRAINT reconciliation_pkey PRIMARY KEY DEFAULT true CONSTRAINT reconciliation_only_row CHECK (only_row),
    passes        bigint NOT NULL DEFAULT 0,
    begun_at      timestamptz NOT NULL DEFAULT '-infinity',
    ended_at      timestamptz NOT NULL DEFAULT '-infinity',
    next_page_at  timestamptz NOT NULL DEFAULT '-infinity',
    after_id      uuid,
    compared      bigint NOT NULL DEFAULT 0,
    repaired      bigint NOT NULL DEFAULT 0
);
INSERT INTO ar.reconciliation DEFAULT VALUES;
COMMENT ON TABLE ar.reconciliation IS 'The comparison of what edges should hold with their rows: one pass at a time over all decorations, page by page, by whichever instance.';
COMMENT ON COLUMN ar.reconciliation.only_row IS 'There is one row.';
COMMENT ON COLUMN ar.reconciliation.passes IS 'Passes that came to their end.';
COMMENT ON COLUMN ar.reconciliation.begun_at IS 'When the present pass, or the last one, began.';
COMMENT ON COLUMN ar.reconciliation.ended_at IS 'When the last pass ended.';
COMMENT ON COLUMN ar.reconciliation.next_page_at IS 'Not before this time is the next page looked at.';
COMMENT ON COLUMN ar.reconciliation.after_id IS 'The last decoration that the present pass looked at; null when none is under way.';
COMMENT ON COLUMN ar.reconciliation.compared IS 'Decorations that this pass, or the last one, looked at.';
COMMENT ON COLUMN ar.reconciliation.repaired IS 'Pairs of edge and decoration that it put right.';
