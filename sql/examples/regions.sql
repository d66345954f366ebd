-- Regions: what is in which country, division or drawn area?

-- Which countries have the most decorations? Inside or on the border, counted when asked.
SELECT code, name, decorations, categories, round(decorations / area_km2 * 1000) AS per_1000_km2
FROM region_counts
WHERE kind = 'country'
ORDER BY decorations DESC, code
LIMIT 10;

-- Which countries have none?
SELECT count(*) AS countries_without_decorations
FROM region_counts
WHERE kind = 'country' AND decorations = 0;

-- An area that an admin drew, with what it holds.
SELECT c.code, c.name, c.decorations, r.category, r.in_category
FROM region_counts c
CROSS JOIN LATERAL (
    SELECT category, count(*) AS in_category FROM decorations_in_region(c.code) GROUP BY category
) AS r
WHERE c.kind = 'custom'
ORDER BY c.code, r.in_category DESC, r.category;

-- What does a word mean? The lowest rank is what the service takes.
SELECT rank, code, name, kind
FROM regions_named('germany')
ORDER BY rank, code;

-- How many decorations has each country, and how many of them does an edge server's area hold? For a few large ones.
SELECT c.name, c.decorations,
       (SELECT count(*) FROM decorations_in_region(c.code) d WHERE EXISTS (
            SELECT FROM edges e
            WHERE e.service_area && d.location AND ST_DWithin(e.location, d.location, e.service_radius_km * 1000))) AS within_reach
FROM (SELECT code, name, decorations FROM region_counts WHERE kind = 'country' ORDER BY decorations DESC, code LIMIT 5) AS c
ORDER BY c.decorations DESC, c.code;
