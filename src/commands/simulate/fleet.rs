//! The edge servers of a simulation: made for it and taken away again, or taken over from those that are there.

use reqwest::Method;
use reqwest::header::AUTHORIZATION;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::SimulateError;
use super::account::Account;
use super::api::{Api, Failure};
use super::places::{self, SERVICE_RADIUS_KM};
use super::trip::Site;
use crate::geo::LatLng;

/// `region` of the edges that are made.
const REGION: &str = "simulation";

/// An edge server that is driven here.
pub(super) struct EdgeServer {
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) key: SecretString,
}

#[derive(Deserialize)]
struct Made {
    id: Uuid,
    edge_key: String,
}

#[derive(Deserialize)]
struct NewKey {
    edge_key: String,
}

#[derive(Deserialize)]
struct Listed {
    id: Uuid,
    name: String,
    lat: f64,
    lng: f64,
    service_radius_km: f64,
    is_active: bool,
    draining: bool,
    connected: bool,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Listed>,
    next_cursor: Option<String>,
}

/// Acts as the admin.
pub(super) struct Fleet<'a> {
    pub(super) api: &'a Api,
    pub(super) admin: &'a Account,
    pub(super) ending: &'a CancellationToken,
}

impl Fleet<'_> {
    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        what: &'static str,
        method: Method,
        path: &str,
        body: Option<serde_json::Value>,
    ) -> Result<T, Failure> {
        let bearer = self.admin.bearer(self.api).await?;
        let request = || {
            let request = self.api.request(method.clone(), path).header(AUTHORIZATION, bearer.clone());
            match &body {
                Some(body) => request.json(body),
                None => request,
            }
        };
        self.api.ask_patiently(what, self.ending, request).await
    }

    /// Makes an edge at each site. Those that were made are in `made` also when it fails half way.
    pub(super) async fn make(
        &self,
        prefix: &str,
        sites: &[Site],
        max_connections: usize,
        made: &mut Vec<EdgeServer>,
    ) -> Result<(), SimulateError> {
        for (n, site) in (1..).zip(sites) {
            if self.ending.is_cancelled() {
                return Ok(());
            }
            let name = format!("{prefix}-{n}");
            let body = json!({
                "name": name,
                "region": REGION,
                "api_url": format!("https://{name}.edge.example.com"),
                "websocket_url": format!("wss://{name}.edge.example.com/ws"),
                "lat": site.centre.lat_deg(),
                "lng": site.centre.lng_deg(),
                "service_radius_km": SERVICE_RADIUS_KM,
                "max_connections": max_connections,
            });
            let Made { id, edge_key } = self.ask("making an edge server", Method::POST, "/edge-servers", Some(body)).await?;
            made.push(EdgeServer { id, name, key: SecretString::from(edge_key) });
        }
        Ok(())
    }

    /// Takes over this many of the active edges that nobody runs: gives each a new key, and looks around it.
    pub(super) async fn adopt(&self, edges: usize) -> Result<(Vec<EdgeServer>, Vec<Site>), SimulateError> {
        let (mut found, mut running, mut cursor) = (Vec::new(), 0, String::new());
        loop {
            let path = format!("/edge-servers?limit=100{cursor}");
            let page: Page = self.ask("listing edge servers", Method::GET, &path, None).await?;
            for listed in page.items.into_iter().filter(|listed| listed.is_active && !listed.draining) {
                if listed.connected {
                    running += 1;
                } else {
                    found.push(listed);
                }
            }
            match page.next_cursor {
                Some(next) if found.len() < edges => cursor = format!("&cursor={next}"),
                _ => break,
            }
        }
        found.truncate(edges);
        if found.is_empty() {
            return Err(SimulateError::NothingToAdopt { running });
        }
        let mut places = Vec::with_capacity(found.len());
        for listed in &found {
            let centre = LatLng::new(listed.lat, listed.lng)
                .map_err(|error| Failure::Unreadable { what: "listing edge servers", reason: error.to_string() })?;
            places.push((centre, listed.service_radius_km * 1000.0));
        }
        let sites = places::around(self.api, &places).await?;
        let mut adopted = Vec::with_capacity(found.len());
        for Listed { id, name, .. } in found {
            let path = format!("/edge-servers/{id}/keys");
            let NewKey { edge_key } = self.ask("making an edge's key", Method::POST, &path, Some(json!({}))).await?;
            adopted.push(EdgeServer { id, name, key: SecretString::from(edge_key) });
        }
        Ok((adopted, sites))
    }
}
