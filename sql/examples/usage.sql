-- Usage: which decorations do phones get to see?
--
-- gis.decoration_usage counts answers by hour. An hour is in it once it is over, and of it only the decorations that at
-- least ten different networks were answered: one phone's answers would tell where it is.

-- The most seen decorations of the last day.
SELECT name, category, sum(answers) AS answers, count(*) AS hours
FROM decoration_usage
WHERE hour >= now() - interval '1 day' AND name IS NOT NULL
GROUP BY decoration_id, name, category
ORDER BY answers DESC, name
LIMIT 10;

-- By hour of the day (UTC).
SELECT extract(hour FROM hour AT TIME ZONE 'UTC') AS hour_utc, sum(answers) AS answers, count(DISTINCT decoration_id) AS decorations
FROM decoration_usage
GROUP BY hour_utc
ORDER BY hour_utc;

-- Which hexagons were looked at most? Joined with their outlines, to draw.
SELECT u.h3_hex, sum(u.answers) AS answers, count(DISTINCT u.decoration_id) AS decorations, ST_AsText(ST_PointOnSurface(c.boundary), 2) AS somewhere_in_it
FROM decoration_usage u
JOIN h3_cells c ON c.cell = u.cell
WHERE u.hour >= now() - interval '1 day'
GROUP BY u.h3_hex, c.boundary
ORDER BY answers DESC
LIMIT 10;

-- Which categories draw most, for how much there is of them?
SELECT u.category, u.answers, d.decorations, round(u.answers::numeric / d.decorations, 1) AS answers_each
FROM (SELECT category, sum(answers) AS answers FROM decoration_usage WHERE category IS NOT NULL GROUP BY category) AS u
JOIN (SELECT category, count(*) AS decorations FROM decorations GROUP BY category) AS d USING (category)
ORDER BY answers_each DESC;
