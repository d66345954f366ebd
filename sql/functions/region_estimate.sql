CREATE FUNCTION gis.region_estimate(region_code text) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    -- By the middles of some thousand cells at the most: enough to tell a large region from a small one.
    SELECT coalesce(sum(t.n), 0)::bigint
    FROM gis.decoration_totals t
    WHERE t.resolution = 2
      AND EXISTS (
          SELECT FROM gis.region_parts p
          WHERE p.region_code = region_estimate.region_code
            AND ST_Intersects(p.part, ST_SetSRID(ST_MakePoint((t.min_lng_deg + t.max_lng_deg) / 2, (t.min_lat_deg + t.max_lat_deg) / 2), 4326))
      );
END;
COMMENT ON FUNCTION gis.region_estimate(text) IS 'Roughly how many active decorations a region holds, from the counts by cell at resolution 2; nothing for a region smaller than such a cell.';
