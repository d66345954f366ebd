CREATE FUNCTION gis.edge_health(
    beat_age_s double precision, interval_s double precision,
    cpu_usage double precision, memory_usage double precision,
    failed_probes integer, socket_lost boolean, good_beats integer, was text
)
RETURNS TABLE (health_status text, health_reason text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE
               WHEN reason = 'never_heard' THEN 'unknown'
               WHEN reason = 'silent' THEN 'offline'
               WHEN reason IS NULL THEN 'healthy'
               ELSE 'degraded'
           END, reason
    FROM (
        SELECT CASE
            WHEN beat_age_s IS NULL THEN 'never_heard'
            WHEN beat_age_s > 3.5 * interval_s THEN 'silent'
            WHEN beat_age_s > 1.5 * interval_s THEN 'late_beat'
            WHEN socket_lost THEN 'socket_lost'
            WHEN cpu_usage >= 90 THEN 'cpu_high'
            WHEN memory_usage >= 90 THEN 'memory_high'
            WHEN failed_probes >= 2 THEN 'probe_failed'
            -- One failed probe does not fell a healthy edge, but lets none rise.
            WHEN was = 'healthy' THEN NULL
            WHEN failed_probes > 0 THEN 'probe_failed'
            WHEN was <> 'unknown' AND good_beats < 2 THEN 'recovering'
        END AS reason
    ) AS judged;
END;
COMMENT ON FUNCTION gis.edge_health(double precision, double precision, double precision, double precision, integer, boolean, integer, text) IS 'Health of an edge server and why: from the age of its last beat and the interval between beats (seconds; null: never heard), CPU and memory in per cent, failed probes in a row, whether its socket broke, good beats in a row, and what it was. Falling is immediate; rising again takes two good beats.';
