//! The life of one simulated phone: it moves, says where it is, asks what is near, is switched off and on again.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::Method;
use reqwest::header::AUTHORIZATION;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;

use super::account::Account;
use super::api::{Answered, Failure};
use super::random::Random;
use super::tally::{Count, Placement};
use super::trip::{self, Movement, Trip};
use super::{Fix, World, wall_clock};
use crate::geo::LatLng;

/// An update that begins so much later than it should is counted.
const LATE: Duration = Duration::from_secs(1);
/// Time that a phone is off, at least and at most: between two of its owners, and in the air.
const SWITCHED_OFF: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(40));
const FLIGHT: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(20));
/// Share of the updates after which an older one arrives, that was held up on its way.
const HELD_UP: f64 = 0.005;
/// Radius in metres and most decorations of a question for what is near.
const NEARBY: (u32, u32) = (5_000, 20);

#[derive(Serialize)]
struct Update<'a> {
    lat: f64,
    lng: f64,
    accuracy_meters: f64,
    recorded_at: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_info: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Placed {
    edge_server: Option<serde::de::IgnoredAny>,
    reason: Option<Placement>,
    handover: bool,
    stale: bool,
}

#[derive(Deserialize)]
struct Nearby {
    items: Vec<Found>,
}

#[derive(Deserialize)]
struct Found {
    distance_meters: f64,
}

/// One simulated phone.
pub(super) struct Phone {
    pub(super) world: Arc<World>,
    pub(super) number: usize,
    pub(super) random: Random,
}

/// A phone between being switched on and off.
struct Life<'a> {
    world: &'a World,
    owner: &'a Account,
    device_id: &'a str,
    placement: Option<Placement>,
    /// The last fix that was answered, and the one before.
    answered: Option<DateTime<Utc>>,
    before: Option<(LatLng, DateTime<Utc>)>,
}

impl Phone {
    /// Lives until the simulation ends.
    pub(super) async fn live(mut self) {
        let Some(owner) = self.world.owner(self.number).await else { return };
        // Two devices take turns: whoever switches on next is somebody new at first, and later on somebody who
        // was here before, so that a long simulation does not fill the server with devices.
        let device_ids = [self.number, self.number + self.world.settings.devices].map(|n| format!("{}-{n}", self.world.prefix));
        for (turn, device_id) in device_ids.iter().cycle().enumerate() {
            if turn < device_ids.len() {
                self.world.note_device(&owner, device_id);
            }
            self.world.board.insert(device_id.clone(), Fix { place: self.world.sites[0].centre, answered: None });
            let mut life = Life { world: &self.world, owner: &owner, device_id, placement: None, answered: None, before: None };
            let ended = life.go(self.number, &mut self.random).await;
            self.world.tally.placed(life.placement, None);
            self.world.board.remove(device_id);
            if ended || !self.world.sleep(self.random.time_between(SWITCHED_OFF.0, SWITCHED_OFF.1)).await {
                return;
            }
            self.world.tally.add(Count::PhonesCame, 1);
        }
    }
}

