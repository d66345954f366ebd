//! What anybody may ask: what is near, in a box, in a region, and how much of it by cell.

mod bounds;
mod clusters;
mod geo_json;
mod nearby;
mod paging;
mod region;
mod regions;
mod visibility;
