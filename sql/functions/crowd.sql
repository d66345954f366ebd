CREATE FUNCTION gis.crowd(people bigint) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
-- The service, which reads schema ar anyway, counts exactly with the same views.
RETURN CASE WHEN people >= 10 OR has_schema_privilege('ar', 'USAGE') THEN people ELSE 0 END;
COMMENT ON FUNCTION gis.crowd(bigint) IS 'A count of people, or of what stands for them, as it is told: ten or more exactly, fewer as 0. Whoever may read schema ar is told all.';
