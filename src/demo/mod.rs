//! Demo data, built in: decorations at the places of the world, countries and their divisions, edge servers
//! at hub airports. Sources and licences are in `data/README.md`. Loading goes the way of every import, and
//! loading again changes nothing.

mod places;

use std::io::Read;

use flate2::read::GzDecoder;
use geo_types::MultiPolygon;
use geozero::ToGeo;
use geozero::geojson::GeoJson;
use indicatif::ProgressBar;
use serde::Deserialize;
use serde_json::value::RawValue;
use sqlx::{PgConnection, PgPool};

use crate::db::DbError;
use crate::decorations::fold_counts;
use crate::decorations::import::{ImportError, import_contents};
use crate::edges::{self, NewEdge};
use crate::geo::LatLng;
use crate::regions::{self, Kind, NewRegion};

static PLACES: &[u8] = include_bytes!("../../data/places.csv.gz");
static REGIONS: &[u8] = include_bytes!("../../data/regions.ndjson.gz");
static AIRPORTS: &[u8] = include_bytes!("../../data/airports.csv");

/// What must be shown where the data is.
pub const ATTRIBUTION: &str =
    "Place data © GeoNames (https://www.geonames.org), licensed under CC BY 4.0. Borders made with Natural Earth.";

/// How much demo data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Size {
    /// 171,075 places, 4,836 regions, 61 edge servers.
    Full,
    /// Every fiftieth place, the countries, and the edge servers.
    Small,
    /// Nothing.
    None,
}

/// What was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// New decorations.
    pub decorations: u64,
    /// New or renewed regions.
    pub regions: usize,
    /// New edge servers.
    pub edge_servers: usize,
}

/// Why the demo data could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The built-in files are broken.
    #[error("reading the built-in demo data: {0}")]
    Data(String),
    /// The database failed.
    #[error("loading the demo data")]
    Database(#[from] DbError),
    /// Writing decorations failed.
    #[error("loading the demo's decorations")]
    Import(#[from] ImportError),
}

/// Loads what is not there yet; `None` when this database has it already.
///
/// # Errors
/// When the database fails.
pub async fn load(pool: &PgPool, size: Size, bar: &ProgressBar) -> Result<Option<Loaded>, DemoError> {
    let name = match size {
        Size::Full => "full",
        Size::Small => "small",
        Size::None => return Ok(None),
    };
    let failed = |error| DbError::new("looking for demo data", error);
    let mut connection = pool.acquire().await.map_err(failed)?;
    let present =
        sqlx::query_scalar!("SELECT value FROM ar.meta WHERE key = 'demo'").fetch_optional(&mut *connection).await.map_err(failed)?;
    if present.as_deref().is_some_and(|present| present == name || present == "full") {
        return Ok(None);
    }
    bar.println("Loading the demo data into the database; this happens once.");
    let loaded = Loaded {
        regions: load_regions(&mut connection, size, bar).await?,
        edge_servers: load_edges(&mut connection).await?,
        decorations: load_decorations(pool, size, bar).await?,
    };
    bar.set_message("counts");
    fold_counts(pool).await.map_err(failed)?;
    // So that the first requests are planned with what is there.
    sqlx::raw_sql("ANALYZE ar.decorations, ar.decoration_counts, ar.regions, ar.region_parts, ar.edge_servers, ar.h3_cells")
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    sqlx::query!("INSERT INTO ar.meta VALUES ('demo', $1) ON CONFLICT (key) DO UPDATE SET value = excluded.value", name)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    bar.finish_and_clear();
    Ok(Some(loaded))
}

fn broken(error: impl std::fmt::Display) -> DemoError {
    DemoError::Data(error.to_string())
}

#[derive(Deserialize)]
struct RegionLine {
    code: String,
    name: String,
    kind: Kind,
    parent_code: Option<String>,
    geometry: Box<RawValue>,
}

async fn load_regions(connection: &mut PgConnection, size: Size, bar: &ProgressBar) -> Result<usize, DemoError> {
    let mut text = String::new();
    GzDecoder::new(REGIONS).read_to_string(&mut text).map_err(broken)?;
    bar.set_message("regions");
    bar.set_length(text.lines().count() as u64);
    let mut loaded = 0;
    // In pieces, for the progress bar; countries come first in the file, so parents are there before children.
    let lines: Vec<&str> = text.lines().collect();
    for piece in lines.chunks(100) {
        let mut regions = Vec::with_capacity(piece.len());
        for line in piece {
            let RegionLine { code, name, kind, parent_code, geometry } = serde_json::from_str(line).map_err(broken)?;
            if size == Size::Full || kind == Kind::Country {
                let border = GeoJson(geometry.get()).to_geo().map_err(broken)?;
                let border = MultiPolygon::try_from(border).map_err(broken)?;
                regions.push(NewRegion { code, name, kind, parent_code, border });
            }
        }
        loaded += regions.len();
        regions::put_all(connection, &regions).await?;
        bar.inc(piece.len() as u64);
    }
    Ok(loaded)
}

#[derive(Deserialize)]
struct Airport {
    iata: String,
    city: String,
    region: String,
    lat: f64,
    lng: f64,
    service_radius_km: f64,
}

async fn load_edges(connection: &mut PgConnection) -> Result<usize, DemoError> {
    let present = sqlx::query_scalar!("SELECT name FROM ar.edge_servers WHERE deleted_at IS NULL").fetch_all(&mut *connection).await;
    let present = present.map_err(|error| DbError::new("looking for edge servers", error))?;
    let mut loaded = 0;
    for airport in csv::Reader::from_reader(AIRPORTS).deserialize() {
        let Airport { iata, city, region, lat, lng, service_radius_km } = airport.map_err(broken)?;
        let edge = NewEdge {
            name: format!("{city} ({iata})"),
            region,
            api_url: format!("https://{}.edge.example.com", iata.to_ascii_lowercase()),
            websocket_url: format!("wss://{}.edge.example.com/ws", iata.to_ascii_lowercase()),
            position: LatLng::new(lat, lng).map_err(broken)?,
            service_radius_km,
            max_connections: 1000,
        };
        if !present.contains(&edge.name) {
            edges::add(connection, edge).await?;
            loaded += 1;
        }
    }
    Ok(loaded)
}

async fn load_decorations(pool: &PgPool, size: Size, bar: &ProgressBar) -> Result<u64, DemoError> {
    let step = if size == Size::Full { 1 } else { 50 };
    let contents: Vec<_> = places::decorations(GzDecoder::new(PLACES), step).map_err(broken)?;
    bar.set_message("decorations");
    bar.set_position(0);
    bar.set_length(contents.len() as u64);
    let report = import_contents(pool, contents.into_iter(), |progress| bar.set_position(progress.rows)).await?;
    Ok(report.created)
}
