//! temp
pub mod geo;
