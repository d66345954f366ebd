//! Features out of the database: one reader for all collections.
//!
//! The statements differ by collection, in their view and columns, so their text is made here and cannot be checked by
//! the compiler. It is made of the collections' descriptions alone, which are constants; whatever a request says is
//! bound as a value. A collection has a handful of texts, whatever is asked: what a request leaves out is NULL, and the
//! planner, which is to know the values, drops it.

use chrono::{DateTime, Utc};
use geo_types::{Coord, Geometry as Shapes, Line, LineString, MultiPolygon, Point, Rect};
use serde_json::Value as Json;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Arguments, AssertSqlSafe, Decode, Encode, PgConnection, Postgres, Row, Type};
use uuid::Uuid;

use super::collection::{Collection, Column, Geometry, Key, Kind, Size};
use super::feature::{Feature, Shape, Value};
use super::query::{Narrowing, Wanted};
use crate::geo::{Bounds, Cell, Geom};

/// Boxes that a box may fall into: see `parts`.
const MAX_PARTS: usize = 5;

/// Rows that are looked through for a page, at least, and for each feature of it.
const WINDOW_ROWS: i64 = 10_000;
const WINDOW_ROWS_A_FEATURE: i64 = 4;
/// So many are not gathered before the next rows were looked through, which costs about as much. The planner expects half
/// of what a box holds, because it takes `gis.in_bounds` for a coin.
const MANY_ROWS: i64 = 5_000;
/// So many are not gathered at all: nearly everywhere they are met soon, in whatever order.
const TOO_MANY_ROWS: i64 = 100_000;

/// How a page is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// As the planner thinks best.
    Planned,
    /// Among the next so many by number: of no use when few of them are wanted.
    Window(i64),
    /// All that are wanted, put in order: of no use when they are many.
    Gathered,
}

/// A page of features, in the order of their numbers, after the one with this key.
pub(super) async fn page(
    connection: &mut PgConnection,
    collection: &Collection,
    narrowing: &Narrowing,
    after: Option<i64>,
    limit: i64,
) -> Result<Vec<Feature>, sqlx::Error> {
    if collection.size == Size::Thousands || narrowing.is_nothing() {
        return page_by(connection, collection, narrowing, after, limit, Way::Planned).await;
    }
    // The planner would read in the order of the numbers until a page is full, which is at once where what is wanted lies
    // everywhere, and the whole table where it lies at its end.
    let expected = expected_rows(connection, collection, narrowing).await?;
    if expected >= MANY_ROWS {
        let window = WINDOW_ROWS.max(limit * WINDOW_ROWS_A_FEATURE);
        let page = page_by(connection, collection, narrowing, after, limit, Way::Window(window)).await?;
        if i64::try_from(page.len()) == Ok(limit) {
            return Ok(page);
        }
    }
    let way = if expected < TOO_MANY_ROWS { Way::Gathered } else { Way::Planned };
    page_by(connection, collection, narrowing, after, limit, way).await
}

/// How many features the planner expects: good statistics for a fraction of what counting takes.
async fn expected_rows(connection: &mut PgConnection, collection: &Collection, narrowing: &Narrowing) -> Result<i64, sqlx::Error> {
    let mut bound = Bound::default();
    let wanted = narrowed(&mut bound, collection, narrowing)?;
    let text = format!("EXPLAIN (FORMAT JSON) SELECT FROM {} AS v WHERE {wanted}", collection.view);
    let plan: Json = sqlx::query_scalar_with(AssertSqlSafe(text), bound.arguments).fetch_one(connection).await?;
    // It writes whole numbers.
    plan.pointer("/0/Plan/Plan Rows").and_then(Json::as_i64).ok_or_else(|| sqlx::Error::Decode("a plan without a number of rows".into()))
}

async fn page_by(
    connection: &mut PgConnection,
    collection: &Collection,
    narrowing: &Narrowing,
    after: Option<i64>,
    limit: i64,
    way: Way,
) -> Result<Vec<Feature>, sqlx::Error> {
    let (text, arguments) = page_statement(collection, narrowing, after, limit, way)?;
    let rows = sqlx::query_with(AssertSqlSafe(text), arguments).fetch_all(connection).await?;
    rows.iter().map(|row| feature(collection, row)).collect()
}

/// How many features there are.
pub(super) async fn count(connection: &mut PgConnection, collection: &Collection, narrowing: &Narrowing) -> Result<i64, sqlx::Error> {
    let mut bound = Bound::default();
    let conditions = narrowed(&mut bound, collection, narrowing)?;
    let text = format!("SELECT count(*) FROM {} AS v WHERE {conditions}", collection.view);
    sqlx::query_scalar_with(AssertSqlSafe(text), bound.arguments).fetch_one(connection).await
}

/// The one feature with this key.
pub(super) async fn one(connection: &mut PgConnection, collection: &Collection, key: i64) -> Result<Option<Feature>, sqlx::Error> {
    let text = format!("SELECT {} FROM {} AS v WHERE v.{} = $1", selected(collection), collection.view, collection.key.column());
    let row = sqlx::query(AssertSqlSafe(text)).bind(key).fetch_optional(connection).await?;
    row.map(|row| feature(collection, &row)).transpose()
}

