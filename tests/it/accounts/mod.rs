//! Accounts: signing in, tokens and their end, who may do what, guessing, and what must never be said.

mod admins;
mod audit;
mod browser_session;
mod forged;
mod guessing;
mod matrix;
pub(crate) mod refreshing;
mod revoking;
mod secrets;
mod signing_in;
mod telling_nothing;