impl Life<'_> {
    /// Moves and reports until it is switched off, or until the simulation ends: then true.
    async fn go(&mut self, number: usize, random: &mut Random) -> bool {
        let World { sites, settings, tally, .. } = self.world;
        let mut trip = Trip::start(sites, number % sites.len(), random);
        let mut moved = Instant::now();
        // Not all at once.
        let mut due = moved + settings.every.mul_f64(random.unit());
        let off = random.time_until(settings.churn_pct_per_minute).map(|time| moved + time);
        for update in 0_u64.. {
            if !self.world.sleep_until(due).await {
                return true;
            }
            let now = Instant::now();
            if off.is_some_and(|off| off <= now) {
                tally.add(Count::PhonesLeft, 1);
                return false;
            }
            if trip.advance(now - moved, sites, random) == Movement::Flight {
                due = now + random.time_between(FLIGHT.0, FLIGHT.1);
                moved = due;
                continue;
            }
            moved = now;
            let (place, accuracy_m) = trip::fix(trip.place(), random);
            let mut outcome = self.update(update == 0, place, accuracy_m, random).await;
            if outcome.is_ok() && (update + number as u64).is_multiple_of(3) {
                outcome = self.ask_nearby(place).await;
            }
            let wait = match outcome {
                Ok(()) => Duration::ZERO,
                Err(failure) => self.world.failed(&failure).mul_f64(random.between(1.0, 1.5)),
            };
            // Those that are late do not hurry: a phone's next fix replaces the one that was missed.
            due = (due + settings.every.mul_f64(random.between(0.8, 1.2))).max(Instant::now() + wait);
        }
        true
    }

    /// Says where it is.
    async fn update(&mut self, first: bool, place: LatLng, accuracy_m: f64, random: &mut Random) -> Result<(), Failure> {
        let World { tally, board, .. } = self.world;
        let recorded_at = wall_clock();
        let update = Update {
            lat: place.lat_deg(),
            lng: place.lng_deg(),
            accuracy_meters: accuracy_m,
            recorded_at,
            app_version: first.then_some("2.4.0"),
            device_info: first.then(|| json!({"model": "simulated"})),
        };
        let Answered { value, took, waited } = self.put(&update).await?;
        tally.location_took(took);
        tally.add(Count::Late, u64::from(waited > LATE));
        tally.add(Count::Handovers, u64::from(value.handover));
        tally.add(Count::Stale, u64::from(value.stale));
        let now = match (value.edge_server, value.reason) {
            (Some(_), _) => Some(Placement::Assigned),
            (None, Some(reason)) => Some(reason),
            (None, None) => {
                tally.unexpected("location: neither an edge server nor a reason".to_owned(), self.device_id);
                None
            }
        };
        tally.placed(self.placement, now);
        self.placement = now;
        board.insert(self.device_id.to_owned(), Fix { place, answered: Some(recorded_at) });
        self.answered = Some(recorded_at);
        if random.chance(HELD_UP) {
            self.repeat_old_fix(accuracy_m).await?;
        }
        self.before = Some((place, recorded_at));
        Ok(())
    }

    /// An older fix arrives after a newer one, and must not win.
    async fn repeat_old_fix(&mut self, accuracy_m: f64) -> Result<(), Failure> {
        let Some((place, recorded_at)) = self.before.filter(|(_, before)| self.answered.is_some_and(|newest| *before < newest)) else {
            return Ok(());
        };
        let (lat, lng) = (place.lat_deg(), place.lng_deg());
        let old = Update { lat, lng, accuracy_meters: accuracy_m, recorded_at, app_version: None, device_info: None };
        if self.put(&old).await?.value.stale {
            self.world.tally.add(Count::OldFixes, 1);
        } else {
            self.world.tally.unexpected("location: an older fix was taken".to_owned(), self.device_id);
        }
        Ok(())
    }

    /// Sends an update; once more with a new token when the token was refused.
    async fn put(&self, update: &Update<'_>) -> Result<Answered<Placed>, Failure> {
        let api = &self.world.api;
        let path = format!("/devices/{}/location", self.device_id);
        let mut again = true;
        loop {
            let bearer = self.owner.bearer(api).await?;
            let request = api.request(Method::PUT, &path).header(AUTHORIZATION, bearer.clone()).json(update);
            match api.ask("location", request).await {
                Err(Failure::Refused { status, .. }) if again && status.as_u16() == 401 => {
                    self.owner.refused(&bearer).await;
                    again = false;
                }
                outcome => return outcome,
            }
        }
    }

    /// Asks what is near.
    async fn ask_nearby(&self, place: LatLng) -> Result<(), Failure> {
        let World { api, tally, .. } = self.world;
        let ((lat, lng), (radius_m, limit)) = ((place.lat_deg(), place.lng_deg()), NEARBY);
        let path = format!("/decorations/nearby?lat={lat}&lng={lng}&radius={radius_m}&limit={limit}");
        let Answered { value: Nearby { items }, took, waited } = api.ask("nearby", api.request(Method::GET, &path)).await?;
        tally.nearby_took(took);
        tally.add(Count::Late, u64::from(waited > LATE));
        if !items.is_sorted_by(|a, b| a.distance_meters <= b.distance_meters) {
            tally.unexpected("nearby: not the nearest first".to_owned(), &path);
        }
        Ok(())
    }
}
