//! What a collection is: everything that its SQL, its routes, their description and its pages are made of.

/// A collection of features.
#[derive(Debug)]
pub(super) struct Collection {
    /// Name in addresses.
    pub(super) id: &'static str,
    /// Name for people.
    pub(super) title: &'static str,
    /// What its features are.
    pub(super) description: &'static str,
    /// View of schema `gis`.
    pub(super) view: &'static str,
    /// What numbers the features, and orders them.
    pub(super) key: Key,
    /// Where features are.
    pub(super) geometry: Geometry,
    /// What features say, in their order.
    pub(super) columns: &'static [Column],
    /// Column that `datetime` means. Without one, all features match every time, as the standard has it.
    pub(super) time_column: Option<&'static str>,
    /// What its features lie in.
    pub(super) extent: Extent,
    /// How many there may be.
    pub(super) size: Size,
    /// A feature that every service with any data is likely to have, for OpenAPI.
    pub(super) example_feature: i64,
}

/// What numbers features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// Column `gid`.
    Gid,
    /// An H3 cell of resolution 7 or coarser, column `cell`. Its feature number is what differs between such cells: 32 of
    /// its bits, which JavaScript can hold. Cells are in the order of their numbers, resolution first.
    Cell,
}

/// Where features are, in EPSG:4326.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Geometry {
    /// Points, never at longitude -180, and at longitude 0 on a pole.
    Points(&'static str),
    /// Multipolygons.
    Areas(&'static str),
}

/// What the features of a collection lie in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// Anywhere.
    World,
    /// The box of all decorations.
    Decorations,
    /// The box of all edge servers.
    Edges,
}

/// How many features there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// So few that the planner's choice is good for any page.
    Thousands,
    /// Many, whose numbers may follow their places, as one country's import gives them, which the planner does not know.
    Millions,
}

/// One thing that a feature says.
#[derive(Debug)]
pub(super) struct Column {
    /// Name in the view, in answers, and as a parameter.
    pub(super) name: &'static str,
    /// Type of its values.
    pub(super) kind: Kind,
    /// Whether it may be null.
    pub(super) nullable: bool,
    /// Whether `<name>=<value>` narrows a list.
    pub(super) filterable: bool,
    /// What it says.
    pub(super) description: &'static str,
}

/// Type of a column's values.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// UUID.
    Id,
    /// Text of so many characters at most.
    Text(usize),
    /// One of these.
    Word(&'static [&'static str]),
    /// Whole number in a range.
    Integer(i64, i64),
    /// Number.
    Decimal,
    /// True or false.
    Boolean,
    /// Moment.
    Time,
    /// H3 cell, a bigint in the database and hexadecimal text in answers.
    Cell,
}

impl Collection {
    /// The columns that narrow a list.
    pub(super) fn filters(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| column.filterable)
    }

    /// Its path below the origin, and below its own: `/ogc/collections/<id><rest>`.
    pub(super) fn path(&self, rest: &str) -> String {
        format!("{}/collections/{}{rest}", super::ROOT, self.id)
    }
}

impl Column {
    /// A column that always has a value.
    pub(super) const fn new(name: &'static str, kind: Kind, description: &'static str) -> Self {
        Self { name, kind, nullable: false, filterable: false, description }
    }

    /// The same, which may be null.
    pub(super) const fn nullable(self) -> Self {
        Self { nullable: true, ..self }
    }

    /// The same, which narrows lists.
    pub(super) const fn filterable(self) -> Self {
        Self { filterable: true, ..self }
    }
}

/// Bits of a cell that are the same for all of resolution 7 and coarser: its mode above, its unused digits below.
const CELL_MODE: i64 = 0x0800_0000_0000_0000;
const CELL_TAIL: i64 = 0x00FF_FFFF;
const CELL_TAIL_BITS: u32 = 24;

impl Key {
    /// The number of the feature with this value in the key's column.
    pub(super) fn feature(self, value: i64) -> i64 {
        match self {
            Self::Gid => value,
            Self::Cell => (value >> CELL_TAIL_BITS) & i64::from(u32::MAX),
        }
    }

    /// The value in the key's column of the feature with this number; `None` when no feature can have it.
    pub(super) fn value(self, feature: i64) -> Option<i64> {
        match self {
            Self::Gid => Some(feature),
            Self::Cell => u32::try_from(feature).ok().map(|bits| CELL_MODE | i64::from(bits) << CELL_TAIL_BITS | CELL_TAIL),
        }
    }

    /// The column.
    pub(super) fn column(self) -> &'static str {
        match self {
            Self::Gid => "gid",
            Self::Cell => "cell",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use h3o::{LatLng, Resolution};

    #[test]
    fn cells_have_numbers_that_lead_back_and_keep_their_order() {
        let mut cells: Vec<i64> = Vec::new();
        for resolution in Resolution::range(Resolution::Zero, Resolution::Seven) {
            for (lat, lng) in [(52.5, 13.4), (-89.9, 0.0), (0.0, 180.0), (35.6, 139.7)] {
                cells.push(u64::from(LatLng::new(lat, lng).expect("finite").to_cell(resolution)).cast_signed());
            }
        }
        cells.sort_unstable();
        let features: Vec<i64> = cells.iter().map(|&cell| Key::Cell.feature(cell)).collect();
        assert!(features.is_sorted() && features.iter().all(|&feature| feature < 1 << 53), "{features:?}");
        for (cell, feature) in cells.into_iter().zip(features) {
            assert_eq!(Key::Cell.value(feature), Some(cell));
        }
        assert_eq!(Key::Cell.value(-1), None);
        assert_eq!(Key::Cell.value(1 << 32), None);
    }
}
