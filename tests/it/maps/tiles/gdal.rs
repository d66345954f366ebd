//! GDAL's own driver for Mapbox vector tiles, on the addresses that are served.

use super::super::{gdal, printed};
use super::path;
use crate::support::TestServer;

#[tokio::test]
async fn gdal_reads_a_whole_zoom_and_a_single_tile() {
    let t = TestServer::start().await;
    t.edge("eu").at(50.0, 14.0).insert().await;
    t.edge("pacific").at(-17.0, 179.0).insert().await;
    t.decoration("Žižkov").at(50.08, 14.45).insert().await;
    let zoom = format!("MVT:{}", t.url("/tiles/edges/1"));
    let (text, _) = printed(&gdal("ogrinfo", ["-oo", "TILE_EXTENSION=mvt", &zoom, "edges"].map(str::to_owned).to_vec()).await);
    assert_eq!(text.matches("health_status (String) = ").count(), 2, "{text}");
    let tile = format!("MVT:{}", t.url(&path("decorations", 14, super::spot_of(14, 50.08, 14.45))));
    let (text, _) = printed(&gdal("ogrinfo", vec!["-al".to_owned(), tile]).await);
    assert!(text.contains("name (String) = Žižkov"), "{text}");
}
