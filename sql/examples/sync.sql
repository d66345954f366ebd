-- Synchronisation: does every edge server hold what it should?

-- Who is behind, by how much and for how long?
SELECT name, pending + outdated AS due, failed, round(lag_s) AS lag_s, held_count, wanted_count, last_sync_at
FROM sync_state
WHERE pending + outdated + failed > 0
ORDER BY lag_s DESC, gid
LIMIT 10;

-- The whole system: what share of what should be at edge servers is there?
SELECT sum(wanted_count) AS wanted, sum(held_count) AS held, round(100.0 * sum(held_count) / nullif(sum(wanted_count), 0), 1) AS held_pct
FROM sync_state;

-- How did the lag develop over the last day? The worst edge server of each hour.
SELECT at, max(sync_due_max) AS due, round(max(sync_lag_max_s)) AS lag_s
FROM edge_history(now() - interval '1 day', now(), interval '1 hour')
GROUP BY at
HAVING max(sync_lag_max_s) IS NOT NULL
ORDER BY at;

-- What is missing, and what did the edge servers say?
SELECT reason, error_message, count(*) AS pairs, count(DISTINCT edge_server_id) AS edges, min(wanted_at) AS oldest
FROM sync_faults
GROUP BY reason, error_message
ORDER BY pairs DESC;

-- Where on the map do deliveries fail? (The points can be drawn as they are.)
SELECT f.edge_name, f.reason, d.name, ST_AsText(f.geom, 3) AS place
FROM sync_faults f
JOIN decorations d ON d.id = f.decoration_id
ORDER BY f.wanted_at, f.gid
LIMIT 10;
