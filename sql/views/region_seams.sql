CREATE VIEW gis.region_seams AS
SELECT s.region_code, s.seam
FROM ar.region_seams s;
COMMENT ON VIEW gis.region_seams IS 'Where a region touches longitude -180 or a pole, in the spelling that positions there are stored in: longitude 180, and longitude 0 at a pole. decorations_in_region looks here too.';
