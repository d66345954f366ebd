CREATE VIEW gis.regions AS
SELECT r.code, r.name, r.kind, r.parent_code, r.border, r.gid
FROM ar.regions r;
COMMENT ON VIEW gis.regions IS 'Countries, their first-level divisions and areas that admins drew, with plain latitude/longitude borders.';