/// A statement that is being written: its parameters are numbered as they are bound.
#[derive(Default)]
struct Bound {
    arguments: PgArguments,
}

impl Bound {
    /// Binds a value; how its parameter is written.
    fn bind<'q, T: Encode<'q, Postgres> + Type<Postgres> + 'q>(&mut self, value: T) -> Result<String, sqlx::Error> {
        self.arguments.add(value).map_err(sqlx::Error::Encode)?;
        Ok(format!("${}", self.arguments.len()))
    }
}

fn page_statement(
    collection: &Collection,
    narrowing: &Narrowing,
    after: Option<i64>,
    limit: i64,
    way: Way,
) -> Result<(String, PgArguments), sqlx::Error> {
    let mut bound = Bound::default();
    let (after, limit) = (bound.bind(after)?, bound.bind(limit)?);
    let (order, goes_on) = match collection.key {
        Key::Gid => ("v.gid", format!("v.gid > {after}")),
        // The order of the cells themselves, because a cell begins with its resolution; in the words of the index.
        Key::Cell => ("v.resolution, v.cell", format!("(v.resolution, v.cell) > (({after} >> 52) & 15, {after})")),
    };
    let goes_on = format!("({after}::bigint IS NULL OR {goes_on})");
    let wanted = narrowed(&mut bound, collection, narrowing)?;
    let (selected, view) = (selected(collection), collection.view);
    let text = match way {
        Way::Planned => format!("SELECT {selected} FROM {view} AS v WHERE {goes_on} AND {wanted} ORDER BY {order} LIMIT {limit}"),
        Way::Window(rows) => {
            let rows = bound.bind(rows)?;
            let window = format!("SELECT * FROM {view} AS v WHERE {goes_on} ORDER BY {order} LIMIT {rows}");
            format!("SELECT {selected} FROM ({window}) AS v WHERE {wanted} ORDER BY {order} LIMIT {limit}")
        }
        // OFFSET 0 keeps the order and the limit from the planner's eyes.
        Way::Gathered => {
            let all = format!("SELECT * FROM {view} AS v WHERE {goes_on} AND {wanted} OFFSET 0");
            format!("SELECT {selected} FROM ({all}) AS v ORDER BY {order} LIMIT {limit}")
        }
    };
    Ok((text, bound.arguments))
}

/// What narrows a list.
fn narrowed(bound: &mut Bound, collection: &Collection, narrowing: &Narrowing) -> Result<String, sqlx::Error> {
    let mut conditions = vec![in_box(bound, collection, narrowing.bounds)?];
    if let Some(time) = collection.time_column {
        let [from, to] = narrowing.times;
        let (from, to) = (bound.bind(from)?, bound.bind(to)?);
        conditions.push(format!("({from}::timestamptz IS NULL OR v.{time} >= {from}) AND ({to}::timestamptz IS NULL OR v.{time} <= {to})"));
    }
    for (column, wanted) in collection.filters().zip(&narrowing.filters) {
        conditions.push(is_wanted(bound, column, wanted)?);
    }
    Ok(conditions.join(" AND "))
}

/// What is read of a feature: key, geometry, and each column as the one type that its kind is read as.
fn selected(collection: &Collection) -> String {
    let (Geometry::Points(geometry) | Geometry::Areas(geometry)) = collection.geometry;
    let columns = collection.columns.iter().map(|Column { name, kind, .. }| match kind {
        Kind::Text(_) | Kind::Word(_) => format!("v.{name}::text"),
        Kind::Integer(..) => format!("v.{name}::bigint"),
        Kind::Decimal => format!("v.{name}::float8"),
        Kind::Id | Kind::Boolean | Kind::Time | Kind::Cell => format!("v.{name}"),
    });
    let key = format!("v.{}", collection.key.column());
    [key, format!("v.{geometry}")].into_iter().chain(columns).collect::<Vec<_>>().join(", ")
}

/// Whether a feature meets a box.
fn in_box(bound: &mut Bound, collection: &Collection, bounds: Option<Bounds>) -> Result<String, sqlx::Error> {
    let mut parts = bounds.map(parts).unwrap_or_default().into_iter();
    let parts: Vec<String> = (0..MAX_PARTS).map(|_| bound.bind(parts.next().map(Geom))).collect::<Result<_, _>>()?;
    let first = &parts[0];
    let met = match collection.geometry {
        Geometry::Points(geometry) => {
            let [south, west, north, east] =
                bounds.map(|b| [b.min_lat_deg(), b.min_lng_deg(), b.max_lat_deg(), b.max_lng_deg()].map(Some)).unwrap_or_default();
            let (south, west, north, east) = (bound.bind(south)?, bound.bind(west)?, bound.bind(north)?, bound.bind(east)?);
            let near: Vec<String> = parts.iter().map(|part| format!("v.{geometry} && {part}")).collect();
            // The index compares boxes of 4-byte floats: the exact edge is decided by what decides it in the rest of the API.
            let near = near.join(" OR ");
            format!("({near}) AND gis.in_bounds(ST_Y(v.{geometry}), ST_X(v.{geometry}), {south}, {west}, {north}, {east})")
        }
        Geometry::Areas(geometry) => {
            let meets: Vec<String> =
                parts.iter().map(|part| format!("v.{geometry} && {part} AND ST_Intersects(v.{geometry}, {part})")).collect();
            format!("({})", meets.join(" OR "))
        }
    };
    Ok(format!("({first}::geometry IS NULL OR {met})"))
}

