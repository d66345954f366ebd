-- The analysts' contract, in the order in which its files build on each other. `ar-supervisor migrate`
-- drops and makes it anew in one transaction whenever a file changed; psql -f does the same by hand
-- (into a database without it). A result of another shape gets a new function name.
\ir functions/h3_resolution.sql
\ir functions/h3_parent.sql
\ir functions/h3_first_r9.sql
\ir functions/h3_last_r9.sql
\ir functions/h3_hex.sql
\ir functions/h3_cell.sql
\ir functions/in_bounds.sql
\ir functions/circle_area.sql
\ir views/decorations.sql
\ir views/decoration_counts.sql
\ir views/decoration_totals.sql
\ir views/h3_cells.sql
\ir views/decoration_cells.sql
\ir views/regions.sql
\ir views/region_parts.sql
\ir views/region_seams.sql
\ir views/edges.sql
\ir views/coverage.sql
\ir views/coverage_cells.sql
\ir views/device_density_cells.sql
\ir views/decoration_usage.sql
\ir views/audit.sql
\ir functions/decorations_near.sql
\ir functions/decorations_in_bounds.sql
\ir functions/decoration_clusters.sql
\ir functions/decorations_in_region.sql
\ir functions/decorations_in_region_window.sql
\ir functions/region_estimate.sql
\ir functions/decorations_in_edge_region.sql
\ir functions/regions_named.sql
\ir functions/edge_health.sql
\ir functions/edge_choice.sql
\ir functions/edges_in_reach.sql
\ir functions/edges_holding.sql
\ir roles.sql
