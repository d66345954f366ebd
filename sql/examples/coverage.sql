-- Coverage: where are decorations that no edge server serves, and where do service areas overlap?
--
-- gis.coverage_by_cell has a row for each H3 cell of resolution 5 (about 250 km²) with decorations in it. Each decoration
-- was tested against the service areas themselves, so its numbers are exact. On large data ask for a box.

-- The state of things in one line: gaps, overlaps, and what nobody serves at the moment.
SELECT sum(decorations) AS decorations, sum(uncovered) AS uncovered, sum(unserved) AS unserved,
       count(*) FILTER (WHERE uncovered > 0) AS cells_with_gaps, count(*) FILTER (WHERE edges_most > 1) AS cells_with_overlaps
FROM coverage_by_cell;

-- The largest gaps: where would a new edge server help most?
SELECT h3_hex, uncovered, decorations, ST_AsText(ST_PointOnSurface(boundary), 2) AS somewhere_in_it
FROM coverage_gaps
ORDER BY uncovered DESC, cell
LIMIT 10;

-- How far is the nearest edge server from the gaps of a box? (Only the cells of the box are worked out.)
SELECT g.h3_hex, g.uncovered, e.name AS nearest_edge, round(e.distance_m / 1000) AS km
FROM coverage_gaps g
CROSS JOIN LATERAL (
    SELECT e.name, ST_Distance(e.location, ST_Centroid(g.boundary)::geography) AS distance_m
    FROM edges e ORDER BY distance_m LIMIT 1
) AS e
WHERE g.boundary && ST_MakeEnvelope(5, 45, 11, 48, 4326)
ORDER BY g.uncovered DESC, g.cell
LIMIT 10;

-- Which edge servers cover the most decorations?
SELECT e.name, e.service_radius_km, count(*) AS decorations
FROM edges e
CROSS JOIN LATERAL decorations_held(e.id, 0) AS d
GROUP BY e.gid, e.name, e.service_radius_km
ORDER BY decorations DESC, e.gid
LIMIT 10;

-- Who would serve a phone at the main station of Zürich, and what speaks for it?
SELECT name, round(score::numeric, 3) AS score, round(distance_m / 1000) AS km, load, health_status, in_service_area, reason
FROM edge_choice(8.5403, 47.3779)
ORDER BY score DESC, edge_server_id;
