//! Finding regions by what people call them, listing them, and putting them in.

use axum::http::StatusCode;
use geo_types::MultiPolygon;
use serde_json::value::RawValue;
use sqlx::{PgConnection, PgExecutor};

use crate::db::{Db, DbError};
use crate::geo::Geom;
use crate::http::ApiError;

/// What sort of region it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[schema(as = RegionKind)]
#[sqlx(type_name = "varchar", rename_all = "snake_case")]
pub enum Kind {
    /// A country, code ISO 3166-1 alpha-2.
    Country,
    /// A first-level division of one, code ISO 3166-2.
    Admin1,
    /// An area that an admin drew.
    Custom,
}

impl Kind {
    /// The words, for messages.
    pub(super) const WORDS: &str = "country, admin1, custom";

    /// The word on the wire and in the database.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Country => "country",
            Self::Admin1 => "admin1",
            Self::Custom => "custom",
        }
    }

    /// The kind of a word.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        [Self::Country, Self::Admin1, Self::Custom].into_iter().find(|kind| kind.as_str() == word)
    }
}

/// What the word in `region=` means.
#[derive(Clone, Debug)]
pub(crate) enum Meaning {
    /// A region, by its code as stored.
    Region(String),
    /// The label of edge servers.
    EdgeLabel(String),
}

/// A region to be put in.
#[derive(Clone, Debug)]
pub struct NewRegion {
    /// Code, unique whatever its case.
    pub code: String,
    /// Name.
    pub name: String,
    /// What sort of region.
    pub kind: Kind,
    /// The region it is part of.
    pub parent_code: Option<String>,
    /// Its area in plain latitude/longitude degrees.
    pub border: MultiPolygon<f64>,
}

/// A region as read.
pub(super) struct Region {
    pub(super) code: String,
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) parent_code: Option<String>,
    /// GeoJSON geometry.
    pub(super) border: Box<RawValue>,
}

/// Finds what a word means: a code, else a country's name, else another region's name, else a label of edges.
///
/// # Errors
/// 404 `unknown_region`; 409 `ambiguous_region` with the codes; 503 or 500 when the database fails.
pub(crate) async fn resolve(db: &Db, word: &str) -> Result<Meaning, ApiError> {
    let named = db.hot().run("finding a region by name", |connection| {
        let word = word.to_owned();
        Box::pin(async move {
            let rows = sqlx::query!(r#"SELECT code AS "code!", rank AS "rank!" FROM gis.regions_named($1) ORDER BY rank, code"#, word);
            let named = rows.fetch_all(&mut *connection).await?;
            let label = sqlx::query_scalar!(
                r#"SELECT EXISTS (SELECT FROM gis.edges WHERE lower(region COLLATE "und-x-icu") = lower($1::text COLLATE "und-x-icu")) AS "exists!""#,
                word
            );
            // The second question only when it matters.
            let is_label = named.is_empty() && label.fetch_one(connection).await?;
            Ok((named.into_iter().map(|row| (row.rank, row.code)).collect::<Vec<_>>(), is_label))
        })
    });
    let (mut named, is_label) = named.await?;
    let best_rank = named.first().map(|(rank, _)| *rank);
    named.retain(|(rank, _)| Some(*rank) == best_rank);
    let mut codes: Vec<String> = named.into_iter().map(|(_, code)| code).collect();
    match (codes.len(), is_label) {
        (0, true) => Ok(Meaning::EdgeLabel(word.to_owned())),
        (0, false) => Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "unknown_region",
            "no region has that code or name, and no edge server that label; GET /api/v1/regions lists the regions",
        )),
        (1, _) => Ok(Meaning::Region(codes.remove(0))),
        (n, _) => {
            let error =
                ApiError::new(StatusCode::CONFLICT, "ambiguous_region", format!("{n} regions have that name; ask by one of their codes"));
            Err(error.with("codes", codes))
        }
    }
}

/// Regions by code, after the given one.
pub(super) async fn list(
    executor: impl PgExecutor<'_>,
    kind: Option<Kind>,
    parent_code: Option<&str>,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<Region>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT code AS "code!", name AS "name!", kind AS "kind!: Kind", parent_code, ST_AsGeoJSON(border, 8) AS "border!"
           FROM gis.regions
           WHERE ($1::varchar IS NULL OR kind = $1)
             AND ($2::varchar IS NULL OR lower(parent_code COLLATE "und-x-icu") = lower($2 COLLATE "und-x-icu"))
             AND ($3::varchar IS NULL OR code > $3)
           ORDER BY code LIMIT $4"#,
        kind.map(Kind::as_str) as _,
        parent_code as _,
        after as _,
        limit
    )
    .fetch_all(executor)
    .await?;
    rows.into_iter().map(|row| region(row.code, row.name, row.kind, row.parent_code, row.border)).collect()
}

/// One region by its code, whatever its case.
pub(super) async fn by_code(executor: impl PgExecutor<'_>, code: &str) -> Result<Option<Region>, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT code AS "code!", name AS "name!", kind AS "kind!: Kind", parent_code, ST_AsGeoJSON(border, 8) AS "border!"
           FROM gis.regions WHERE lower(code COLLATE "und-x-icu") = lower($1::text COLLATE "und-x-icu")"#,
        code
    )
    .fetch_optional(executor)
    .await?;
    row.map(|row| region(row.code, row.name, row.kind, row.parent_code, row.border)).transpose()
}

