-- GIS tools name a feature by a whole number: QGIS by its key column, vector tiles and GDAL by a feature id.
ALTER TABLE ar.decorations ADD COLUMN gid bigint GENERATED ALWAYS AS IDENTITY, ADD CONSTRAINT decorations_gid_key UNIQUE (gid);
COMMENT ON COLUMN ar.decorations.gid IS 'Number for GIS tools, never given twice.';
ALTER TABLE ar.edge_servers ADD COLUMN gid bigint GENERATED ALWAYS AS IDENTITY, ADD CONSTRAINT edge_servers_gid_key UNIQUE (gid);
COMMENT ON COLUMN ar.edge_servers.gid IS 'Number for GIS tools, never given twice.';
ALTER TABLE ar.regions ADD COLUMN gid bigint GENERATED ALWAYS AS IDENTITY, ADD CONSTRAINT regions_gid_key UNIQUE (gid);
COMMENT ON COLUMN ar.regions.gid IS 'Number for GIS tools, never given twice.';
COMMENT ON SEQUENCE ar.decorations_gid_seq IS 'Numbers of decorations for GIS tools.';
COMMENT ON SEQUENCE ar.edge_servers_gid_seq IS 'Numbers of edge servers for GIS tools.';
COMMENT ON SEQUENCE ar.regions_gid_seq IS 'Numbers of regions for GIS tools.';
