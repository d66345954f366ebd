CREATE FUNCTION gis.regions_named(wanted text)
RETURNS TABLE (code varchar, name varchar, kind varchar, rank integer)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT r.code, r.name, r.kind, 1
    FROM gis.regions r
    WHERE lower(r.code COLLATE "und-x-icu") = lower(wanted COLLATE "und-x-icu")
    UNION ALL
    SELECT r.code, r.name, r.kind, CASE WHEN r.kind = 'country' THEN 2 ELSE 3 END
    FROM gis.regions r
    WHERE lower(r.name COLLATE "und-x-icu") = lower(wanted COLLATE "und-x-icu");
END;
COMMENT ON FUNCTION gis.regions_named(text) IS 'Regions that a word may mean, whatever its case: rank 1 by code, 2 a country by name, 3 another region by name. The lowest rank is meant; several of it are ambiguous.';
