CREATE FUNCTION gis.edge_history(since timestamptz, until timestamptz, step interval)
RETURNS TABLE (
    edge_server_id uuid, at timestamptz, samples bigint,
    cpu_pct double precision, cpu_max_pct double precision, memory_pct double precision, memory_max_pct double precision,
    connections double precision, connections_max integer, bandwidth_mbps double precision, clock_skew_s double precision,
    sync_due_max bigint, sync_lag_max_s double precision
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT s.edge_server_id, date_bin(edge_history.step, s.recorded_at, 'epoch'), count(*),
           avg(s.cpu_pct), max(s.cpu_pct), avg(s.memory_pct), max(s.memory_pct),
           avg(s.connections), max(s.connections), avg(s.bandwidth_mbps), max(s.clock_skew_s),
           max(s.sync_due), max(s.sync_lag_s)
    FROM gis.edge_samples s
    WHERE s.recorded_at >= edge_history.since AND s.recorded_at < edge_history.until
    GROUP BY s.edge_server_id, 2;
END;
COMMENT ON FUNCTION gis.edge_history(timestamptz, timestamptz, interval) IS 'Health of every edge server over time in buckets of a length (up to days, whole multiples since 1970): means and greatest values of gis.edge_samples, and how far the sync was behind at the most. Per cent, connections, Mbit/s, seconds.';
