CREATE VIEW gis.decoration_usage AS
SELECT u.hour, u.decoration_id, u.h3_r7 AS cell, gis.h3_hex(u.h3_r7) AS hex, u.answers,
       d.name, d.category, d.location::geometry(Point, 4326) AS geom, gis.h3_hex(u.h3_r7) AS h3_hex, u.gid
FROM ar.published_usage u
LEFT JOIN ar.decorations d ON d.id = u.decoration_id AND d.is_active AND d.deleted_at IS NULL;
COMMENT ON VIEW gis.decoration_usage IS 'How often each decoration was in an answer to a phone, by hour and by the decoration''s own H3 cell (resolution 7). Only hours that are over, and only decorations that at least ten different networks asked about in that hour (a phone''s address; of IPv6 its /64): what one phone alone is answered would tell where that phone is. What is left out is nowhere here, and nothing is corrected later. Admins see all counts by the API.';
COMMENT ON COLUMN gis.decoration_usage.hour IS 'Start of the hour.';
COMMENT ON COLUMN gis.decoration_usage.decoration_id IS 'The decoration.';
COMMENT ON COLUMN gis.decoration_usage.cell IS 'H3 cell of the decoration at resolution 7, as it was then.';
COMMENT ON COLUMN gis.decoration_usage.hex IS 'The cell in its usual hexadecimal form; h3_hex is the same.';
COMMENT ON COLUMN gis.decoration_usage.answers IS 'Answers of `nearby` that it was in.';
COMMENT ON COLUMN gis.decoration_usage.name IS 'Its title now; null when it is no longer active.';
COMMENT ON COLUMN gis.decoration_usage.category IS 'Its category now; null when it is no longer active.';
COMMENT ON COLUMN gis.decoration_usage.geom IS 'Its position now, EPSG:4326; null when it is no longer active.';
COMMENT ON COLUMN gis.decoration_usage.h3_hex IS 'The cell in its usual hexadecimal form.';
COMMENT ON COLUMN gis.decoration_usage.gid IS 'Number for GIS tools, never given twice.';
