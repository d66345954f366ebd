//! Worlds with people in them: the same but for those who are fewer than ten in their place.

use ar_supervisor::geo::{Cells, Geog};
use ar_supervisor::metrics::{publish_density, publish_usage};
use chrono::{DateTime, TimeDelta, Utc};
use geo_types::Point;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use uuid::Uuid;

use super::super::run;
use crate::support::{TestDb, migrated_apart, position};

/// How a world differs from the plain one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variant {
    Plain,
    /// As many people, but the few are elsewhere and others, and everybody stands some metres aside.
    Shuffled,
    /// One person more, alone in a place and with a device at a small edge.
    OneMore,
}

/// What an attacker knows: places that are of interest, and times.
#[derive(Clone)]
pub(super) struct Known {
    /// r7 cells: first those where few are, then those of crowds.
    pub(super) cells: Vec<i64>,
    pub(super) buckets: Vec<DateTime<Utc>>,
    /// Where somebody may be: latitude, longitude.
    pub(super) places: Vec<(f64, f64)>,
    pub(super) decorations: Vec<Uuid>,
    pub(super) edges: Vec<Uuid>,
}

/// A world.
pub(super) struct World {
    pub(super) variant: Variant,
    pub(super) db: TestDb,
    /// Of the database.
    pub(super) name: String,
    pub(super) known: Known,
    /// Texts that no answer may contain: positions, devices, people, and the cells in which only few are.
    pub(super) secrets: Vec<String>,
}

/// People in each place, plainly, and when the few are elsewhere. Only numbers below ten differ, and they add up to the same.
const PEOPLE: [(usize, usize); 16] = [
    (1, 0),
    (0, 1),
    (2, 3),
    (5, 4),
    (8, 9),
    (9, 8),
    (3, 3),
    (9, 9),
    (10, 10),
    (11, 11),
    (14, 14),
    (30, 30),
    (10, 10),
    (7, 6),
    (4, 5),
    (12, 12),
];
/// Devices at each edge likewise.
const AT_EDGES: [(i32, i32); 6] = [(3, 4), (7, 6), (1, 2), (9, 8), (10, 10), (250, 250)];
/// Askers about each decoration likewise, as bits.
const ASKERS: [(u64, u64); 5] = [(0x1, 0x10), (0x7f, 0x1fe), (0x1ff, 0xff), (0x3ff, 0x3ff), (0xffff, 0xffff)];
const BUCKETS: i32 = 4;

/// The time all worlds are made for.
#[expect(clippy::disallowed_methods, reason = "a test's own time, the same for all worlds it makes")]
pub(super) fn base_time() -> DateTime<Utc> {
    let now = Utc::now().timestamp();
    DateTime::from_timestamp(now - now.rem_euclid(900), 0).expect("a time")
}

/// Two towns in the sea, where no decoration is; each place in the middle of a cell of its own, and neighbours below
/// common ancestors.
fn place(number: usize) -> (f64, f64) {
    let (town, n) = (number / 8, number % 8);
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let (row, column, town) = ((n / 4) as f64, (n % 4) as f64, town as f64);
    let middle = Cells::of(position(-31.5 + 0.06 * row + 20.0 * town, -17.25 + 0.06 * column)).r7.centre();
    (middle.lat_deg(), middle.lng_deg())
}

impl World {
    pub(super) async fn make(variant: Variant, base: DateTime<Utc>, prepare: &str) -> Self {
        let db = migrated_apart().await;
        // One connection: several would put rows on other pages than in the next world.
        let sql = PgPoolOptions::new().max_connections(1).connect_lazy_with(db.options());
        let maker = Maker { variant, base, sql: &sql };
        let (decorations, edges) = maker.things().await;
        let secrets = maker.people(&edges).await;
        maker.usage(&decorations).await;
        publish_density(&sql).await.expect("publishes");
        publish_usage(&sql).await.expect("publishes");
        run(&sql, "ANALYZE").await;
        if !prepare.is_empty() {
            run(&sql, prepare).await;
        }
        let published: i64 = sqlx::query_scalar("SELECT count(*) FROM gis.device_density").fetch_one(&sql).await.expect("counts");
        assert_eq!(published, 6 * i64::from(BUCKETS), "the crowds are published");
        let usage: i64 = sqlx::query_scalar("SELECT count(*) FROM gis.decoration_usage").fetch_one(&sql).await.expect("counts");
        assert_eq!(usage, 2);
        let name = sqlx::query_scalar("SELECT current_database()::text").fetch_one(&sql).await.expect("a name");
        sql.close().await;
        let mut cells: Vec<(bool, i64)> = PEOPLE.iter().enumerate().map(|(n, people)| (people.0 >= 10, r7(place(n)))).collect();
        cells.sort_unstable();
        let known = Known {
            cells: cells.into_iter().map(|(_, cell)| cell).collect(),
            buckets: (1..=BUCKETS).map(|n| base - TimeDelta::minutes(15) * (n + 1)).collect(),
            places: (0..PEOPLE.len()).map(place).collect(),
            decorations,
            edges,
        };
        Self { variant, db, name, known, secrets }
    }
}

