//! Made-up decorations, as a large import would leave them: in random order, with real H3 cells, names and
//! addresses of plausible length, counted, vacuumed and analysed. Beside them the specification's own table
//! with the same rows, and a region of 10,000 vertices.

use std::fmt::Write as _;

use ar_supervisor::geo::{Cells, LatLng};
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Builder;

use super::Outcome;
use super::random::{Area, Random};

/// Code of the region with 10,000 vertices.
pub(crate) const REGION_CODE: &str = "BENCH-10000";
/// Its number of vertices.
pub(crate) const REGION_VERTICES: u32 = 10_000;

/// Rows of one COPY message.
const CHUNK: u64 = 2_000;

const CATEGORIES: [&str; 10] = ["historical", "art", "nature", "transport", "food", "shopping", "sports", "education", "night", "seasonal"];
const KINDS: [&str; 3] = ["3d_model", "image", "animation"];
const FIRST: [&str; 12] =
    ["Old", "Golden", "Hidden", "Singing", "Broken", "Floating", "Red", "Northern", "Little", "Royal", "Silent", "Electric"];
const SECOND: [&str; 12] =
    ["Fountain", "Gate", "Lantern", "Dragon", "Market", "Bridge", "Observatory", "Garden", "Tower", "Mural", "Carousel", "Archway"];

/// Fills an empty, migrated database.
///
/// # Errors
/// When the database fails.
pub(crate) async fn fill(connection: &mut PgConnection, area: &Area, rows: u64) -> Outcome<()> {
    run(connection, "ALTER TABLE ar.decorations DISABLE TRIGGER USER").await?;
    // Built in one go after the load, which takes a fraction of the time.
    let indexes: Vec<(String, String)> = sqlx::query_as(
        "SELECT format('%I.%I', schemaname, indexname), indexdef FROM pg_indexes
         WHERE schemaname = 'ar' AND tablename = 'decorations' AND indexname NOT IN (SELECT conname FROM pg_constraint)",
    )
    .fetch_all(&mut *connection)
    .await?;
    for (name, _) in &indexes {
        run(connection, &format!("DROP INDEX {name}")).await?;
    }
    copy(connection, area, rows).await?;
    if area.by_cell {
        run(connection, "CREATE INDEX by_cell ON ar.decorations (h3_r9); CLUSTER ar.decorations USING by_cell; DROP INDEX ar.by_cell")
            .await?;
    }
    for (_, definition) in &indexes {
        run(connection, definition).await?;
    }
    run(connection, "ALTER TABLE ar.decorations ENABLE TRIGGER USER").await?;
    // What the trigger would have noted, then folded by the function that the service calls.
    run(
        connection,
        "INSERT INTO ar.decoration_count_deltas
        SELECT ar.h3_parent(h3_r9, 5), category, asset_type, count(*),
               min(ST_Y(location::geometry)), max(ST_Y(location::geometry)), min(ST_X(location::geometry)), max(ST_X(location::geometry))
        FROM ar.decorations WHERE is_active AND deleted_at IS NULL GROUP BY 1, 2, 3",
    )
    .await?;
    while sqlx::query_scalar::<_, i64>("SELECT ar.fold_decoration_counts()").fetch_one(&mut *connection).await? > 0 {}
    if !area.by_cell {
        run(connection, SPECIFIED_TABLE).await?;
    }
    let region = format!(
        "INSERT INTO ar.regions (code, name, kind, border) VALUES ('{REGION_CODE}', 'Bench', 'custom', 'SRID=4326;{}')",
        region_wkt(area)
    );
    run(connection, &region).await?;
    run(connection, "VACUUM ANALYZE").await?;
    run(connection, "CHECKPOINT").await
}

/// The specification's table with the same rows, and its own column types.
const SPECIFIED_TABLE: &str = "CREATE SCHEMA spec;
CREATE TABLE spec.ar_decorations (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(), name VARCHAR(255) NOT NULL, description TEXT, category VARCHAR(100) NOT NULL,
    lat DECIMAL(10, 8) NOT NULL, lng DECIMAL(11, 8) NOT NULL, radius_meters INTEGER NOT NULL, height_offset DECIMAL(5, 2) DEFAULT 0.0,
    low_res_url VARCHAR(500), medium_res_url VARCHAR(500), high_res_url VARCHAR(500),
    scale_x DECIMAL(5, 2) DEFAULT 1.0, scale_y DECIMAL(5, 2) DEFAULT 1.0, scale_z DECIMAL(5, 2) DEFAULT 1.0,
    rotation_x DECIMAL(5, 2) DEFAULT 0.0, rotation_y DECIMAL(5, 2) DEFAULT 0.0, rotation_z DECIMAL(5, 2) DEFAULT 0.0,
    asset_type VARCHAR(50) NOT NULL CHECK (asset_type IN ('3d_model', 'image', 'animation')), file_size_bytes BIGINT, created_by UUID,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(), updated_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(), is_active BOOLEAN DEFAULT TRUE
);
INSERT INTO spec.ar_decorations
SELECT id, name, description, category, ST_Y(location::geometry), ST_X(location::geometry), radius_meters, height_offset,
       low_res_url, medium_res_url, high_res_url, scale_x, scale_y, scale_z, rotation_x, rotation_y, rotation_z,
       asset_type, file_size_bytes, created_by, created_at, updated_at, is_active
