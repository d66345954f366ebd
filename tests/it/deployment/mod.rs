//! What `docker/` says about the service is what the service says itself; and what it does for who runs it: health by
//! exit status, and word to systemd.

mod files;
mod process;
mod reading;
