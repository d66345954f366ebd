-- Audit: who changed what, and when? A row for every act of an admin, without addresses.

-- The newest acts.
SELECT at, action, object_kind, object_id, detail
FROM audit
ORDER BY at DESC, id
LIMIT 10;

-- What is done most?
SELECT action, count(*) AS times, max(at) AS last
FROM audit
GROUP BY action
ORDER BY times DESC, action;

-- By day and actor; null is the command line, or an account that is gone.
SELECT date_trunc('day', at) AS day, actor_id, count(*) AS acts
FROM audit
GROUP BY day, actor_id
ORDER BY day, actor_id;

-- Where on the map was something edited? Acts on decorations, with their place.
SELECT a.at, a.action, d.name, ST_AsText(d.geom, 3) AS place
FROM audit a
JOIN decorations d ON d.id::text = a.object_id
WHERE a.object_kind = 'decoration'
ORDER BY a.at DESC, a.id
LIMIT 10;
