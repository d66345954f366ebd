//! Random questions of an attacker: every view, every column, filters that aim at what is hidden, sums and their
//! differences, joins, plans.

use std::fmt::Write;

use sqlx::PgConnection;

use super::worlds::Known;
use crate::support::Random;

/// Columns that tell the present time, and so differ from one question to the next.
const TIMED: [&str; 5] = ["lasted_s", "lag_s", "until", "samples", "applied_at"];

struct Column {
    name: String,
    kind: String,
}

struct View {
    name: String,
    columns: Vec<Column>,
}

/// Makes them.
pub(super) struct Questions {
    views: Vec<View>,
    random: Random,
}

impl Questions {
    /// About whatever an analyst may read.
    pub(super) async fn over(connection: &mut PgConnection, random: Random) -> Self {
        let rows: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT c.relname::text, a.attname::text, format_type(a.atttypid, NULL)
             FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
             WHERE c.relnamespace = 'gis'::regnamespace AND c.relkind IN ('r', 'v') ORDER BY c.relname, a.attnum",
        )
        .fetch_all(connection)
        .await
        .expect("reads the catalog");
        let mut views: Vec<View> = Vec::new();
        for (view, name, kind) in rows {
            if views.last().is_none_or(|last| last.name != view) {
                views.push(View { name: view, columns: Vec::new() });
            }
            if !TIMED.contains(&name.as_str()) {
                views.last_mut().expect("one is there").columns.push(Column { name, kind });
            }
        }
        assert!(views.len() >= 25, "{} views", views.len());
        Self { views, random }
    }

    /// The next, and whether all worlds must answer alike: a plan with buffers tells of pages, not of rows.
    pub(super) fn next(&mut self, known: &Known) -> (String, bool) {
        match self.random.below(10) {
            0..=2 => (self.sums(known), true),
            3..=4 => (self.groups(known), true),
            5 => (self.join(known), true),
            6 => (self.difference(known), true),
            7 => (self.function(known), true),
            8 => {
                let question = if self.random.below(2) == 0 { self.sums(known) } else { self.groups(known) };
                (format!("EXPLAIN (ANALYZE, VERBOSE, TIMING OFF, SUMMARY OFF) {question}"), true)
            }
            _ => (format!("EXPLAIN (ANALYZE, VERBOSE, BUFFERS) {}", self.groups(known)), false),
        }
    }

    fn view(&mut self) -> usize {
        // Half of them about people.
        let about_people = ["density", "usage", "load", "edges", "samples", "history"];
        loop {
            let n = self.random.below(self.views.len());
            let wanted = about_people.iter().any(|word| self.views[n].name.contains(word));
            if wanted || self.random.below(3) == 0 {
                return n;
            }
        }
    }

    /// A value to compare a column with: one that an attacker knows or guesses.
    fn value(&mut self, kind: &str, name: &str, known: &Known) -> String {
        let few = self.random.below(14);
        match kind {
            "bigint" if name.contains("cell") || name.starts_with("h3") => self.random.one_of(&known.cells).to_string(),
            "smallint" | "integer" if name == "resolution" => self.random.below(8).to_string(),
            "bigint" | "integer" | "smallint" | "numeric" | "double precision" => few.to_string(),
            "timestamp with time zone" => format!("'{}'", self.random.one_of(&known.buckets).to_rfc3339()),
            "boolean" => "true".to_owned(),
            "uuid" => format!(
                "'{}'",
                if self.random.below(2) == 0 { *self.random.one_of(&known.edges) } else { *self.random.one_of(&known.decorations) }
            ),
            "geometry" => {
                let (lat, lng) = *self.random.one_of(&known.places);
                format!("ST_Expand(ST_SetSRID(ST_MakePoint({lng}, {lat}), 4326), {})", *self.random.one_of(&[0.001, 0.03, 0.5, 20.0]))
            }
            "geography" => {
                let (lat, lng) = *self.random.one_of(&known.places);
                format!("ST_MakePoint({lng}, {lat})::geography")
            }
            "text" | "character varying" if name == "h3_hex" || name == "hex" => format!("'{:x}'", self.random.one_of(&known.cells)),
            _ => "'x'".to_owned(),
        }
    }

    fn condition(&mut self, view: usize, known: &Known) -> String {
        let mut text = "true".to_owned();
        for _ in 0..self.random.below(3) {
            let column = self.random.below(self.views[view].columns.len());
            let (name, kind) = {
                let c = &self.views[view].columns[column];
                (c.name.clone(), c.kind.clone())
            };
            let value = self.value(&kind, &name, known);
            let test = match kind.as_str() {
                "geometry" => format!("ST_Intersects({name}, {value})"),
                "geography" => format!("ST_DWithin({name}, {value}, {})", self.random.one_of(&[100.0, 5_000.0, 500_000.0])),
                "jsonb" => format!("{name} IS NOT NULL"),
                "boolean" => name,
                "double precision" if self.random.below(3) == 0 => format!("1 / ({name} - {value}) > 0"),
                _ => format!("{name} {} {value}", self.random.one_of(&["=", "<", ">", "<>", "<=", ">="])),
            };
            let join = if self.random.below(4) == 0 { "AND NOT" } else { "AND" };
            write!(text, " {join} ({test})").expect("writes");
        }
        text
    }

    /// What is asked of a column.
    fn aggregate(&mut self, view: usize) -> String {
        let column = self.random.below(self.views[view].columns.len());
        let Column { name, kind } = &self.views[view].columns[column];
        match kind.as_str() {
            "bigint" | "integer" | "smallint" | "numeric" | "double precision" => {
                format!("{}({name})", self.random.one_of(&["sum", "min", "max", "avg", "count", "stddev_pop"]))
            }
            "geometry" => format!("ST_AsText(ST_Extent({name}))"),
            "boolean" => format!("bool_or({name})"),
            "uuid" | "text" | "character varying" | "timestamp with time zone" => format!("count(DISTINCT {name})"),
            _ => format!("count({name})"),
        }
    }

    fn sums(&mut self, known: &Known) -> String {
        let view = self.view();
        let (a, b, condition) = (self.aggregate(view), self.aggregate(view), self.condition(view, known));
        format!("SELECT count(*), {a}, {b} FROM gis.{} WHERE {condition}", self.views[view].name)
    }

    fn groups(&mut self, known: &Known) -> String {
        let view = self.view();
        let comparable: Vec<String> = self.views[view]
            .columns
            .iter()
            .filter(|c| !["geometry", "geography", "jsonb"].contains(&c.kind.as_str()))
            .map(|c| c.name.clone())
            .collect();
        let by = self.random.one_of(&comparable).clone();
        let (a, condition) = (self.aggregate(view), self.condition(view, known));
        let having = *self.random.one_of(&["", " HAVING count(*) < 10", " HAVING count(*) = 1"]);
        format!("SELECT {by}, count(*), {a} FROM gis.{} WHERE {condition} GROUP BY {by}{having}", self.views[view].name)
    }

    fn join(&mut self, known: &Known) -> String {
        let (left, right) = (self.view(), self.view());
        let shared: Vec<String> = self.views[left]
            .columns
            .iter()
            .filter(|l| {
                !["geometry", "geography", "jsonb"].contains(&l.kind.as_str())
                    && self.views[right].columns.iter().any(|r| r.name == l.name && r.kind == l.kind)
            })
            .map(|l| l.name.clone())
            .collect();
        let on = if shared.is_empty() {
            "true".to_owned()
        } else {
            let by = self.random.one_of(&shared);
            format!("a.{by} = b.{by}")
        };
        let kind = *self.random.one_of(&["JOIN", "LEFT JOIN", "FULL JOIN"]);
        let kind = if on == "true" { "JOIN" } else { kind };
        let condition = self.condition(left, known);
        format!(
            "SELECT count(*), count(b.*) FROM (SELECT * FROM gis.{} WHERE {condition}) AS a {kind} gis.{} AS b ON {on}",
            self.views[left].name, self.views[right].name
        )
    }

    /// A sum less nearly all of its parts.
    fn difference(&mut self, known: &Known) -> String {
        let (cell, bucket) = (*self.random.one_of(&known.cells), self.random.one_of(&known.buckets).to_rfc3339());
        let resolution = self.random.below(6);
        match self.random.below(4) {
            0 => format!(
                "SELECT (SELECT sum(users) FROM gis.device_density_sums WHERE bucket_start = '{bucket}' AND resolution = {resolution} AND cell = gis.h3_parent({cell}, {resolution}))
                      - (SELECT sum(users) FROM gis.device_density WHERE bucket_start = '{bucket}' AND gis.h3_parent(cell, {resolution}) = gis.h3_parent({cell}, {resolution}) AND cell <> {cell})"
            ),
            1 => format!(
                "SELECT a.cell, a.users - b.users FROM gis.device_density a JOIN gis.device_density b ON b.cell = a.cell AND b.bucket_start = a.bucket_start + interval '15 minutes'
                 WHERE a.bucket_start = '{bucket}'"
            ),
            2 => "SELECT (SELECT sum(current_connections) FROM gis.edges) - (SELECT sum(current_connections) FROM gis.load_by_region WHERE region <> 'r1')".to_owned(),
            _ => format!(
                "SELECT (SELECT max(devices_connected) FROM gis.system_samples) - (SELECT sum(connections) FROM gis.edge_samples WHERE edge_server_id <> '{}')",
                self.random.one_of(&known.edges)
            ),
        }
    }

    fn function(&mut self, known: &Known) -> String {
        let (lat, lng) = *self.random.one_of(&known.places);
        let (edge, bucket) = (*self.random.one_of(&known.edges), self.random.one_of(&known.buckets).to_rfc3339());
        match self.random.below(6) {
            0 => format!("SELECT name, load, load_score, score, reason FROM gis.edge_choice({lng}, {lat})"),
            1 => format!(
                "SELECT load, preference, reason FROM gis.edge_choice(ST_MakePoint({lng}, {lat})::geography, NULL, 1e6, 0, 1, 0, '{edge}')"
            ),
            2 => format!(
                "SELECT edge_server_id, connections, connections_max, bandwidth_mbps FROM gis.edge_history('{bucket}'::timestamptz - interval '1 day', '{bucket}', interval '5 minutes')"
            ),
            3 => format!("SELECT gis.crowd({0}), gis.crowd(n) FROM generate_series(0, 12) AS n", self.random.below(12)),
            4 => format!("SELECT edge_server_id, in_service_area FROM gis.edges_in_reach({lng}, {lat}, 100000)"),
            _ => format!("SELECT id, distance_m FROM gis.decorations_near({lng}, {lat}, 500000)"),
        }
    }
}
