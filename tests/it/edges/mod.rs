//! Edge servers over HTTP: registered and changed by admins, chosen for places, judged by what is heard of them.

mod administration;
mod choosing;
mod health;
