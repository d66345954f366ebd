//! Which tile is meant: read off an address, `/{layer}/{z}/{x}/{y}.mvt`.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Path};
use axum::http::StatusCode;
use axum::http::request::Parts;

use super::layer::Layer;
use crate::http::ApiError;
use crate::input::{Faults, IntegerText, integer};

/// The largest zoom there is; a tile is 10 m wide at the equator then.
pub(super) const MAX_ZOOM: u8 = 22;
/// What an address of a tile ends in.
const SUFFIX: &str = ".mvt";

/// A tile of the Web Mercator grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// Zoom.
    pub(super) z: u8,
    /// Column from the west.
    pub(super) x: u32,
    /// Row from the north.
    pub(super) y: u32,
}

/// What is drawn, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct TileId {
    pub(super) layer: Layer,
    pub(super) place: Place,
    /// Of device density, a time in seconds since 1970 in the quarter-hour that is meant; none: the newest.
    pub(super) at_s: Option<i64>,
}

/// Extractor: the parameters of a tile's address as text, the layer among them where the route has it.
pub(super) struct Address(Vec<String>);

impl<S: Send + Sync> FromRequestParts<S> for Address {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let found = Path::<Vec<String>>::from_request_parts(parts, state).await;
        Ok(Self(found.map(|Path(texts)| texts).unwrap_or_default()))
    }
}

impl Address {
    /// The name of the layer, and the place.
    ///
    /// # Errors
    /// 404 when it does not end in `.mvt`; 400 and 422 with all that is wrong with zoom, column and row.
    pub(super) fn read(&self) -> Result<(Option<&str>, Place), ApiError> {
        let texts: Vec<&str> = self.0.iter().map(String::as_str).collect();
        let (layer, [z, x, y]) = match texts.as_slice() {
            [layer, z, x, y] => (Some(*layer), [*z, *x, *y]),
            [z, x, y] => (None, [*z, *x, *y]),
            // A part that is no text cannot be a number either.
            _ => (None, ["", "", SUFFIX]),
        };
        let y = y.strip_suffix(SUFFIX).ok_or_else(unknown_route)?;
        let mut faults = Faults::default();
        let z = whole(&mut faults, "z", z, i64::from(MAX_ZOOM));
        let last = z.map_or(u32::MAX, |z| (1 << z) - 1);
        let x = whole(&mut faults, "x", x, i64::from(last));
        let y = whole(&mut faults, "y", y, i64::from(last));
        let place = z.zip(x).zip(y).and_then(|((z, x), y)| Some(Place { z: u8::try_from(z).ok()?, x, y }));
        faults.or(place).map(|place| (layer, place))
    }
}

/// A number from 0 to the greatest.
fn whole(faults: &mut Faults, field: &str, text: &str, most: i64) -> Option<u32> {
    match integer(text) {
        IntegerText::Fits(number) if (0..=most).contains(&number) => u32::try_from(number).ok(),
        IntegerText::NotAnInteger => {
            faults.unreadable(field, "not_an_integer", "is not a whole number such as 5");
            None
        }
        IntegerText::Fits(_) | IntegerText::TooLong => {
            faults.out_of_domain(field, "out_of_range", format!("is outside 0 to {most}"));
            None
        }
    }
}

/// 404, as of any address that there is not.
pub(super) fn unknown_route() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "unknown_route", "there is nothing at this address; GET /openapi.json lists what there is")
}

/// 404: no layer has that name.
pub(super) fn unknown_layer() -> ApiError {
    let names: Vec<&str> = Layer::ALL.into_iter().map(Layer::name).collect();
    ApiError::new(StatusCode::NOT_FOUND, "unknown_layer", format!("the layers are {}", names.join(", ")))
}
