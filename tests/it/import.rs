//! Imports: all formats alike, bad rows left out by name, good ones kept, and a second run changes nothing.

use std::io::Cursor;

use ar_supervisor::db::Db;
use ar_supervisor::decorations::import::{Format, Options, Report, import};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::{TestDb, config_of};

/// A migrated database and a pool to import through.
struct Importer {
    pool: PgPool,
    _db: TestDb,
}

impl Importer {
    async fn new() -> Self {
        let db = TestDb::create().await;
        Self { pool: Db::bulk(&config_of(db.options())), _db: db }
    }

    async fn import(&self, format: Format, text: impl Into<Vec<u8>>) -> Report {
        self.import_with(format, text, Options::default()).await
    }

    async fn import_with(&self, format: Format, text: impl Into<Vec<u8>>, options: Options) -> Report {
        import(&self.pool, Cursor::new(text.into()), format, options, |_| ()).await.expect("imports")
    }

    async fn scalar<T>(&self, sql: &'static str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.expect("a value")
    }
}

fn row(name: &str, external_id: &str) -> serde_json::Value {
    json!({"external_id": external_id, "name": name, "category": "art", "lat": 52.5, "lng": 13.4, "radius_meters": 80, "asset_type": "image"})
}

fn counts(report: &Report) -> [u64; 4] {
    [report.created, report.updated, report.unchanged, report.rejected]
}

#[tokio::test]
async fn the_three_formats_say_the_same() {
    let t = Importer::new().await;
    let ndjson = "{\"external_id\":\"a\",\"name\":\"Bär, \\\"groß\\\"\",\"category\":\"art\",\"lat\":-17.5,\"lng\":-180,\"radius_meters\":80,\"asset_type\":\"image\",\"scale_x\":1.25,\"is_active\":true}\n";
    assert_eq!(counts(&t.import(Format::NdJson, ndjson).await), [1, 0, 0, 0]);
    let csv = "\u{feff}asset_type,external_id,name,category,lat,lng,radius_meters,scale_x,description\r\nimage,a,\"Bär, \"\"groß\"\"\",art,-17.50,180,80,1.25,\r\n";
    assert_eq!(counts(&t.import(Format::Csv, csv).await), [0, 0, 1, 0]);
    let geojson = json!({"features": [{"type": "Feature", "id": "a", "geometry": {"type": "Point", "coordinates": [180, -17.5, 3]},
        "properties": {"name": "Bär, \"groß\"", "category": "art", "radius_meters": 80, "asset_type": "image", "scale_x": 1.25, "lat": 0, "h3": {}}}],
        "type": "FeatureCollection"});
    assert_eq!(counts(&t.import(Format::GeoJson, geojson.to_string()).await), [0, 0, 1, 0]);
    assert_eq!(t.scalar::<i64>("SELECT version FROM ar.decorations").await, 1, "the same content raises no version");
}

#[tokio::test]
async fn a_bad_row_is_left_out_by_name_and_the_good_ones_are_kept() {
    let t = Importer::new().await;
    let rows = [
        row("good", "1").to_string(),
        json!({"name": "", "category": "art", "lat": 95, "lng": 13.4, "radius_meters": 1.5, "asset_type": "image"}).to_string(),
        "{\"name\": broken".to_owned(),
        String::new(),
        "{\"name\":\"twice\",\"name\":\"twice\"}".to_owned(),
        format!("{{\"name\":\"{}\"}}", "x".repeat(70_000)),
        "[1]".to_owned(),
        row("also good", "2").to_string(),
    ];
    let report = t.import(Format::NdJson, rows.join("\n")).await;
    assert_eq!(counts(&report), [2, 0, 0, 5]);
    let named: Vec<(u64, &str, &str)> = report.errors.iter().map(|error| (error.row, error.field.as_str(), error.code)).collect();
    assert_eq!(
        named,
        [
            (2, "name", "empty"),
            (2, "lat", "out_of_range"),
            (2, "radius_meters", "not_an_integer"),
            (3, "", "unreadable"),
            (5, "", "unreadable"),
            (6, "", "unreadable"),
            (7, "", "unreadable"),
        ]
    );
    assert_eq!(t.scalar::<i64>("SELECT count(*) FROM gis.decorations").await, 2);
}

