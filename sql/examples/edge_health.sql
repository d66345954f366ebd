-- Health of edge servers, now and over time.

-- Who is not well, since when, and why?
SELECT name, health_status, health_reason, changed_at AS since, round(lasted_s) AS seconds
FROM edge_health_changes
WHERE until IS NULL AND health_status <> 'healthy'
ORDER BY lasted_s DESC, gid;

-- What share of the last day was each edge server healthy? The worst first.
SELECT name, round(100 * (sum(covered_s) FILTER (WHERE health_status = 'healthy') / sum(covered_s))::numeric, 1) AS healthy_pct,
       count(*) - 1 AS changes
FROM (
    SELECT name, edge_server_id, health_status,
           extract(epoch FROM coalesce(until, now()) - greatest(changed_at, now() - interval '1 day')) AS covered_s
    FROM edge_health_changes
    WHERE coalesce(until, now()) > now() - interval '1 day'
) AS day
GROUP BY edge_server_id, name
HAVING sum(covered_s) > 0
ORDER BY healthy_pct NULLS FIRST, name
LIMIT 10;

-- Why do edge servers fall ill?
SELECT health_status, health_reason, count(*) AS times, round(avg(lasted_s) / 60) AS minutes_on_average
FROM edge_health_changes
WHERE health_status <> 'healthy'
GROUP BY health_status, health_reason
ORDER BY times DESC;

-- CPU and memory of the last day by hour, ready to chart and to draw (QGIS's temporal controller takes `at`).
SELECT name, at, round(cpu_pct) AS cpu_pct, round(cpu_max_pct) AS cpu_max_pct, round(memory_pct) AS memory_pct, connections_max, health_status
FROM edge_health_history
ORDER BY cpu_max_pct DESC NULLS LAST, gid
LIMIT 10;

-- Any other time, in buckets of any length: the last six hours by quarter-hour, of all edge servers together.
SELECT at, round(avg(cpu_pct)) AS cpu_pct, max(cpu_max_pct) AS cpu_max_pct, max(clock_skew_s) AS clock_skew_s
FROM edge_history(now() - interval '6 hours', now(), interval '15 minutes')
GROUP BY at
ORDER BY at;

-- The single samples behind that. There are many: ask for a time.
SELECT e.name, s.recorded_at, s.cpu_pct, s.memory_pct, s.connections, s.bandwidth_mbps
FROM edge_samples s
JOIN edges e ON e.id = s.edge_server_id
WHERE s.recorded_at >= now() - interval '30 minutes' AND s.cpu_pct IS NOT NULL
ORDER BY s.recorded_at DESC, e.gid
LIMIT 10;
