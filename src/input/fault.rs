//! What is wrong with one field, and the list of all that is wrong with an input.

use serde::Serialize;
use utoipa::ToSchema;

use crate::geo::LatLng;

/// How bad a fault is: which of the two statuses it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Cannot be read at all: 400.
    Unreadable,
    /// Was read, but is outside its domain: 422.
    OutOfDomain,
}

/// One fault of one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldFault {
    /// Name of the query parameter, body field or column.
    pub field: String,
    /// Stable name of the fault, in snake case.
    #[schema(example = "out_of_range")]
    pub code: &'static str,
    /// What is wrong and what would be right, for people.
    pub detail: String,
    /// Decides the status; not on the wire.
    #[serde(skip)]
    #[schema(ignore)]
    pub kind: FaultKind,
}

/// All faults found in one input.
#[derive(Debug, Default)]
pub struct Faults(Vec<FieldFault>);

impl Faults {
    /// Notes something that cannot be read (400).
    pub fn unreadable(&mut self, field: &str, code: &'static str, detail: impl Into<String>) {
        self.push(field, code, detail.into(), FaultKind::Unreadable);
    }

    /// Notes something read but outside its domain (422).
    pub fn out_of_domain(&mut self, field: &str, code: &'static str, detail: impl Into<String>) {
        self.push(field, code, detail.into(), FaultKind::OutOfDomain);
    }

    /// Notes a fault of either kind.
    pub(crate) fn note(&mut self, field: &str, code: &'static str, detail: &str, kind: FaultKind) {
        self.push(field, code, detail.to_owned(), kind);
    }

    fn push(&mut self, field: &str, code: &'static str, detail: String, kind: FaultKind) {
        self.0.push(FieldFault { field: field.to_owned(), code, detail, kind });
    }

    /// Checks fields `lat` and `lng` together, with a hint when swapping them would fit. One that could not
    /// be read is None, and the other is checked all the same.
    pub(crate) fn check_position(&mut self, lat_deg: Option<f64>, lng_deg: Option<f64>) -> Option<LatLng> {
        let position = lat_deg.zip(lng_deg).map(|(lat_deg, lng_deg)| LatLng::new(lat_deg, lng_deg));
        let swapped = lat_deg.zip(lng_deg).map(|(lat_deg, lng_deg)| LatLng::new(lng_deg, lat_deg));
        let hint = if matches!((position, swapped), (Some(Err(_)), Some(Ok(_)))) { "; were lat and lng swapped?" } else { "" };
        if let Some(lat_deg) = lat_deg.filter(|deg| !(-90.0..=90.0).contains(deg)) {
            self.out_of_domain("lat", "out_of_range", format!("latitude {lat_deg} is outside -90 to 90 degrees{hint}"));
        }
        if let Some(lng_deg) = lng_deg.filter(|deg| !(-180.0..=180.0).contains(deg)) {
            self.out_of_domain("lng", "out_of_range", format!("longitude {lng_deg} is outside -180 to 180 degrees{hint}"));
        }
        position?.ok()
    }

    /// Adds the faults of a part.
    pub(crate) fn append(&mut self, faults: Self) {
        self.0.extend(faults.0);
    }

    /// Adds the faults of a nested object, under its name.
    pub(crate) fn append_under(&mut self, name: &str, faults: Self) {
        self.0.extend(faults.0.into_iter().map(|fault| FieldFault { field: format!("{name}.{}", fault.field), ..fault }));
    }

    /// The same faults, all of them as what cannot be read: for interfaces whose standard knows no difference.
    pub(crate) fn all_unreadable(self) -> Self {
        Self(self.0.into_iter().map(|fault| FieldFault { kind: FaultKind::Unreadable, ..fault }).collect())
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The faults, in the order in which they were found.
    #[must_use]
    pub fn into_vec(self) -> Vec<FieldFault> {
        self.0
    }
}
