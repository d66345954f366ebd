//! What geometry costs on our side of the wire: EWKB to and from geo-types, beside the crate `postgis` (made
//! for another driver; here only to compare with), H3 cells of a position, and a cell's outline.
//! Run by `cargo bench --bench geo`.
//!
//! Values come from a real row: that is the only way in which the service gets them.

mod support;

use std::hint::black_box;

use ar_supervisor::geo::{Cells, Geog, Geom};
use criterion::{Criterion, Throughput};
use geo_types::{LineString, MultiPolygon, Point, Polygon};
use postgis::ewkb::{self, EwkbRead as _};
use sqlx::postgres::{PgArgumentBuffer, PgRow};
use sqlx::{ConnectOptions as _, Encode, Postgres, Row as _};
use support::database::BenchCluster;
use support::random::{Random, SQUARE};
use support::{Outcome, load};

/// As in the service's own program: a decoded value is an allocation or two.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let cluster = BenchCluster::start()?;
    let (point, border) = (Geog(Point::from(SQUARE.place(&mut Random::new(1)))), Geom(border()));
    // Fetched once; decoding a row again costs what it costs the first time.
    let row = runtime.block_on(async {
        let database = cluster.database(&SQUARE, 1_000).await?;
        let mut connection = cluster.options(&database).connect().await?;
        Ok::<PgRow, Box<dyn std::error::Error + Send + Sync>>(
            sqlx::query("SELECT $1::geography, $2::geometry").bind(&point).bind(&border).fetch_one(&mut connection).await?,
        )
    })?;
    let bytes = |column: usize| row.try_get_raw(column).ok().and_then(|value| value.as_bytes().ok().map(<[u8]>::to_vec)).ok_or("no value");
    let (point_bytes, border_bytes) = (bytes(0)?, bytes(1)?);
    same_values(&row, &border_bytes)?;

    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("point");
    group.bench_function("encode", |bencher| bencher.iter(|| encode(black_box(&point))));
    group.bench_function("decode", |bencher| bencher.iter(|| black_box(&row).get::<Geog<Point>, _>(0)));
    group.bench_function("decode by crate postgis", |bencher| {
        bencher.iter(|| ewkb::Point::read_ewkb(&mut black_box(point_bytes.as_slice())));
    });
    group.finish();

    let mut group = criterion.benchmark_group(format!("multipolygon of {} vertices", load::REGION_VERTICES));
    group.throughput(Throughput::Bytes(border_bytes.len() as u64));
    group.bench_function("encode", |bencher| bencher.iter(|| encode(black_box(&border))));
    group.bench_function("decode", |bencher| bencher.iter(|| black_box(&row).get::<Geom<MultiPolygon>, _>(1)));
    group.bench_function("decode by crate postgis", |bencher| {
        bencher.iter(|| ewkb::MultiPolygon::read_ewkb(&mut black_box(border_bytes.as_slice())));
    });
    group.finish();

    let mut random = Random::new(2);
    let mut group = criterion.benchmark_group("cells");
    group.bench_function("of a position, r5 r7 r9", |bencher| {
        bencher.iter_batched(|| SQUARE.place(&mut random), Cells::of, criterion::BatchSize::SmallInput);
    });
    group.bench_function("outline", |bencher| {
        let cell = Cells::of(SQUARE.place(&mut Random::new(3))).r7;
        bencher.iter(|| black_box(cell).outline());
    });
    group.finish();
    criterion.final_summary();
    Ok(())
}

fn border() -> MultiPolygon {
    let ring: LineString = load::region_ring(&SQUARE).into_iter().collect();
    MultiPolygon(vec![Polygon::new(ring, Vec::new())])
}

fn encode<'q, T: Encode<'q, Postgres>>(value: &T) -> PgArgumentBuffer {
    let mut buffer = PgArgumentBuffer::default();
    let null = value.encode_by_ref(&mut buffer).expect("it encodes");
    assert!(!null.is_null());
    buffer
}

/// Ours and theirs read the same vertices.
fn same_values(row: &PgRow, border_bytes: &[u8]) -> Outcome<()> {
    let Geom(ours) = row.try_get::<Geom<MultiPolygon>, _>(1)?;
    let theirs = ewkb::MultiPolygon::read_ewkb(&mut &*border_bytes)?;
    let ours: Vec<(f64, f64)> = ours.0.iter().flat_map(|polygon| polygon.exterior().0.iter().map(|c| (c.x, c.y))).collect();
    let theirs: Vec<(f64, f64)> =
        theirs.polygons.iter().flat_map(|polygon| &polygon.rings).flat_map(|ring| ring.points.iter().map(|p| (p.x, p.y))).collect();
    if ours == theirs { Ok(()) } else { Err("the two decoders disagree".into()) }
}
