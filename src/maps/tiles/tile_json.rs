//! What a layer says about itself: TileJSON 3, from which MapLibre, QGIS and others find its tiles.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::layer::Layer;
use crate::http::Origin;

/// A TileJSON document.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TileJson {
    /// Version of TileJSON.
    #[schema(example = "3.0.0")]
    tilejson: &'static str,
    /// Name for people.
    name: &'static str,
    /// What it shows.
    description: &'static str,
    /// Version of the tiles' content.
    #[schema(example = "1.0.0")]
    version: &'static str,
    /// Who is to be named where it is shown, as HTML.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    attribution: Option<&'static str>,
    /// How rows are counted: from the north.
    #[schema(example = "xyz")]
    scheme: &'static str,
    /// Where the tiles are.
    #[schema(example = json!(["https://ar.example.org/tiles/regions/{z}/{x}/{y}.mvt"]))]
    tiles: [String; 1],
    /// Smallest zoom.
    minzoom: u8,
    /// Largest zoom with something new in it; larger ones are answered as well.
    maxzoom: u8,
    /// West, south, east and north in degrees.
    #[schema(value_type = Vec<f64>, min_items = 4, max_items = 4)]
    bounds: [f64; 4],
    /// The layers within a tile: one.
    #[schema(min_items = 1, max_items = 1)]
    vector_layers: [VectorLayer; 1],
}

/// A layer within a tile.
#[derive(Debug, Serialize, ToSchema)]
struct VectorLayer {
    /// Its name.
    id: &'static str,
    /// What it shows.
    description: &'static str,
    /// Smallest zoom.
    minzoom: u8,
    /// Largest zoom.
    maxzoom: u8,
    /// Properties of its features, and what they are.
    fields: BTreeMap<&'static str, &'static str>,
}

impl TileJson {
    /// The document of a layer, with addresses as the client reaches us.
    pub(super) fn of(layer: Layer, origin: &Origin) -> Self {
        let (name, description, maxzoom) = (layer.name(), layer.description(), layer.max_zoom());
        let fields = layer.fields().iter().copied().collect();
        Self {
            tilejson: "3.0.0",
            name: layer.title(),
            description,
            version: "1.0.0",
            attribution: layer.attribution(),
            scheme: "xyz",
            tiles: [origin.url(&format!("/tiles/{name}/{{z}}/{{x}}/{{y}}.mvt"))],
            minzoom: 0,
            maxzoom,
            bounds: [-180.0, -85.051_128, 180.0, 85.051_128],
            vector_layers: [VectorLayer { id: name, description, minzoom: 0, maxzoom, fields }],
        }
    }
}
