//! Vector tiles of a million decorations over HTTP: asked for the first time, when the database makes them, and again,
//! when they are in memory; beside the database's own time for the same statement.

use std::time::Instant;

use ar_supervisor::geo::LatLng;
use sqlx::PgConnection;

use crate::service::Service;
use crate::support::database::BenchCluster;
use crate::support::measure::{median, time_text};
use crate::support::random::{Random, SQUARE};
use crate::support::{Outcome, report};

/// Zooms, and places at each: fewer where there are fewer tiles.
const ZOOMS: [(i32, usize); 6] = [(13, 400), (12, 300), (11, 200), (9, 60), (5, 4), (0, 1)];
/// Times that a tile is asked for once it is in memory.
const AGAIN: usize = 5;

/// Measures, and writes the section.
///
/// # Errors
/// When something cannot be run.
pub(crate) async fn measure(rows: u64) -> Outcome<()> {
    let cluster = BenchCluster::start()?;
    let database = cluster.database(&SQUARE, rows).await?;
    let mut direct = cluster.connect(&database, "force_custom_plan").await?;
    sqlx::raw_sql("SET max_parallel_workers_per_gather = 0").execute(&mut direct).await?;
    let service = Service::start(&cluster, &database, 4)?;
    let client = reqwest::Client::builder().build()?;
    let mut lines = Vec::new();
    for (zoom, places) in ZOOMS {
        lines.push(one_zoom(&client, service.url(), &mut direct, zoom, places).await?);
    }
    let table = report::table(&["zoom", "tiles", "median bytes", "statement alone", "first time", "again", "first ÷ again"], &lines);
    println!("{table}");
    let machine = report::machine(&mut direct).await?;
    drop(service);
    let body = format!(
        "`AR_BENCH_ONLY=tiles cargo bench --bench compare`: {rows} decorations, tiles at random places among them, medians, one client over loopback.\n\n\
         {machine}. Database, service and client share these cores.\n\n{table}\n\n\
         - statement alone: `gis.decorations_tile` on a Unix socket, its plan made anew each time, as the service does.\n\
         - again: the tile is in memory; mostly the way over HTTP is what is left."
    );
    report::write_section("Vector tiles", &body)
}

async fn one_zoom(client: &reqwest::Client, url: &str, direct: &mut PgConnection, zoom: i32, places: usize) -> Outcome<Vec<String>> {
    let mut random = Random::new(u64::try_from(zoom)?);
    let mut tiles: Vec<(i32, i32)> = (0..places).map(|_| tile_of(zoom, SQUARE.place(&mut random))).collect();
    tiles.sort_unstable();
    tiles.dedup();
    let [mut alone, mut first, mut again, mut bytes] = [const { Vec::new() }; 4];
    for &(x, y) in &tiles {
        let started = Instant::now();
        let statement = sqlx::query_scalar::<_, Vec<u8>>("SELECT mvt FROM gis.decorations_tile($1, $2, $3)");
        let tile = statement.bind(zoom).bind(x).bind(y).fetch_one(&mut *direct).await?;
        alone.push(started.elapsed().as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "small")]
        bytes.push(tile.len() as f64);
    }
    for round in 0..=AGAIN {
        for &(x, y) in &tiles {
            let started = Instant::now();
            let answer = client.get(format!("{url}/tiles/decorations/{zoom}/{x}/{y}.mvt")).header("accept-encoding", "gzip").send().await?;
            std::hint::black_box(answer.error_for_status()?.bytes().await?);
            if round == 0 { &mut first } else { &mut again }.push(started.elapsed().as_secs_f64());
        }
    }
    let [alone, first, again] = [alone, first, again].map(|times| median(&times));
    Ok(vec![
        zoom.to_string(),
        tiles.len().to_string(),
        format!("{:.0}", median(&bytes)),
        time_text(alone),
        time_text(first),
        time_text(again),
        format!("{:.1} ×", first / again),
    ])
}

/// Column and row of the tile that a place lies in.
#[expect(clippy::cast_possible_truncation, reason = "within the map")]
fn tile_of(zoom: i32, place: LatLng) -> (i32, i32) {
    let tiles = f64::from(1 << zoom);
    let x = (place.lng_deg() + 180.0) / 360.0 * tiles;
    let y = (1.0 - place.lat_deg().to_radians().tan().asinh() / std::f64::consts::PI) / 2.0 * tiles;
    (x.floor() as i32, y.floor() as i32)
}
