CREATE VIEW gis.region_seams AS
SELECT s.region_code, s.seam, s.gid
FROM ar.region_seams s;
COMMENT ON VIEW gis.region_seams IS 'Where a region touches longitude -180 or a pole, in the spelling that positions there are stored in: longitude 180, and longitude 0 at a pole. decorations_in_region looks here too.';
COMMENT ON COLUMN gis.region_seams.region_code IS 'Code of the region.';
COMMENT ON COLUMN gis.region_seams.seam IS 'A line along longitude 180, of no length where the region touches it in a point, or at a pole; EPSG:4326.';
COMMENT ON COLUMN gis.region_seams.gid IS 'Number for GIS tools; another one when the region''s border was changed.';