fn r7((lat, lng): (f64, f64)) -> i64 {
    Cells::of(position(lat, lng)).r7.to_db()
}

struct Maker<'a> {
    variant: Variant,
    base: DateTime<Utc>,
    sql: &'a PgPool,
}

impl Maker<'_> {
    fn choose<T>(&self, (plain, shuffled): (T, T)) -> T {
        if self.variant == Variant::Shuffled { shuffled } else { plain }
    }

    /// Decorations and edges, the same in all worlds, and what edges said.
    async fn things(&self) -> (Vec<Uuid>, Vec<Uuid>) {
        let ids =
            |of: u128, count: usize| (1..=count).map(|n| Uuid::from_u128(of << 64 | u128::try_from(n).expect("small"))).collect::<Vec<_>>();
        let (decorations, edges) = (ids(0xdec0, ASKERS.len()), ids(0xed6e, AT_EDGES.len()));
        for (n, id) in decorations.iter().enumerate() {
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let (lat, lng) = (48.0 + n as f64 * 0.1, 11.0);
            let cells = Cells::of(position(lat, lng));
            sqlx::query(
                "INSERT INTO ar.decorations (id, name, category, location, h3_r5, h3_r7, h3_r9, radius_meters, asset_type, created_at, updated_at)
                 VALUES ($1, 'd', 'art', $2, $3, $4, $5, 100, 'image', $6, $6)",
            )
            .bind(id)
            .bind(Geog(Point::new(lng, lat)))
            .bind(cells.r5.to_db())
            .bind(cells.r7.to_db())
            .bind(cells.r9.to_db())
            .bind(self.base)
            .execute(self.sql)
            .await
            .expect("a decoration");
        }
        for (n, id) in edges.iter().enumerate() {
            let (lat, lng) = place(n * 2);
            let at = self.choose(AT_EDGES[n]) + i32::from(self.variant == Variant::OneMore && n == 0);
            run(
                self.sql,
                &format!(
                    "INSERT INTO ar.edge_servers (id, name, region, api_url, websocket_url, location, service_area, max_connections, created_at, updated_at)
                     VALUES ('{id}', 'e{n}', 'r{}', 'https://e', 'wss://e', ST_MakePoint({lng}, {lat}), gis.circle_area(ST_MakePoint({lng}, {lat})::geography, 5000), 500, '{base}', '{base}');
                     UPDATE ar.edge_health_changes SET changed_at = '{base}';
                     UPDATE ar.edge_load SET current_connections = {at}, reported_connections = {at}, updated_at = '{base}' WHERE edge_server_id = '{id}';
                     INSERT INTO ar.system_metrics (edge_server_id, metric_type, metric_value, recorded_at)
                     SELECT '{id}', m.kind, m.value, date_trunc('day', '{base}'::timestamptz AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' + t.n * interval '1 minute'
                     FROM generate_series(1, 5) AS t (n), LATERAL (VALUES ('cpu', 20 + t.n), ('connections', {at}), ('bandwidth', {at} * 1.5)) AS m (kind, value);",
                    n % 2,
                    base = self.base.to_rfc3339(),
                ),
            )
            .await;
        }
        run(
            self.sql,
            &format!(
                "INSERT INTO ar.system_metrics (metric_type, metric_value, recorded_at)
                 SELECT 'devices_connected', {}, date_trunc('day', '{}'::timestamptz AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' + n * interval '1 minute' FROM generate_series(1, 5) AS n",
                self.choose((3, 4)),
                self.base.to_rfc3339()
            ),
        )
        .await;
        (decorations, edges)
    }

    /// Who is where now and in the last quarter-hours; the secrets of it.
    async fn people(&self, edges: &[Uuid]) -> Vec<String> {
        for table in ["device_presence", "decoration_usage"] {
            run(
                self.sql,
                &format!(
                    "DO $$ DECLARE day date := (now() AT TIME ZONE 'UTC')::date - 1; BEGIN
                         EXECUTE format('CREATE TABLE IF NOT EXISTS ar.{table}_%s PARTITION OF ar.{table} FOR VALUES FROM (%L) TO (%L)',
                             to_char(day, 'YYYYMMDD'), day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
                     END $$"
                ),
            )
            .await;
        }
        run(
            self.sql,
            r#"UPDATE ar.meta SET value = to_char(now() AT TIME ZONE 'UTC' - interval '12 hours', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') WHERE key LIKE '%_published_until'"#,
        )
        .await;
        let mut secrets = Vec::new();
        let mut number = 0_u128;
        for (n, people) in PEOPLE.iter().enumerate() {
            let count = self.choose(*people) + usize::from(self.variant == Variant::OneMore && n == 1);
            let cell = r7(place(n));
            if count < 10 {
                secrets.extend([cell.to_string(), format!("{cell:x}")]);
            }
            for person in 0..count {
                number += 1;
                // Others are about in the other world.
                let user = Uuid::from_u128(self.choose((0xaaaa, 0xbbbb)) << 80 | number);
                #[expect(clippy::cast_precision_loss, reason = "small numbers")]
                let aside = (person as f64).mul_add(1e-5, self.choose((1.234_567e-4, 7.654_321e-4)));
                let (lat, lng) = (place(n).0 + aside, place(n).1 - aside);
                assert_eq!(r7((lat, lng)), cell, "aside, but in the same cell");
                let device = format!("phone-{number}-{}", user.simple());
                self.device(&device, user, (lat, lng), edges[n % edges.len()]).await;
                let point = format!("{lng:.6}");
                secrets.extend([user.to_string(), device, point]);
                sqlx::query(
                    "INSERT INTO ar.device_presence SELECT $1 - (n + 1) * interval '15 minutes', $2, $3 FROM generate_series(1, $4) AS n",
                )
                .bind(self.base)
                .bind(cell)
                .bind(user)
                .bind(BUCKETS)
                .execute(self.sql)
                .await
                .expect("presence");
            }
        }
        secrets
    }

    async fn device(&self, device: &str, user: Uuid, (lat, lng): (f64, f64), edge: Uuid) {
        sqlx::query(
            "WITH u AS (INSERT INTO ar.users (id, email, password_hash, full_name, role) VALUES ($2, $2 || '@example.org', 'x', 'U', 'user') RETURNING id)
             INSERT INTO ar.device_connections (device_id, user_id, edge_server_id, position, cell_centre, h3_r7, h3_r9, positioned_at)
             SELECT $1, u.id, $3, $4, $4, $5, $6, $7 FROM u",
        )
        .bind(device)
        .bind(user)
        .bind(edge)
        .bind(Geog(Point::new(lng, lat)))
        .bind(r7((lat, lng)))
        .bind(Cells::of(position(lat, lng)).r9.to_db())
        .bind(self.base)
        .execute(self.sql)
        .await
        .expect("a device");
    }

    /// Answers of the last hours.
    async fn usage(&self, decorations: &[Uuid]) {
        let cell = r7((48.0, 11.0));
        for (id, askers) in decorations.iter().zip(ASKERS) {
            let crowd = askers.0.count_ones() >= 10;
            let answers = if crowd { 500 } else { self.choose((40, 90)) };
            let askers = self.choose(askers).cast_signed();
            run(
                self.sql,
                &format!(
                    "INSERT INTO ar.decoration_usage (hour, decoration_id, h3_r7, answers, askers)
                     VALUES (date_trunc('hour', '{}'::timestamptz) - interval '2 hours', '{id}', {cell}, {answers}, ({askers})::bigint::bit(64))",
                    self.base.to_rfc3339()
                ),
            )
            .await;
        }
    }
}