#[tokio::test]
async fn a_table_with_a_row_of_the_wrong_length_loses_that_row_alone() {
    let t = Importer::new().await;
    let csv = b"name,category,lat,lng,radius_meters,asset_type,colour\na,art,1,2,80,image,red\nb,art,1,2,80\n\xff,art,1,2,80,image,red\nc,art,1,2,80,image,red\n";
    let report = t.import(Format::Csv, csv.as_slice()).await;
    assert_eq!(counts(&report), [2, 0, 0, 2]);
    assert_eq!(report.errors.iter().map(|error| error.row).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(report.warnings, ["unknown columns were ignored: colour"]);
    let report = t.import(Format::Csv, "name,name\na,b\n").await;
    assert_eq!((counts(&report), report.errors[0].code), ([0, 0, 0, 1], "unreadable"));
}

#[tokio::test]
async fn a_geojson_file_that_breaks_off_keeps_what_came_before() {
    let t = Importer::new().await;
    let feature = |name: &str| {
        json!({"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}, "properties": row(name, name)}).to_string()
    };
    let text = format!(
        "{{\"type\":\"FeatureCollection\",\"features\":[{},{{\"type\":\"Feature\",\"geometry\":null}},{},{{\"type\":",
        feature("a"),
        feature("b")
    );
    let report = t.import(Format::GeoJson, text).await;
    assert_eq!(counts(&report), [2, 0, 0, 2]);
    assert_eq!(report.errors.iter().map(|error| error.row).collect::<Vec<_>>(), [2, 4]);
    let report = t.import(Format::GeoJson, "{\"type\":\"Topology\",\"features\":[]}").await;
    assert!(report.errors[0].detail.contains("FeatureCollection"), "{report:?}");
}

#[tokio::test]
async fn rows_match_by_id_then_by_external_id() {
    let t = Importer::new().await;
    let (a, b) = (Uuid::now_v7(), Uuid::now_v7());
    let with_id = |id: Uuid, mut row: serde_json::Value| {
        row["id"] = json!(id);
        row.to_string()
    };
    let first = [with_id(a, row("a", "ext-a")), with_id(b, row("b", "ext-b"))].join("\n");
    assert_eq!(counts(&t.import(Format::NdJson, first.clone()).await), [2, 0, 0, 0]);
    assert_eq!(counts(&t.import(Format::NdJson, first).await), [0, 0, 2, 0]);
    // By id, with another name; by external_id, with another name; and one that cannot be both.
    let second = [with_id(a, row("a2", "ext-a")), row("b2", "ext-b").to_string(), with_id(a, row("c", "ext-b"))].join("\n");
    let report = t.import(Format::NdJson, second).await;
    assert_eq!(counts(&report), [0, 2, 0, 1]);
    assert_eq!((report.errors[0].row, report.errors[0].code), (3, "conflict"));
    let versions: Vec<(Uuid, String, i64)> =
        sqlx::query_as("SELECT id, name::text, version FROM ar.decorations ORDER BY name").fetch_all(&t.pool).await.expect("rows");
    assert_eq!(versions, [(a, "a2".to_owned(), 2), (b, "b2".to_owned(), 2)]);
}

#[tokio::test]
async fn the_later_of_two_rows_for_one_decoration_wins() {
    let t = Importer::new().await;
    let report = t.import(Format::NdJson, [row("first", "x").to_string(), row("second", "x").to_string()].join("\n")).await;
    assert_eq!(counts(&report), [1, 1, 0, 0]);
    assert_eq!(t.scalar::<String>("SELECT name::text FROM ar.decorations").await, "second");
}

#[tokio::test]
async fn a_deleted_decoration_comes_back_as_a_new_version() {
    let t = Importer::new().await;
    t.import(Format::NdJson, row("a", "x").to_string()).await;
    sqlx::raw_sql("UPDATE ar.decorations SET deleted_at = now(), version = version + 1").execute(&t.pool).await.expect("deletes");
    assert_eq!(counts(&t.import(Format::NdJson, row("a", "x").to_string()).await), [0, 1, 0, 0]);
    assert_eq!(t.scalar::<i64>("SELECT version FROM gis.decorations").await, 3);
}

#[tokio::test]
async fn a_dry_run_tells_all_and_changes_nothing() {
    let t = Importer::new().await;
    t.import(Format::NdJson, row("a", "x").to_string()).await;
    let rows = [row("a2", "x").to_string(), row("b", "y").to_string(), "{}".to_owned()].join("\n");
    let report = t.import_with(Format::NdJson, rows, Options { dry_run: true, ..Options::default() }).await;
    assert_eq!(counts(&report), [1, 1, 0, 1]);
    assert_eq!(t.scalar::<String>("SELECT string_agg(name, ',') FROM ar.decorations").await, "a");
}

#[tokio::test]
async fn assets_off_the_cdn_are_refused() {
    let t = Importer::new().await;
    let mut off = row("a", "x");
    off["low_res_url"] = json!("https://elsewhere.example.com/a.glb");
    let options = Options { cdn_base_url: Some("https://cdn.example.com/ar".parse().expect("a URL")), ..Options::default() };
    let report = t.import_with(Format::NdJson, off.to_string(), options).await;
    assert_eq!((report.errors[0].field.as_str(), report.errors[0].code), ("low_res_url", "off_cdn"));
}

#[tokio::test]
async fn several_thousand_rows_have_cells_outlines_and_counts() {
    let t = Importer::new().await;
    let rows: Vec<String> = (0..3_500)
        .map(|i| {
            let (lat, lng) = (f64::from(i % 181) - 90.0, f64::from(i * 37 % 361) - 180.0);
            json!({"external_id": i.to_string(), "name": i.to_string(), "category": "art", "lat": lat, "lng": lng, "radius_meters": 1, "asset_type": "image"}).to_string()
        })
        .collect();
    assert_eq!(counts(&t.import(Format::NdJson, rows.join("\n")).await), [3_500, 0, 0, 0]);
    let outlines = "SELECT count(*) FROM (SELECT h3_r5 AS cell FROM ar.decorations UNION SELECT h3_r7 FROM ar.decorations
        UNION SELECT gis.h3_parent(h3_r9, r) FROM ar.decorations, unnest(ARRAY[0, 1, 2, 3, 4, 5, 7]) AS r) AS used
        LEFT JOIN ar.h3_cells c USING (cell) WHERE c.cell IS NULL OR NOT ST_IsValid(c.boundary)";
    assert_eq!(t.scalar::<i64>(outlines).await, 0, "every cell in use has a valid outline");
    let outside = "SELECT count(*) FROM ar.decorations d JOIN ar.h3_cells c ON c.cell = d.h3_r7 WHERE NOT ST_DWithin(c.boundary, d.location::geometry, 0.01)
        AND abs(ST_Y(d.location::geometry)) < 89";
    assert_eq!(t.scalar::<i64>(outside).await, 0, "a position lies in its cell's outline");
    ar_supervisor::decorations::fold_counts(&t.pool).await.expect("folds");
    assert_eq!(t.scalar::<i64>("SELECT sum(n)::bigint FROM gis.decoration_counts WHERE resolution = 0").await, 3_500);
}
