//! Maps and GIS tools: vector tiles, and OGC API – Features.

mod ogc;
mod tiles;
