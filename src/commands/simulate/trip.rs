//! Where a phone goes: from one real place to the next around its edge server, on foot, by bicycle or by car;
//! some go over to another edge's area, by road where one is near and by air where none is.

use std::time::Duration;

use super::random::Random;
use super::travel::{Leg, distance_m};
use crate::geo::LatLng;

/// Share of the phones that go over to another edge's area.
const COMMUTERS: f64 = 0.2;
/// Share of the others that start a little outside their edge's area.
const OUTSIDERS: f64 = 0.05;
/// How far from the border of the area commuters are when they appear, at most: a short run should see some cross.
const BEFORE_BORDER_M: f64 = 400.0;
/// How far from where they take off travellers by air are, at most.
const BEFORE_TAKEOFF_M: f64 = 600.0;
/// Edges this near can be driven to.
const NEIGHBOUR_M: f64 = 30_000.0;
/// Places nearer than this are the same place.
const SAME_PLACE_M: f64 = 50.0;

/// The surroundings of one edge server.
#[derive(Clone, Debug)]
pub(super) struct Site {
    /// Where it stands.
    pub(super) centre: LatLng,
    /// How far its service area reaches.
    pub(super) radius_m: f64,
    /// Real places in its area: decorations.
    pub(super) places: Vec<LatLng>,
    /// Sites whose areas meet this one's, to be reached by road.
    pub(super) neighbours: Vec<usize>,
}

impl Site {
    /// A site whose neighbours are not known yet.
    pub(super) fn new(centre: LatLng, radius_m: f64, places: Vec<LatLng>) -> Self {
        Self { centre, radius_m, places, neighbours: Vec::new() }
    }

    fn destination(&self, from: LatLng, random: &mut Random) -> LatLng {
        let chosen = random.one_of(&self.places).copied().filter(|place| distance_m(from, *place) > SAME_PLACE_M);
        // Nothing real is near: some place around the edge.
        chosen.unwrap_or_else(|| {
            let distance_m = self.radius_m.min(20_000.0) * random.between(0.05, 0.8);
            Leg::heading(self.centre, random.between(0.0, 360.0), distance_m).end()
        })
    }
}

/// Finds which areas can be driven to from which: those that begin before the other ends.
pub(super) fn connect_neighbours(sites: &mut [Site]) {
    for here in 0..sites.len() {
        let neighbours = (0..sites.len()).filter(|there| {
            let apart_m = distance_m(sites[here].centre, sites[*there].centre);
            let reach_m = sites[here].radius_m;
            *there != here && apart_m <= NEIGHBOUR_M && apart_m > reach_m && apart_m < reach_m + sites[*there].radius_m
        });
        sites[here].neighbours = neighbours.collect();
    }
}

/// How a phone is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    Walk,
    Cycle,
    Drive,
}

impl Pace {
    fn speed_m_per_s(self) -> f64 {
        match self {
            Self::Walk => 1.4,
            Self::Cycle => 5.0,
            Self::Drive => 14.0,
        }
    }
}

/// What a phone does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Movement {
    /// It is on its way.
    OnTheWay,
    /// It is switched off, and goes on elsewhere.
    Flight,
}

/// One phone's way.
#[derive(Clone, Debug)]
pub(super) struct Trip {
    pace: Pace,
    site: usize,
    leg: Leg,
    travelled_m: f64,
    commutes: bool,
    /// Goes by air when it reaches the end of the leg.
    to_airport: bool,
}

impl Trip {
    /// Appears in or near a site's area.
    pub(super) fn start(sites: &[Site], site: usize, random: &mut Random) -> Self {
        let home = &sites[site];
        let commutes = sites.len() > 1 && random.chance(COMMUTERS);
        let neighbour = random.one_of(&home.neighbours).filter(|_| commutes).copied();
        if let Some(there) = neighbour {
            let leg = Leg::between(home.centre, sites[there].centre);
            let travelled_m = home.radius_m - random.between(0.0, BEFORE_BORDER_M);
            return Self { pace: Pace::Drive, site: there, leg, travelled_m, commutes, to_airport: false };
        }
        if commutes {
            let way_m = random.between(0.0, BEFORE_TAKEOFF_M);
            let start = Leg::heading(home.centre, random.between(0.0, 360.0), way_m).end();
            let leg = Leg::between(start, home.centre);
            return Self { pace: Pace::Drive, site, leg, travelled_m: 0.0, commutes, to_airport: true };
        }
        let pace = match random.unit() {
            part if part < 0.5 => Pace::Walk,
            part if part < 0.75 => Pace::Cycle,
            _ => Pace::Drive,
        };
        let from = if random.chance(OUTSIDERS) {
            Leg::heading(home.centre, random.between(0.0, 360.0), home.radius_m * random.between(1.01, 1.1)).end()
        } else {
            home.destination(home.centre, random)
        };
        let leg = Leg::between(from, home.destination(from, random));
        let travelled_m = leg.length_m() * random.unit();
        Self { pace, site, leg, travelled_m, commutes, to_airport: false }
    }

    /// Where it is.
    pub(super) fn place(&self) -> LatLng {
        self.leg.at(self.travelled_m)
    }

