-- Load: how are devices spread over edge servers?
--
-- Devices stand for people. An edge server with fewer than ten is told as empty, here and in every sum, so that nobody
-- can be watched; load and shares follow from what is told.

-- The fullest edge servers, and how far they are above the mean.
SELECT name, region, current_connections, max_connections, round(load::numeric, 3) AS load, round(load_above_mean::numeric, 3) AS above_mean,
       health_status, draining
FROM load_by_edge
ORDER BY load DESC, gid
LIMIT 10;

-- By the operator's region label: does each carry its share?
SELECT region, edges, edges_healthy, current_connections, max_connections, round(load::numeric, 3) AS load,
       round(100 * share_of_capacity::numeric, 1) AS capacity_pct, round(100 * share_of_devices::numeric, 1) AS devices_pct
FROM load_by_region
ORDER BY current_connections DESC, region;

-- How uneven is it in one number? Standard deviation of the loads divided by their mean; 0 is even.
SELECT count(*) AS edges, round(avg(load)::numeric, 4) AS mean_load, round((stddev_pop(load) / nullif(avg(load), 0))::numeric, 2) AS imbalance
FROM edges;

-- How many devices were connected over the last day, by hour?
SELECT date_trunc('hour', recorded_at) AS hour, max(devices_connected) AS devices
FROM system_samples
WHERE recorded_at >= now() - interval '1 day'
GROUP BY hour
ORDER BY hour;