FROM ar.decorations";

async fn run(connection: &mut PgConnection, sql: &str) -> Outcome<()> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}

async fn copy(connection: &mut PgConnection, area: &Area, rows: u64) -> Outcome<()> {
    let mut sink = connection
        .copy_in_raw(
            "COPY ar.decorations (id, name, description, category, location, h3_r5, h3_r7, h3_r9, radius_meters, height_offset,
                low_res_url, medium_res_url, high_res_url, scale_x, scale_y, scale_z, rotation_y, asset_type, file_size_bytes,
                created_at, updated_at) FROM STDIN",
        )
        .await?;
    let mut random = Random::new(rows);
    let mut text = String::new();
    for number in 0..rows {
        let place = area.place(&mut random);
        line(&mut text, &mut random, number, place)?;
        if number % CHUNK == CHUNK - 1 || number == rows - 1 {
            sink.send(std::mem::take(&mut text).into_bytes()).await?;
        }
    }
    sink.finish().await?;
    Ok(())
}

/// One row in COPY's text form.
fn line(text: &mut String, random: &mut Random, number: u64, place: LatLng) -> Outcome<()> {
    let cells = Cells::of(place);
    // Identities as the service makes them: rising in the order of arrival.
    let seconds = 1_767_225_600 + number / 100;
    let mut tail = [0; 10];
    tail[..8].copy_from_slice(&random.bits().to_be_bytes());
    let id = Builder::from_unix_timestamp_millis(seconds * 1000 + number % 100 * 10, &tail).into_uuid();
    let (first, second, category) = (random.one_of(&FIRST), random.one_of(&SECOND), random.one_of(&CATEGORIES));
    let description =
        if random.unit() < 0.7 { format!("The {first} {second} of the {category} trail, seen best at dusk.") } else { "\\N".to_owned() };
    let folder = format!("https://cdn.example.com/ar-assets/{category}/{}", id.simple());
    let scale = f64::from(u16::try_from(random.bits() % 400)?) / 100.0 + 0.25;
    let time = chrono::DateTime::from_timestamp(i64::try_from(seconds)?, 0).ok_or("a time out of range")?.format("%Y-%m-%d %H:%M:%S+00");
    write!(text, "{id}\t{first} {second} {number}\t{description}\t{category}\tSRID=4326;POINT({} {})\t", place.lng_deg(), place.lat_deg())?;
    write!(text, "{}\t{}\t{}\t", cells.r5.to_db(), cells.r7.to_db(), cells.r9.to_db())?;
    write!(
        text,
        "{}\t{:.2}\t{folder}/low.glb\t{folder}/medium.glb\t{folder}/high.glb\t",
        10 + random.bits() % 190,
        random.between(0.0, 20.0)
    )?;
    write!(text, "{scale:.2}\t{scale:.2}\t{scale:.2}\t{:.2}\t{}\t", random.between(-180.0, 180.0), random.one_of(&KINDS))?;
    writeln!(text, "{}\t{time}\t{time}", 10_000 + random.bits() % 8_000_000)?;
    Ok(())
}

/// A star-shaped border around the area's middle, wobbling at several frequencies; never crosses itself.
pub(crate) fn region_wkt(area: &Area) -> String {
    let corners: Vec<String> = region_ring(area).into_iter().map(|[lng, lat]| format!("{lng} {lat}")).collect();
    format!("MULTIPOLYGON((({})))", corners.join(","))
}

/// The corners of that border, longitude before latitude, the first again at the end.
pub(crate) fn region_ring(area: &Area) -> Vec<[f64; 2]> {
    let middle = |(least, most): (f64, f64)| f64::midpoint(least, most);
    let half = |(least, most): (f64, f64)| (most - least) / 2.0;
    let corner = |number: u32| {
        let turn = std::f64::consts::TAU * f64::from(number % REGION_VERTICES) / f64::from(REGION_VERTICES);
        let reach = 0.7 + 0.15 * (5.0 * turn).sin() + 0.05 * (61.0 * turn).sin() + 0.02 * (977.0 * turn).cos();
        [middle(area.lng_deg) + half(area.lng_deg) * reach * turn.cos(), middle(area.lat_deg) + half(area.lat_deg) * reach * turn.sin()]
    };
    (0..=REGION_VERTICES).map(corner).collect()
}