    /// Goes on for a while.
    pub(super) fn advance(&mut self, elapsed: Duration, sites: &[Site], random: &mut Random) -> Movement {
        self.travelled_m += self.pace.speed_m_per_s() * elapsed.as_secs_f64();
        while self.travelled_m >= self.leg.length_m() {
            if self.to_airport {
                self.land(sites, random);
                return Movement::Flight;
            }
            let (here, rest_m) = (self.leg.end(), self.travelled_m - self.leg.length_m());
            let next = random.one_of(&sites[self.site].neighbours).filter(|_| self.commutes);
            self.site = next.copied().unwrap_or(self.site);
            self.leg = Leg::between(here, sites[self.site].destination(here, random));
            self.travelled_m = rest_m;
            if self.leg.length_m() < SAME_PLACE_M {
                // The one place there is: it stays for this step.
                self.travelled_m = 0.0;
                break;
            }
        }
        Movement::OnTheWay
    }

    /// Arrives at the middle of another site, and does not fly again.
    fn land(&mut self, sites: &[Site], random: &mut Random) {
        let others: Vec<usize> = (0..sites.len()).filter(|site| *site != self.site).collect();
        self.site = random.one_of(&others).copied().unwrap_or(self.site);
        let site = &sites[self.site];
        self.leg = Leg::between(site.centre, site.destination(site.centre, random));
        (self.travelled_m, self.to_airport) = (0.0, false);
    }
}

/// Where a phone believes to be when it is at `place`, and how sure it says to be, in metres.
pub(super) fn fix(place: LatLng, random: &mut Random) -> (LatLng, f64) {
    let accuracy_m = (random.between(3.0, 20.0) * 10.0).round() / 10.0;
    let error_m = accuracy_m * random.unit();
    (Leg::heading(place, random.between(0.0, 360.0), error_m).end(), accuracy_m)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(lat_deg: f64, lng_deg: f64) -> LatLng {
        LatLng::new(lat_deg, lng_deg).expect("on Earth")
    }

    /// Two areas of 5 km that meet across the antimeridian, and one far away.
    fn sites() -> Vec<Site> {
        let around = |centre: LatLng| (0..8).map(|n| Leg::heading(centre, f64::from(n) * 45.0, 2_500.0).end()).collect();
        let mut sites: Vec<Site> = [place(-17.0, 179.97), place(-17.0, -179.96), place(48.0, 11.0)]
            .map(|centre| Site::new(centre, 5_000.0, around(centre)))
            .into();
        connect_neighbours(&mut sites);
        sites
    }

    #[test]
    fn areas_that_meet_are_neighbours() {
        let neighbours: Vec<Vec<usize>> = sites().into_iter().map(|site| site.neighbours).collect();
        assert_eq!(neighbours, [vec![1], vec![0], vec![]]);
    }

    #[test]
    fn nobody_is_faster_than_its_pace_but_by_air() {
        let (sites, second) = (sites(), Duration::from_secs(1));
        let (mut flights, mut crossings) = (0, 0);
        for phone in 0..60 {
            let mut random = Random::new(3, phone);
            let mut trip = Trip::start(&sites, usize::try_from(phone % 3).expect("small"), &mut random);
            let mut before = trip.place();
            let near = |place, site: usize| distance_m(sites[site].centre, place) <= sites[site].radius_m;
            for _ in 0..600 {
                let movement = trip.advance(second, &sites, &mut random);
                let step_m = distance_m(before, trip.place());
                match movement {
                    Movement::Flight => flights += 1,
                    Movement::OnTheWay => assert!(step_m <= trip.pace.speed_m_per_s() + 0.01, "{step_m} m in a second"),
                }
                crossings += usize::from(near(before, 0) && !near(trip.place(), 0) && near(trip.place(), 1));
                before = trip.place();
            }
        }
        assert!(flights > 0 && crossings > 0, "{flights} flights, {crossings} crossings");
    }

    #[test]
    fn phones_start_near_their_edge_and_keep_going() {
        let sites = sites();
        for phone in 0..200 {
            let mut random = Random::new(4, phone);
            let site = usize::try_from(phone % 3).expect("small");
            let mut trip = Trip::start(&sites, site, &mut random);
            let start = trip.place();
            assert!(distance_m(start, sites[site].centre) <= 5_500.0 + 1.0);
            trip.advance(Duration::from_secs(30), &sites, &mut random);
            assert!(distance_m(start, trip.place()) > 1.0, "{trip:?}");
        }
    }

    #[test]
    fn a_lonely_edge_without_places_has_somewhere_to_go() {
        let sites = [Site::new(place(90.0, 0.0), 1_000.0, Vec::new())];
        let mut random = Random::new(5, 0);
        let mut trip = Trip::start(&sites, 0, &mut random);
        for _ in 0..1_000 {
            assert_eq!(trip.advance(Duration::from_secs(5), &sites, &mut random), Movement::OnTheWay);
            assert!(distance_m(trip.place(), sites[0].centre) < 1_200.0);
        }
    }

    #[test]
    fn a_fix_is_as_good_as_it_says() {
        let mut random = Random::new(6, 0);
        for _ in 0..1_000 {
            let here = place(89.999_99, 120.0);
            let (seen, accuracy_m) = fix(here, &mut random);
            assert!(distance_m(here, seen) <= accuracy_m + 0.01);
        }
    }
}
