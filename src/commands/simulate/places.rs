//! Real places for edge servers and phones, found as any client finds them: through the public discovery.

use reqwest::Method;
use serde::Deserialize;

use super::SimulateError;
use super::api::{Api, Failure};
use super::random::Random;
use super::travel::distance_m;
use super::trip::{Site, connect_neighbours};
use crate::geo::LatLng;

/// Radius of the service area of the edges that are made, in kilometres and metres.
pub(super) const SERVICE_RADIUS_KM: f64 = 5.0;
pub(super) const SERVICE_RADIUS_M: f64 = SERVICE_RADIUS_KM * 1000.0;

/// With this many decorations all are fetched and none are searched for.
const FEW: usize = 500;
/// Around a place, further edges are looked for this far.
const TOWN_RADIUS_M: f64 = 20_000.0;
/// Most edges of one town.
const TOWN_EDGES: usize = 3;
/// Edges of a town are this far apart, so that their areas meet and yet differ.
const APART_M: std::ops::Range<f64> = 6_000.0..9_000.0;
/// Furthest that `nearby` looks.
const SEARCH_RADIUS_M: f64 = 50_000.0;

#[derive(Deserialize)]
struct Page<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Position {
    lat: f64,
    lng: f64,
}

impl Position {
    fn read(&self) -> Option<LatLng> {
        LatLng::new(self.lat, self.lng).ok()
    }
}

/// Finds sites for this many edges, in groups whose areas meet.
pub(super) async fn find(api: &Api, edges: usize, random: &mut Random) -> Result<Vec<Site>, SimulateError> {
    let mut known = Known { api, few: None, cells: Vec::new() };
    known.look(random).await?;
    let mut sites: Vec<Site> = Vec::with_capacity(edges);
    let mut seen: Vec<LatLng> = Vec::new();
    // Towns are drawn by chance, and some more than once; what is left over is tried at the end.
    for draw in 0..edges.saturating_mul(4).max(64) {
        if sites.len() >= edges {
            break;
        }
        let Some(centre) = known.draw(draw, random).await? else { break };
        let around = decorations_near(api, centre, TOWN_RADIUS_M).await?;
        let mut town: Vec<LatLng> = Vec::new();
        for place in &around {
            let fits = |other: &LatLng| APART_M.contains(&distance_m(*place, *other));
            let alone = sites.iter().all(|site| distance_m(site.centre, *place) > APART_M.start);
            if sites.len() < edges && town.len() < TOWN_EDGES && alone && (town.is_empty() || town.iter().any(fits)) {
                town.push(*place);
                sites.push(Site::new(*place, SERVICE_RADIUS_M, within(&around, *place, SERVICE_RADIUS_M)));
            }
        }
        seen.extend(around);
    }
    for place in seen.iter().chain(known.few.iter().flatten()) {
        if sites.len() >= edges {
            break;
        }
        if sites.iter().all(|site| site.centre != *place) {
            sites.push(Site::new(*place, SERVICE_RADIUS_M, within(&seen, *place, SERVICE_RADIUS_M)));
        }
    }
    if sites.len() < edges {
        return Err(SimulateError::TooFewPlaces { found: sites.len(), wanted: edges });
    }
    connect_neighbours(&mut sites);
    Ok(sites)
}

/// The surroundings of edges that are there.
pub(super) async fn around(api: &Api, edges: &[(LatLng, f64)]) -> Result<Vec<Site>, SimulateError> {
    let mut sites = Vec::with_capacity(edges.len());
    for (centre, radius_m) in edges {
        let places = decorations_near(api, *centre, radius_m.min(SEARCH_RADIUS_M)).await?;
        sites.push(Site::new(*centre, *radius_m, places));
    }
    connect_neighbours(&mut sites);
    Ok(sites)
}

fn within(places: &[LatLng], centre: LatLng, radius_m: f64) -> Vec<LatLng> {
    places.iter().copied().filter(|place| distance_m(*place, centre) <= radius_m).collect()
}

/// What is known of where decorations are.
struct Known<'a> {
    api: &'a Api,
    /// All of them, when they are few, in random order.
    few: Option<Vec<LatLng>>,
    /// Else the middles of the coarse cells that have some.
    cells: Vec<LatLng>,
}

impl Known<'_> {
    async fn look(&mut self, random: &mut Random) -> Result<(), Failure> {
        let path = format!("/decorations/bounds?min_lat=-90&max_lat=90&min_lng=-180&max_lng=180&limit={FEW}");
        let page: Page<Position> = ask(self.api, "looking for decorations", &path).await?;
        if page.next_cursor.is_none() {
            let mut few: Vec<LatLng> = page.items.iter().filter_map(Position::read).collect();
            random.shuffle(&mut few);
            self.few = Some(few);
            return Ok(());
        }
        // 5,882 cells cover the Earth at this resolution, and most of it is sea.
        self.cells = cells_in(self.api, [-90.0, 90.0, -180.0, 180.0], 2).await?;
        Ok(())
    }

    /// A place to look around; `None` when there are no more.
    async fn draw(&self, draw: usize, random: &mut Random) -> Result<Option<LatLng>, Failure> {
        if let Some(few) = &self.few {
            return Ok(few.get(draw).copied());
        }
        let Some(cell) = random.one_of(&self.cells).copied() else { return Ok(None) };
        // Inside the coarse cell, one of the busier of those the size of a town.
        let half_lng = (1.5 / cell.lat_deg().to_radians().cos().max(0.02)).min(179.0);
        let wrapped = |lng: f64| (lng + 540.0).rem_euclid(360.0) - 180.0;
        let south_north = [(cell.lat_deg() - 1.5).max(-90.0), (cell.lat_deg() + 1.5).min(90.0)];
        let west_east = [wrapped(cell.lng_deg() - half_lng), wrapped(cell.lng_deg() + half_lng)];
        let mut towns = cells_in(self.api, [south_north[0], south_north[1], west_east[0], west_east[1]], 5).await?;
        towns.truncate(10);
        // A cell whose decorations are all at its rim has none in that box; its middle does as well.
        Ok(Some(random.one_of(&towns).copied().unwrap_or(cell)))
    }
}

/// The middles of the cells of a box (south, north, west, east) with decorations, most decorations first.
async fn cells_in(api: &Api, [south, north, west, east]: [f64; 4], resolution: u8) -> Result<Vec<LatLng>, Failure> {
    let path = format!("/decorations/clusters?min_lat={south}&max_lat={north}&min_lng={west}&max_lng={east}&resolution={resolution}");
    let page: Page<Position> = ask(api, "looking for places", &path).await?;
    Ok(page.items.iter().filter_map(Position::read).collect())
}

async fn decorations_near(api: &Api, place: LatLng, radius_m: f64) -> Result<Vec<LatLng>, Failure> {
    let (lat, lng) = (place.lat_deg(), place.lng_deg());
    let path = format!("/decorations/nearby?lat={lat}&lng={lng}&radius={radius_m}&limit=500");
    let page: Page<Position> = ask(api, "looking for places", &path).await?;
    Ok(page.items.iter().filter_map(Position::read).collect())
}

async fn ask<T: serde::de::DeserializeOwned>(api: &Api, what: &'static str, path: &str) -> Result<Page<T>, Failure> {
    let never = tokio_util::sync::CancellationToken::new();
    api.ask_patiently(what, &never, || api.request(Method::GET, path)).await
}
