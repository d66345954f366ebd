//! An admin who edits one decoration again and again, over HTTP.

use ar_supervisor::geo::LatLng;
use serde_json::{Value, json};

use crate::service::Service;
use crate::support::Outcome;

pub(super) struct Editor {
    client: reqwest::Client,
    url: String,
    token: String,
    content: Value,
    edits: u64,
}

impl Editor {
    /// Makes a decoration at a place.
    pub(super) async fn create(service: &Service, token: &str, place: LatLng) -> Outcome<Self> {
        let client = reqwest::Client::new();
        let content = json!({
            "name": "Old Lantern", "description": "As it stood when it was new, seen best at dusk.", "category": "historical",
            "lat": place.lat_deg(), "lng": place.lng_deg(), "radius_meters": 40, "height_offset": 1.5, "asset_type": "3d_model",
            "low_res_url": "https://cdn.example.com/ar-assets/lantern/low.glb",
            "medium_res_url": "https://cdn.example.com/ar-assets/lantern/medium.glb",
            "high_res_url": "https://cdn.example.com/ar-assets/lantern/high.glb",
        });
        let decorations = format!("{}/api/v1/decorations", service.url());
        let created = client.post(&decorations).bearer_auth(token).json(&content).send().await?;
        let status = created.status();
        let created: Value = created.json().await?;
        let id = created["id"].as_str().ok_or_else(|| format!("a decoration is not made: {status} {created}"))?;
        Ok(Self { url: format!("{decorations}/{id}"), client, token: token.to_owned(), content, edits: 0 })
    }

    /// Edits it.
    pub(super) async fn edit(&mut self) -> Outcome<()> {
        self.edits += 1;
        self.content["name"] = json!(format!("Old Lantern {}", self.edits));
        let put = self.client.put(&self.url).bearer_auth(&self.token).header("if-match", "*").json(&self.content);
        put.send().await?.error_for_status()?;
        Ok(())
    }
}
