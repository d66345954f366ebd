CREATE VIEW gis.region_parts AS
SELECT p.region_code, p.part, p.gid
FROM ar.region_parts p;
COMMENT ON VIEW gis.region_parts IS 'Regions cut into pieces of at most 128 vertices: join with these rather than with borders.';
COMMENT ON COLUMN gis.region_parts.region_code IS 'Code of the region it is a piece of.';
COMMENT ON COLUMN gis.region_parts.part IS 'The piece, EPSG:4326.';
COMMENT ON COLUMN gis.region_parts.gid IS 'Number for GIS tools; another one when the region''s border was changed.';
