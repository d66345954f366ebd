//! What operators see of the service.

mod prometheus;
