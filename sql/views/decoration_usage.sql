CREATE VIEW gis.decoration_usage AS
SELECT u.hour, u.decoration_id, u.h3_r7 AS cell, gis.h3_hex(u.h3_r7) AS hex, u.answers
FROM ar.decoration_usage u;
COMMENT ON VIEW gis.decoration_usage IS 'How often each decoration was in an answer to a phone, by hour and by the decoration''s own H3 cell (resolution 7).';
