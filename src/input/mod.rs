//! What comes from outside as text, a query, a body or a file: numbers, words, JSON and the faults found in
//! them. Used by the HTTP extractors and by imports alike, so that both refuse the same things in the same
//! words.

mod area;
mod duration;
mod fault;
mod fields;
mod json;
mod number;
mod text;
mod time;

pub(crate) use area::read_area;
pub(crate) use duration::whole_seconds;
pub use fault::{FaultKind, Faults, FieldFault};
pub(crate) use fields::{FieldReader, Fields, Raw};
pub(crate) use json::{StrictObject, StrictValue};
pub(crate) use number::{IntegerText, decimal, integer};
pub(crate) use text::check_text;
pub(crate) use time::read_time;