fn region(code: String, name: String, kind: Kind, parent_code: Option<String>, border: String) -> Result<Region, sqlx::Error> {
    let border = RawValue::from_string(border).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    Ok(Region { code, name, kind, parent_code, border })
}

/// What became of a region that was put in.
pub(super) struct Put {
    /// Its code as stored.
    pub(super) code: String,
    pub(super) is_new: bool,
}

/// Why a region was not put in.
#[derive(Debug, thiserror::Error)]
pub(super) enum PutError {
    /// The border is no clean area; PostGIS says why.
    #[error("invalid border: {0}")]
    Invalid(String),
    /// The parent is not there.
    #[error("unknown parent")]
    UnknownParent,
    /// The parent is the region itself or one of its parts.
    #[error("a region within itself")]
    Cycle,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// No region has that code.
pub(super) fn unknown_region() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "unknown_region", "no region has that code")
}

/// Puts a region in, or replaces the one with its code in whatever case, after checking all that can be wrong
/// with it.
pub(super) async fn put(connection: &mut PgConnection, region: &NewRegion) -> Result<Put, PutError> {
    let border = Geom(region.border.clone());
    let detail = sqlx::query!(r#"SELECT valid AS "valid!", reason, ST_AsText(location, 8) AS at FROM ST_IsValidDetail($1)"#, border as _);
    let detail = detail.fetch_one(&mut *connection).await?;
    if !detail.valid {
        let reason = detail.reason.unwrap_or_default();
        return Err(PutError::Invalid(detail.at.map_or(reason.clone(), |at| format!("{reason} at {at}"))));
    }
    // One at a time, because who is part of whom is looked at across rows; readers do not wait.
    sqlx::raw_sql("LOCK TABLE ar.regions IN SHARE ROW EXCLUSIVE MODE").execute(&mut *connection).await?;
    let parent_code = match &region.parent_code {
        None => None,
        Some(parent_code) => Some(parent_of(connection, &region.code, parent_code).await?),
    };
    upsert(connection, &NewRegion { parent_code, ..region.clone() }).await.map_err(PutError::from)
}

/// The parent's code as stored.
async fn parent_of(connection: &mut PgConnection, code: &str, parent_code: &str) -> Result<String, PutError> {
    let chain = sqlx::query!(
        r#"WITH RECURSIVE chain AS (
               SELECT r.code, r.parent_code, 1 AS depth FROM ar.regions r WHERE lower(r.code COLLATE "und-x-icu") = lower($1::text COLLATE "und-x-icu")
               UNION ALL
               SELECT r.code, r.parent_code, c.depth + 1 FROM ar.regions r JOIN chain c ON r.code = c.parent_code
           )
           SELECT code AS "code!", lower(code COLLATE "und-x-icu") = lower($2::text COLLATE "und-x-icu") AS "is_itself!" FROM chain ORDER BY depth"#,
        parent_code,
        code
    );
    let chain = chain.fetch_all(connection).await?;
    if chain.iter().any(|link| link.is_itself) {
        return Err(PutError::Cycle);
    }
    let parent = chain.into_iter().next().map(|link| link.code);
    // A new region cannot be there yet to be its own parent.
    let is_itself = parent_code.eq_ignore_ascii_case(code);
    parent.ok_or(if is_itself { PutError::Cycle } else { PutError::UnknownParent })
}

async fn upsert(connection: &mut PgConnection, region: &NewRegion) -> Result<Put, sqlx::Error> {
    let row = sqlx::query!(
        r#"INSERT INTO ar.regions (code, name, kind, parent_code, border) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (lower(code COLLATE "und-x-icu")) DO UPDATE SET name = excluded.name, kind = excluded.kind,
               parent_code = excluded.parent_code, border = excluded.border, updated_at = now()
           RETURNING code, xmax = 0 AS "is_new!""#,
        region.code,
        region.name,
        region.kind.as_str(),
        region.parent_code,
        Geom(region.border.clone()) as _
    );
    row.fetch_one(connection).await.map(|row| Put { code: row.code, is_new: row.is_new })
}

/// Deletes a region, whatever the case of its code; the code as it was stored.
pub(super) async fn delete(connection: &mut PgConnection, code: &str) -> Result<Option<String>, sqlx::Error> {
    let deleted = sqlx::query_scalar!(
        r#"DELETE FROM ar.regions WHERE lower(code COLLATE "und-x-icu") = lower($1::text COLLATE "und-x-icu") RETURNING code"#,
        code
    );
    deleted.fetch_optional(connection).await
}

/// Puts regions in, parents before children; those that are there already are replaced.
///
/// # Errors
/// When the database fails, or a border is invalid.
pub async fn put_all(connection: &mut PgConnection, regions: &[NewRegion]) -> Result<(), DbError> {
    for region in regions {
        upsert(&mut *connection, region).await.map_err(|error| DbError::new("putting in a region", error))?;
    }
    Ok(())
}
