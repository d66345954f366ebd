//! The questions of the discovery bench: the service's statements with the values that its routes give them.

use ar_supervisor::geo::{Geog, LatLng};
use geo_types::Point;
use sqlx::error::BoxDynError;
use sqlx::postgres::PgArguments;
use sqlx::{Arguments as _, AssertSqlSafe, PgConnection};
use uuid::Uuid;

use super::random::{Area, Random, SQUARE, SQUARE_BY_CELL, WIDE};
use super::{Outcome, load, statements};

/// Rows that a mean answer of the small questions has.
pub(crate) const ANSWER_ROWS: f64 = 18.0;

/// A kind of question, asked at many places.
pub(crate) struct Question {
    /// Name in tables and in criterion's reports.
    pub(crate) name: &'static str,
    /// Where the decorations lie.
    pub(crate) area: Area,
    /// Plan mode of the service's pool that runs it.
    pub(crate) plan_cache_mode: &'static str,
    sql: String,
    arguments: fn(&mut PgArguments, Viewer) -> Result<(), BoxDynError>,
}

/// Who asks, and how large the database is.
#[derive(Clone, Copy)]
struct Viewer {
    place: LatLng,
    radius_m: f64,
}

/// As in `decorations/store.rs`.
const WINDOW_ROWS: i64 = 10_000;

const HOT: &str = "force_generic_plan";
const SHAPED: &str = "force_custom_plan";

/// Metres of a degree of latitude, near enough to size a box.
const DEGREE_M: f64 = 111_195.0;

impl Question {
    /// `nearby`: about 18 rows, first page of 50; rows in random order.
    pub(crate) fn nearby() -> Outcome<Self> {
        Self::nearby_in("nearby", SQUARE)
    }

    /// The same where the table is in the order of cells.
    pub(crate) fn nearby_by_cell() -> Outcome<Self> {
        Self::nearby_in("nearby, table by cell", SQUARE_BY_CELL)
    }

    fn nearby_in(name: &'static str, area: Area) -> Outcome<Self> {
        Self::of(name, area, HOT, "gis.decorations_near(", |arguments, viewer| {
            arguments.add(Geog(Point::from(viewer.place)))?;
            arguments.add(viewer.radius_m)?;
            no_filters(arguments)?;
            arguments.add(None::<f64>)?;
            arguments.add(None::<Uuid>)?;
            arguments.add(51_i64)
        })
    }

    /// The same by the specification's own statement.
    pub(crate) fn specified_nearby() -> Self {
        let arguments = |arguments: &mut PgArguments, viewer: Viewer| {
            arguments.add(viewer.place.lat_deg())?;
            arguments.add(viewer.place.lng_deg())?;
            arguments.add(viewer.radius_m / 1000.0)
        };
        Self { name: "haversine", area: SQUARE, plan_cache_mode: "auto", sql: statements::SPECIFIED_NEARBY.to_owned(), arguments }
    }

    /// `bounds`: about 18 rows, first page of 200.
    pub(crate) fn bounds() -> Outcome<Self> {
        Self::of("bounds", SQUARE, SHAPED, "gis.decorations_in_bounds(", |arguments, viewer| {
            // As large as the circle of `nearby`.
            let half_deg = viewer.radius_m * std::f64::consts::PI.sqrt() / 2.0 / DEGREE_M;
            let (lat, lng) = (viewer.place.lat_deg(), viewer.place.lng_deg());
            for edge_deg in [lat - half_deg, lng - half_deg, lat + half_deg, lng + half_deg] {
                arguments.add(edge_deg)?;
            }
            first_page(arguments)
        })
    }

    /// `bounds` of the whole world: everything matches, first page of 200.
    pub(crate) fn world_box() -> Outcome<Self> {
        Self::of("world box", SQUARE, SHAPED, "gis.decorations_in_bounds(", |arguments, _| {
            whole_world(arguments)?;
            first_page(arguments)
        })
    }

    /// `region` with a border of 10,000 vertices, first page of 200: as a large region is read.
    pub(crate) fn region() -> Outcome<Self> {
        Self::of("region", SQUARE, SHAPED, "gis.decorations_in_region_window(", |arguments, _| {
            arguments.add(load::REGION_CODE)?;
            first_page(arguments)?;
            arguments.add(WINDOW_ROWS)
        })
    }

    /// The same as a small region is read: all of it gathered and sorted.
    pub(crate) fn region_gathered() -> Outcome<Self> {
        Self::of("region, gathered", SQUARE, SHAPED, "gis.decorations_in_region(", |arguments, _| {
            arguments.add(load::REGION_CODE)?;
            first_page(arguments)
        })
    }

    /// `clusters` of the whole world at resolution 3: just under 5,000 cells.
    pub(crate) fn clusters() -> Outcome<Self> {
        Self::of("clusters r3", WIDE, SHAPED, "gis.decoration_clusters(", |arguments, _| clusters_of_the_world(arguments, 3))
    }

    /// The same at resolution 4, which is refused: more than 5,000 cells.
    pub(crate) fn refused_clusters() -> Outcome<Self> {
        Self::of("clusters r4, refused", WIDE, SHAPED, "gis.decoration_clusters(", |arguments, _| clusters_of_the_world(arguments, 4))
    }

    fn of(
        name: &'static str,
        area: Area,
        plan_cache_mode: &'static str,
        function: &str,
        arguments: fn(&mut PgArguments, Viewer) -> Result<(), BoxDynError>,
    ) -> Outcome<Self> {
        Ok(Self { name, area, plan_cache_mode, sql: statements::calling(function)?, arguments })
    }

    /// Asks once, at the next random place; the answer's rows.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn ask(&self, connection: &mut PgConnection, rows: u64, random: &mut Random) -> Outcome<Vec<sqlx::postgres::PgRow>> {
        let mut arguments = PgArguments::default();
        let viewer = Viewer { place: self.area.place(random), radius_m: self.area.radius_m_for(ANSWER_ROWS, rows).round() };
        (self.arguments)(&mut arguments, viewer)?;
        Ok(sqlx::query_with(AssertSqlSafe(self.sql.as_str()), arguments).fetch_all(connection).await?)
    }
}

fn no_filters(arguments: &mut PgArguments) -> Result<(), BoxDynError> {
    arguments.add(None::<&str>)?;
    arguments.add(None::<&str>)
}

fn first_page(arguments: &mut PgArguments) -> Result<(), BoxDynError> {
    no_filters(arguments)?;
    arguments.add(None::<Uuid>)?;
    arguments.add(201_i64)
}

fn whole_world(arguments: &mut PgArguments) -> Result<(), BoxDynError> {
    [-90.0, -180.0, 90.0, 180.0].into_iter().try_for_each(|edge_deg: f64| arguments.add(edge_deg))
}

fn clusters_of_the_world(arguments: &mut PgArguments, resolution: i32) -> Result<(), BoxDynError> {
    whole_world(arguments)?;
    arguments.add(resolution)?;
    no_filters(arguments)?;
    arguments.add(5_001_i64)
}
