//! Who gets which place: pure, on counts that are locked meanwhile. One device after the other, each seeing the load
//! that those before it made, so that a thousand at once are spread as a thousand one by one would be.

use std::collections::HashMap;

use uuid::Uuid;

/// What a device may get, as `gis.edge_choice` has it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wish {
    /// The edge that it has.
    pub(super) held: Option<Uuid>,
    /// When there is no candidate: it may stay where it is, for that edge drains and is well otherwise.
    pub(super) may_stay: bool,
    /// Edges, the preferred one first.
    pub(super) candidates: Vec<Candidate>,
}

/// An edge that may serve a device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Candidate {
    pub(super) edge_id: Uuid,
    /// The preference without what the load is worth.
    pub(super) base: f64,
    /// What no load at all would be worth.
    pub(super) worth_of_room: f64,
}

/// The places of an edge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Room {
    /// It takes new devices.
    pub(super) is_open: bool,
    pub(super) max: i32,
    pub(super) assigned: i32,
    /// Connections it says it has.
    pub(super) reported: i32,
}

/// What a device gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grant {
    /// An edge, or none: there is no candidate.
    Settled(Option<Uuid>),
    /// Its candidates were taken by others meanwhile; perhaps there are more.
    Open,
}

impl Wish {
    /// Whether it keeps what it has, whatever the others get.
    pub(super) fn keeps(&self) -> bool {
        match self.candidates.first() {
            Some(first) => Some(first.edge_id) == self.held,
            None => self.may_stay || self.held.is_none(),
        }
    }
}

impl Room {
    fn load(self) -> f64 {
        f64::from(self.assigned.max(self.reported)) / f64::from(self.max)
    }

    fn is_free(self) -> bool {
        self.is_open && self.assigned.max(self.reported) < self.max
    }
}

/// Grants places in the order of the wishes, and counts them in `rooms`.
pub(super) fn grant(wishes: &[&Wish], rooms: &mut HashMap<Uuid, Room>) -> Vec<Grant> {
    let mut granted = Vec::with_capacity(wishes.len());
    for wish in wishes {
        let grant = match best(wish, rooms) {
            Some(edge_id) => Grant::Settled(Some(edge_id)),
            None if wish.candidates.is_empty() => Grant::Settled(wish.held.filter(|_| wish.may_stay)),
            None => Grant::Open,
        };
        if let Grant::Settled(edge_id) = grant
            && edge_id != wish.held
        {
            if let Some(left) = wish.held.and_then(|held| rooms.get_mut(&held)) {
                left.assigned -= 1;
            }
            if let Some(taken) = edge_id.and_then(|edge_id| rooms.get_mut(&edge_id)) {
                taken.assigned += 1;
            }
        }
        granted.push(grant);
    }
    granted
}

/// The preferred edge with room, by the load of now; ties by id. Its own needs no room.
fn best(wish: &Wish, rooms: &HashMap<Uuid, Room>) -> Option<Uuid> {
    let open = wish.candidates.iter().filter_map(|candidate| {
        let room = rooms.get(&candidate.edge_id)?;
        let may_have = if wish.held == Some(candidate.edge_id) { room.is_open } else { room.is_free() };
        may_have.then(|| (candidate.base + candidate.worth_of_room * (1.0 - room.load()).max(0.0), candidate.edge_id))
    });
    open.max_by(|(a, a_id), (b, b_id)| a.total_cmp(b).then(b_id.cmp(a_id))).map(|(_, edge_id)| edge_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Uuid = Uuid::from_u128(1);
    const B: Uuid = Uuid::from_u128(2);

    fn rooms(of: &[(Uuid, i32, i32)]) -> HashMap<Uuid, Room> {
        of.iter().map(|&(id, max, assigned)| (id, Room { is_open: true, max, assigned, reported: 0 })).collect()
    }

    fn wish(held: Option<Uuid>, candidates: &[(Uuid, f64)]) -> Wish {
        let candidates = candidates.iter().map(|&(edge_id, base)| Candidate { edge_id, base, worth_of_room: 0.3 });
        Wish { held, may_stay: false, candidates: candidates.collect() }
    }

    #[test]
    fn exactly_as_many_places_are_given_as_there_are() {
        let mut rooms = rooms(&[(A, 3, 1), (B, 2, 0)]);
        let wish = wish(None, &[(A, 0.5), (B, 0.5)]);
        let granted = grant(&[&wish; 6], &mut rooms);
        assert_eq!(granted.iter().filter(|grant| **grant == Grant::Open).count(), 2);
        assert_eq!((rooms[&A].assigned, rooms[&B].assigned), (3, 2));
    }

    #[test]
    fn each_sees_the_load_that_those_before_it_made() {
        let mut rooms = rooms(&[(A, 10, 0), (B, 10, 0)]);
        let wish = wish(None, &[(A, 0.51), (B, 0.5)]);
        grant(&[&wish; 10], &mut rooms);
        assert_eq!((rooms[&A].assigned, rooms[&B].assigned), (5, 5));
    }

    #[test]
    fn ties_go_by_id_and_reported_connections_count() {
        let mut rooms = rooms(&[(A, 10, 0), (B, 10, 0)]);
        let equal = wish(None, &[(B, 0.5), (A, 0.5)]);
        assert_eq!(grant(&[&equal], &mut rooms), [Grant::Settled(Some(A))]);
        rooms.insert(A, Room { is_open: true, max: 10, assigned: 0, reported: 10 });
        rooms.insert(B, Room { is_open: false, max: 10, assigned: 0, reported: 0 });
        assert_eq!(grant(&[&equal], &mut rooms), [Grant::Open]);
    }

    #[test]
    fn its_own_needs_no_room_and_a_place_left_is_there_for_the_next() {
        let mut rooms = rooms(&[(A, 1, 1), (B, 1, 0)]);
        let (moving, waiting) = (wish(Some(A), &[(B, 0.9), (A, 0.1)]), wish(None, &[(A, 0.9)]));
        assert!(!moving.keeps() && wish(Some(A), &[(A, 0.9)]).keeps());
        assert_eq!(grant(&[&moving, &waiting], &mut rooms), [Grant::Settled(Some(B)), Grant::Settled(Some(A))]);
        assert_eq!(grant(&[&wish(Some(A), &[(A, 0.1)])], &mut rooms), [Grant::Settled(Some(A))]);
    }

    #[test]
    fn without_a_candidate_only_a_draining_edge_keeps_it() {
        let mut rooms = rooms(&[(A, 5, 2)]);
        let draining = Wish { may_stay: true, ..wish(Some(A), &[]) };
        assert!(draining.keeps());
        assert_eq!(grant(&[&draining, &wish(Some(A), &[])], &mut rooms), [Grant::Settled(Some(A)), Grant::Settled(None)]);
        assert_eq!(rooms[&A].assigned, 1);
    }
}
