CREATE VIEW gis.region_parts AS
SELECT p.region_code, p.part
FROM ar.region_parts p;
COMMENT ON VIEW gis.region_parts IS 'Regions cut into pieces of at most 128 vertices: join with these rather than with borders.';
