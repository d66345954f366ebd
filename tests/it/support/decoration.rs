//! Decorations put in by SQL, with the cells that every writer gives them.

use ar_supervisor::geo::{Cells, Geog, LatLng};
use geo_types::Point;
use sqlx::PgPool;
use uuid::Uuid;

use super::position;

/// A decoration to be; unremarkable unless told otherwise.
#[derive(Clone)]
pub(crate) struct DecorationBuilder<'a> {
    sql: &'a PgPool,
    id: Uuid,
    name: String,
    external_id: Option<String>,
    category: String,
    asset_type: &'static str,
    place: LatLng,
    radius_meters: i32,
    urls: [Option<&'static str>; 3],
    is_active: bool,
    deleted: bool,
}

impl<'a> DecorationBuilder<'a> {
    pub(super) fn new(sql: &'a PgPool, name: &str) -> Self {
        Self {
            sql,
            id: Uuid::now_v7(),
            name: name.to_owned(),
            external_id: None,
            category: "art".to_owned(),
            asset_type: "3d_model",
            place: position(0.0, 0.0),
            radius_meters: 100,
            urls: [None; 3],
            is_active: true,
            deleted: false,
        }
    }

    pub(crate) fn id(self, id: Uuid) -> Self {
        Self { id, ..self }
    }

    pub(crate) fn at(self, lat_deg: f64, lng_deg: f64) -> Self {
        Self { place: position(lat_deg, lng_deg), ..self }
    }

    pub(crate) fn external_id(self, external_id: &str) -> Self {
        Self { external_id: Some(external_id.to_owned()), ..self }
    }

    pub(crate) fn category(self, category: &str) -> Self {
        Self { category: category.to_owned(), ..self }
    }

    pub(crate) fn asset_type(self, asset_type: &'static str) -> Self {
        Self { asset_type, ..self }
    }

    pub(crate) fn radius_meters(self, radius_meters: i32) -> Self {
        Self { radius_meters, ..self }
    }

    /// Assets for low, medium and high resolution.
    pub(crate) fn urls(self, urls: [Option<&'static str>; 3]) -> Self {
        Self { urls, ..self }
    }

    pub(crate) fn inactive(self) -> Self {
        Self { is_active: false, ..self }
    }

    pub(crate) fn deleted(self) -> Self {
        Self { deleted: true, ..self }
    }

    /// Puts it in, made by somebody, so that tests can see that nobody is told by whom.
    pub(crate) async fn insert(self) -> Uuid {
        let cells = Cells::of(self.place);
        sqlx::query(
            "WITH maker AS (
                 INSERT INTO ar.users (email, password_hash, full_name, role) VALUES ($1 || '@example.org', 'x', 'Maker', 'admin') RETURNING id
             )
             INSERT INTO ar.decorations (id, external_id, name, category, location, h3_r5, h3_r7, h3_r9, radius_meters,
                 low_res_url, medium_res_url, high_res_url, asset_type, is_active, deleted_at, created_by)
             SELECT $1::uuid, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, CASE WHEN $15 THEN now() END, maker.id FROM maker",
        )
        .bind(self.id.to_string())
        .bind(&self.external_id)
        .bind(&self.name)
        .bind(&self.category)
        .bind(Geog(Point::from(self.place)))
        .bind(cells.r5.to_db())
        .bind(cells.r7.to_db())
        .bind(cells.r9.to_db())
        .bind(self.radius_meters)
        .bind(self.urls[0])
        .bind(self.urls[1])
        .bind(self.urls[2])
        .bind(self.asset_type)
        .bind(self.is_active)
        .bind(self.deleted)
        .execute(self.sql)
        .await
        .expect("the decoration goes in");
        self.id
    }

    /// Puts in a copy of it at every place, in one statement; the copies are named by their number.
    pub(crate) async fn insert_at_each(self, places: &[LatLng]) -> Vec<Uuid> {
        let ids: Vec<Uuid> = places.iter().map(|_| Uuid::from_bytes(shuffled(Uuid::now_v7()))).collect();
        let names: Vec<String> = (0..places.len()).map(|number| number.to_string()).collect();
        let cells: Vec<Cells> = places.iter().copied().map(Cells::of).collect();
        sqlx::query(
            "INSERT INTO ar.decorations (id, name, category, location, h3_r5, h3_r7, h3_r9, radius_meters, asset_type, is_active)
             SELECT n.id, n.name, $1, n.location, n.r5, n.r7, n.r9, $2, $3, $4
             FROM unnest($5::uuid[], $6::text[], $7::geography[], $8::bigint[], $9::bigint[], $10::bigint[]) AS n (id, name, location, r5, r7, r9)",
        )
        .bind(&self.category)
        .bind(self.radius_meters)
        .bind(self.asset_type)
        .bind(self.is_active)
        .bind(&ids)
        .bind(&names)
        .bind(places.iter().map(|&place| Geog(Point::from(place))).collect::<Vec<_>>())
        .bind(cells.iter().map(|cells| cells.r5.to_db()).collect::<Vec<_>>())
        .bind(cells.iter().map(|cells| cells.r7.to_db()).collect::<Vec<_>>())
        .bind(cells.iter().map(|cells| cells.r9.to_db()).collect::<Vec<_>>())
        .execute(self.sql)
        .await
        .expect("the decorations go in");
        ids
    }
}

/// The bytes of a time-ordered id in another order, so that ids do not rise with the order of insertion.
fn shuffled(id: Uuid) -> [u8; 16] {
    let mut bytes = *id.as_bytes();
    bytes.reverse();
    bytes
}
