//! What operators do to a running system: restore it, upgrade it, restart it behind a proxy, and load it more than it
//! can bear.

mod arrivals;
mod backup;
mod overload;
mod proxy;
mod rolling;
mod upgrade;
