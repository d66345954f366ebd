//! The end: devices and edges are deleted and accounts closed, so that a server is left as it was found.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::AUTHORIZATION;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::account::Account;
use super::api::{Api, Failure};
use super::content_file::ContentFile;
use super::report::Reporter;
use super::stage::{Company, Stage};

/// Time for all of it.
const TIME: Duration = Duration::from_secs(30);

/// One thing to take away.
struct Removal {
    /// What it is, in the plural.
    kind: &'static str,
    /// In whose name.
    by: Arc<Account>,
    method: Method,
    path: String,
    body: Option<Value>,
}

/// Takes away what was made; returns in words what is still there.
pub(super) async fn take_away(stage: &Stage, company: Company, reporter: &mut dyn Reporter) -> Vec<String> {
    let Company { edges, owners, devices, .. } = company;
    if let Some(folder) = stage.settings.content_dir.as_ref().filter(|_| !stage.settings.adopt) {
        for edge in &edges {
            if let Err(error) = ContentFile::remove(folder, edge.id).await {
                tracing::debug!(%error, "the content of {}", edge.name);
            }
        }
    }
    if !owners.is_empty() {
        reporter.tell("Taking away what was made; Ctrl-C leaves it.");
    }
    let admin = |kind, method, path, body| Removal { kind, by: Arc::clone(&stage.admin), method, path, body };
    // Devices first: those of an edge that goes would be moved to another one.
    let devices = devices.into_iter().map(|(by, id)| {
        let path = format!("/devices/{id}");
        Removal { kind: "devices", by, method: Method::DELETE, path, body: None }
    });
    let edges = edges.iter().filter(|_| !stage.settings.adopt);
    let edges = edges.map(|edge| admin("edge servers", Method::DELETE, format!("/edge-servers/{}", edge.id), None));
    let accounts = owners.iter().map(|owner| {
        let closed = Some(json!({"is_active": false}));
        admin("accounts", Method::PATCH, format!("/users/{}", owner.id()), closed)
    });
    let mut left = Leftovers::default();
    let all = async {
        for kind in [devices.collect::<Vec<_>>(), edges.collect(), accounts.collect()] {
            left.take_in(remove_all(&stage.api, kind).await);
        }
    };
    if tokio::time::timeout(TIME, all).await.is_err() {
        left.0.entry("things").or_insert_with(|| (0, format!("it took longer than {} s", TIME.as_secs())));
    }
    left.in_words()
}

/// What is still there, by kind: how many, and why the first of them.
#[derive(Default)]
struct Leftovers(BTreeMap<&'static str, (usize, String)>);

impl Leftovers {
    fn take_in(&mut self, failures: Vec<(&'static str, Failure)>) {
        for (kind, failure) in failures {
            self.0.entry(kind).or_insert_with(|| (0, failure.to_string())).0 += 1;
        }
    }

    fn in_words(self) -> Vec<String> {
        let words = self.0.into_iter().map(|(kind, (count, why))| match count {
            0 => format!("some {kind} are still there: {why}"),
            count => format!("{count} {kind} are still there: {why}"),
        });
        words.collect()
    }
}

async fn remove_all(api: &Arc<Api>, removals: Vec<Removal>) -> Vec<(&'static str, Failure)> {
    let mut running = JoinSet::new();
    for removal in removals {
        let api = Arc::clone(api);
        running.spawn(async move { remove(&api, &removal).await.map_err(|failure| (removal.kind, failure)) });
    }
    let mut failures = Vec::new();
    while let Some(outcome) = running.join_next().await {
        if let Ok(Err(failure)) = outcome {
            failures.push(failure);
        }
    }
    failures
}

async fn remove(api: &Api, Removal { by, method, path, body, .. }: &Removal) -> Result<(), Failure> {
    loop {
        let mut request = api.request(method.clone(), path).header(AUTHORIZATION, by.bearer(api).await?);
        if let Some(body) = body {
            request = request.json(body);
        }
        match api.tell("taking away", request).await {
            Err(Failure::Busy { retry_after, .. }) => tokio::time::sleep(retry_after).await,
            // Never made, or gone already.
            Err(failure) if failure.status().is_some_and(|status| status.as_u16() == 404) => return Ok(()),
            outcome => return outcome,
        }
    }
}
