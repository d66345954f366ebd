//! What comes from outside as text, a query or a file: numbers, words and the faults found in them. Used by
//! the HTTP extractors and by imports alike, so that both refuse the same things in the same words.

mod fault;
mod number;
mod text;

pub use fault::{FaultKind, Faults, FieldFault};
pub(crate) use number::{IntegerText, decimal, integer};
pub(crate) use text::check_text;