/// A box as flat maps have it: cut at the antimeridian, with the other spelling of that meridian where it touches it, and
/// with the whole line that a pole is where it touches one.
fn parts(bounds: Bounds) -> Vec<Shapes<f64>> {
    let (south, north) = (bounds.min_lat_deg(), bounds.max_lat_deg());
    let (west, east) = (bounds.min_lng_deg(), bounds.max_lng_deg());
    let mut longitudes = Vec::new();
    if west > east {
        longitudes.extend([(west, 180.0), (-180.0, east)]);
    } else {
        longitudes.push((west, east));
        if west > -180.0 && east >= 180.0 {
            longitudes.push((-180.0, -180.0));
        }
        if west <= -180.0 && east < 180.0 {
            longitudes.push((180.0, 180.0));
        }
    }
    let mut parts: Vec<Shapes<f64>> = longitudes.into_iter().map(|(west, east)| shape(south, west, north, east)).collect();
    parts.extend([90.0, -90.0].into_iter().filter(|pole| [south, north].contains(pole)).map(|pole| shape(pole, -180.0, pole, 180.0)));
    parts
}

/// A box that may be as thin as a line or a point, as a valid geometry.
fn shape(south: f64, west: f64, north: f64, east: f64) -> Shapes<f64> {
    let (from, to) = (Coord { x: west, y: south }, Coord { x: east, y: north });
    let (is_thin, is_flat) = (from.x.total_cmp(&to.x).is_eq(), from.y.total_cmp(&to.y).is_eq());
    match (is_thin, is_flat) {
        (true, true) => Point(from).into(),
        (false, false) => Rect::new(from, to).to_polygon().into(),
        _ => LineString::from(Line::new(from, to)).into(),
    }
}

/// Whether a column has the wanted value, if one is wanted.
fn is_wanted(bound: &mut Bound, column: &Column, wanted: &Wanted) -> Result<String, sqlx::Error> {
    let name = column.name;
    let (value, its_type) = match wanted {
        Wanted::Id(id) => (bound.bind(*id)?, "uuid"),
        Wanted::Text(text) => (bound.bind(text.clone())?, "text"),
        Wanted::Boolean(value) => (bound.bind(*value)?, "boolean"),
        Wanted::Integer(number) => {
            let number = bound.bind(*number)?;
            // Not "=", which the planner would carry over to what the view joins, and take for twice as rare.
            return Ok(format!("({number}::bigint IS NULL OR v.{name} BETWEEN {number} AND {number})"));
        }
    };
    Ok(format!("({value}::{its_type} IS NULL OR v.{name} = {value})"))
}

fn feature(collection: &Collection, row: &PgRow) -> Result<Feature, sqlx::Error> {
    let shape = match collection.geometry {
        Geometry::Points(_) => Shape::Point(row.try_get::<Geom<Point<f64>>, _>(1)?.0),
        Geometry::Areas(_) => Shape::Area(row.try_get::<Geom<MultiPolygon<f64>>, _>(1)?.0),
    };
    let values = collection.columns.iter().enumerate().map(|(at, column)| value(row, at + 2, column.kind));
    Ok(Feature { key: row.try_get(0)?, shape, values: values.collect::<Result<_, _>>()? })
}

fn value(row: &PgRow, at: usize, kind: Kind) -> Result<Value, sqlx::Error> {
    fn read<'r, T: Decode<'r, Postgres> + Type<Postgres>>(
        row: &'r PgRow,
        at: usize,
        make: impl FnOnce(T) -> Value,
    ) -> Result<Value, sqlx::Error> {
        Ok(row.try_get::<Option<T>, _>(at)?.map_or(Value::Nothing, make))
    }
    match kind {
        Kind::Id => read::<Uuid>(row, at, Value::Id),
        Kind::Text(_) | Kind::Word(_) => read(row, at, Value::Text),
        Kind::Integer(..) => read(row, at, Value::Integer),
        Kind::Decimal => read(row, at, Value::Decimal),
        Kind::Boolean => read(row, at, Value::Boolean),
        Kind::Time => read::<DateTime<Utc>>(row, at, Value::Time),
        Kind::Cell => {
            let Some(number) = row.try_get::<Option<i64>, _>(at)? else { return Ok(Value::Nothing) };
            Cell::from_db(number).map(Value::Cell).map_err(|error| sqlx::Error::Decode(Box::new(error)))
        }
    }
}
