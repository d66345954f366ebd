//! What is written together: the newest update of each device, in the order of the devices.

use std::collections::{BTreeMap, HashSet};

use super::location_writer::{Asked, LocationUpdate, Reply};

/// Updates of different devices, in the order in which their rows are locked.
#[derive(Default)]
pub(super) struct Batch {
    devices: BTreeMap<String, Slot>,
    requests: usize,
    /// Spans of those requests.
    askers: Vec<tracing::Id>,
    /// Devices of which one waits for the next batch: what comes after it waits, too.
    passed_on: HashSet<String>,
}

/// A device's newest update, and who waits for it.
pub(super) struct Slot {
    pub(super) update: LocationUpdate,
    pub(super) reply: Reply,
    /// Whoever sent an older one that is not written.
    pub(super) superseded: Vec<Reply>,
}

impl Batch {
    /// Takes an update in. Gives it back when it must wait: the device's row is asked for by another user first.
    pub(super) fn take(&mut self, asked: Asked) -> Option<Asked> {
        let Asked { update, reply, asker } = asked;
        if self.passed_on.contains(&update.device_id) {
            return Some(Asked { update, reply, asker });
        }
        match self.devices.get_mut(&update.device_id) {
            Some(slot) if slot.update.user_id != update.user_id => {
                self.passed_on.insert(update.device_id.clone());
                return Some(Asked { update, reply, asker });
            }
            Some(slot) if is_newer(&update, &slot.update) => {
                let older = std::mem::replace(&mut slot.update, update);
                slot.update.inherit(older);
                slot.superseded.push(std::mem::replace(&mut slot.reply, reply));
            }
            Some(slot) => slot.superseded.push(reply),
            None => {
                self.devices.insert(update.device_id.clone(), Slot { update, reply, superseded: Vec::new() });
            }
        }
        self.requests += 1;
        self.askers.extend(asker);
        None
    }

    /// Devices in it.
    pub(super) fn devices(&self) -> usize {
        self.devices.len()
    }

    /// Requests it answers.
    pub(super) fn requests(&self) -> usize {
        self.requests
    }

    /// The spans of these requests, once.
    pub(super) fn take_askers(&mut self) -> Vec<tracing::Id> {
        std::mem::take(&mut self.askers)
    }

    /// The updates in the order of the devices.
    pub(super) fn into_slots(self) -> Vec<Slot> {
        self.devices.into_values().collect()
    }
}

/// By the device's own clock when both tell it; else what came later is newer.
fn is_newer(update: &LocationUpdate, than: &LocationUpdate) -> bool {
    update.recorded_at.zip(than.recorded_at).is_none_or(|(this, that)| this >= that)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::LatLng;
    use chrono::{DateTime, Utc};
    use tokio::sync::oneshot;
    use uuid::Uuid;

    const ANN: Uuid = Uuid::from_u128(1);
    const BOB: Uuid = Uuid::from_u128(2);

    fn at(second: i64) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(second, 0)
    }

    fn asked(device_id: &str, user_id: Uuid, lat_deg: f64, recorded_at: Option<DateTime<Utc>>) -> Asked {
        let position = LatLng::new(lat_deg, 0.0).expect("on Earth");
        let update = LocationUpdate {
            device_id: device_id.to_owned(),
            user_id,
            position,
            accuracy_meters: None,
            recorded_at,
            app_version: None,
            device_info: None,
        };
        Asked { update, reply: oneshot::channel().0, asker: None }
    }

    fn latitudes(batch: Batch) -> Vec<(String, f64, usize)> {
        let slots = batch.into_slots().into_iter();
        slots.map(|slot| (slot.update.device_id.clone(), slot.update.position.lat_deg(), slot.superseded.len())).collect()
    }

    #[test]
    fn devices_stand_in_the_order_of_their_ids_and_the_newest_counts() {
        let mut batch = Batch::default();
        for asked in [asked("b", ANN, 1.0, None), asked("a", ANN, 2.0, at(9)), asked("b", ANN, 3.0, None), asked("a", ANN, 4.0, at(8))] {
            assert!(batch.take(asked).is_none());
        }
        assert_eq!((batch.devices(), batch.requests()), (2, 4));
        assert_eq!(latitudes(batch), [("a".to_owned(), 2.0, 1), ("b".to_owned(), 3.0, 1)]);
    }

    #[test]
    fn what_an_older_update_told_besides_is_not_lost() {
        let mut batch = Batch::default();
        let mut first = asked("a", ANN, 1.0, None);
        first.update.app_version = Some("7".to_owned());
        assert!(batch.take(first).is_none() && batch.take(asked("a", ANN, 2.0, None)).is_none());
        let slot = batch.into_slots().remove(0);
        assert_eq!((slot.update.app_version.as_deref(), slot.update.position.lat_deg()), (Some("7"), 2.0));
    }

    #[test]
    fn another_user_waits_and_everybody_after_him() {
        let mut batch = Batch::default();
        assert!(batch.take(asked("a", ANN, 1.0, None)).is_none());
        assert!(batch.take(asked("a", BOB, 2.0, None)).is_some());
        assert!(batch.take(asked("a", ANN, 3.0, None)).is_some());
        assert!(batch.take(asked("b", BOB, 4.0, None)).is_none());
        assert_eq!(latitudes(batch), [("a".to_owned(), 1.0, 0), ("b".to_owned(), 4.0, 0)]);
    }
}
