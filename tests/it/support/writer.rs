//! Writers that keep a ledger: what they were answered, and what they asked without getting an answer. Whatever is
//! killed meanwhile, the database must have the first and may have the second.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::Random;
use crate::editing::content_with;

/// What a writer knows of one of its decorations.
#[derive(Clone, Debug)]
struct Known {
    /// As it was answered last: name, or none when it is deleted.
    answered: Option<String>,
    /// What was asked since then, and not answered: it may be there or not.
    in_doubt: Vec<Option<String>>,
    version: i64,
}

/// What all writers know, and what they have done.
#[derive(Clone, Default)]
pub(crate) struct Ledger {
    known: Arc<Mutex<BTreeMap<String, Known>>>,
    ended: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
}

/// Where writers write, and as whom.
#[derive(Clone)]
pub(crate) struct Scene {
    /// Whichever answers.
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) token: String,
    /// Longitudes (degrees) between which decorations are put, at 10° north.
    pub(crate) lng_deg: (f64, f64),
    /// Time between two writes of one writer.
    pub(crate) pause: Duration,
}

impl Ledger {
    /// Begins to write; each of `count` writers until the end is said. They give how often they asked.
    pub(crate) fn write(&self, scene: &Scene, count: usize, random: &mut Random) -> Vec<JoinHandle<usize>> {
        let begin = |number: usize| {
            let mut by = Writer {
                client: reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(15)).build().expect("a client"),
                scene: scene.clone(),
                random: Random::of(random.bits()),
                ledger: self.clone(),
                number,
                mine: Vec::new(),
                unanswered: None,
                writes: 0,
            };
            tokio::spawn(async move {
                while !by.ledger.ended.load(Ordering::Relaxed) {
                    by.write().await;
                    tokio::time::sleep(by.scene.pause).await;
                }
                by.settle().await;
                by.writes
            })
        };
        (0..count).map(begin).collect()
    }

    /// Lets the writers end, each after what it is at.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    /// Writes that were answered well.
    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Compares it with the database: how many decorations there are, and what is lost or otherwise wrong.
    pub(crate) async fn compare(&self, sql: &PgPool) -> (usize, Vec<String>) {
        let rows: Vec<(Uuid, String, bool)> =
            sqlx::query_as("SELECT id, name, deleted_at IS NOT NULL FROM ar.decorations").fetch_all(sql).await.expect("reads");
        let count = rows.len();
        let stored: BTreeMap<String, Option<String>> =
            rows.into_iter().map(|(id, name, deleted)| (id.to_string(), (!deleted).then_some(name))).collect();
        let known = self.known.lock().expect("not poisoned");
        let mut wrong: Vec<String> = Vec::new();
        for (id, known) in known.iter() {
            match stored.get(id) {
                Some(stored) if *stored == known.answered || known.in_doubt.contains(stored) => {}
                stored => wrong.push(format!("{id} is {stored:?}: {known:?}")),
            }
        }
        // Every creation was asked for until it was answered, under one key.
        wrong.extend(stored.keys().filter(|id| !known.contains_key(*id)).map(|id| format!("{id} was answered to nobody")));
        (count, wrong)
    }
}

/// What is in the database without all that goes with it: each version of a decoration has its act, each its cell's
/// count, and no connection holds a transaction. (What edges should hold is compared by `sync::books`.)
pub(crate) async fn half_applied(sql: &PgPool) -> Vec<String> {
    let mut halves: Vec<String> = sqlx::query_scalar(
        "SELECT format('%s has version %s and %s acts', d.id, d.version, count(a.id))
         FROM ar.decorations d LEFT JOIN ar.audit_log a ON a.object_id = d.id::text AND a.action LIKE 'decoration.%'
         GROUP BY d.id HAVING count(a.id) <> d.version",
    )
    .fetch_all(sql)
    .await
    .expect("compares");
    let counted: (i64, i64) = sqlx::query_as(
        "SELECT (SELECT coalesce(sum(n), 0)::bigint FROM ar.decoration_counts WHERE resolution = 0 AND category = '' AND asset_type = '')
                + (SELECT coalesce(sum(n), 0)::bigint FROM ar.decoration_count_deltas),
             (SELECT count(*) FROM ar.decorations WHERE is_active AND deleted_at IS NULL)",
    )
    .fetch_one(sql)
    .await
    .expect("counts");
    if counted.0 != counted.1 {
        halves.push(format!("{} are counted, and {} are there", counted.0, counted.1));
    }
    let keys: i64 =
        sqlx::query_scalar("SELECT count(*) FROM ar.idempotency_keys WHERE response_status IS NULL").fetch_one(sql).await.expect("counts");
    if keys != 0 {
        halves.push(format!("{keys} keys have no answer"));
    }
    halves
}

/// One who creates, edits, moves and deletes.
struct Writer {
    client: reqwest::Client,
    scene: Scene,
    random: Random,
    ledger: Ledger,
    number: usize,
    /// Its decorations that are not deleted, as far as it knows.
    mine: Vec<String>,
    /// A creation that was not answered, with its key: it is asked for again before anything else.
    unanswered: Option<(String, Value)>,
    writes: usize,
}

impl Writer {
    async fn ask(
        &mut self,
        method: Method,
        path: &str,
        header: (&'static str, String),
        body: Option<&Value>,
    ) -> Option<(StatusCode, Value)> {
        let address = *self.random.one_of(&self.scene.addresses);
        let url = format!("http://{address}/api/v1/decorations{path}");
        let mut request = self.client.request(method, url).bearer_auth(&self.scene.token).header(header.0, header.1);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.ok()?;
        let status = answer.status();
        let body = answer.bytes().await.ok()?;
        Some((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }

    fn content(&mut self) -> (String, Value) {
        self.writes += 1;
        let name = format!("{} {}", self.number, self.writes);
        let lng = self.random.between(self.scene.lng_deg.0, self.scene.lng_deg.1);
        let content = content_with(&name, json!({"lat": 10.0, "lng": (lng * 1e6).round() / 1e6}));
        (name, content)
    }

    fn note(&self, id: &str, change: impl FnOnce(&mut Known)) {
        change(self.ledger.known.lock().expect("not poisoned").get_mut(id).expect("it is ours"));
    }

    /// One write, whatever becomes of it. A pause when nobody answered.
    async fn write(&mut self) {
        let what = self.random.below(10);
        let answered = if self.unanswered.is_some() || self.mine.is_empty() || (what < 3 && self.mine.len() < 60) {
            self.create().await
        } else {
            let place = self.random.below(self.mine.len());
            if what == 9 { self.delete(place).await } else { self.edit(place).await }
        };
        if answered {
            self.ledger.acknowledged.fetch_add(1, Ordering::Relaxed);
        } else {
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// Asks for what was not answered until it is, for a while.
    async fn settle(&mut self) {
        for _ in 0..200 {
            if self.unanswered.is_none() {
                return;
            }
            self.create().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("a creation is not answered");
    }

    /// Creates, or asks again for a creation that was not answered.
    async fn create(&mut self) -> bool {
        let (name, content) = match self.unanswered.take() {
            Some(again) => again,
            None => self.content(),
        };
        let key = ("idempotency-key", format!("ledger {name}"));
        match self.ask(Method::POST, "", key, Some(&content)).await {
            Some((StatusCode::CREATED, body)) => {
                let id = body["id"].as_str().expect("an id").to_owned();
                let known = Known { answered: Some(name), in_doubt: Vec::new(), version: 1 };
                let before = self.ledger.known.lock().expect("not poisoned").insert(id.clone(), known);
                assert!(before.is_none(), "{id} was created twice");
                self.mine.push(id);
                true
            }
            other => {
                assert!(matches!(other, None | Some((StatusCode::SERVICE_UNAVAILABLE, _))), "{other:?}");
                self.unanswered = Some((name, content));
                false
            }
        }
    }

    async fn edit(&mut self, place: usize) -> bool {
        let id = self.mine[place].clone();
        let version = self.ledger.known.lock().expect("not poisoned")[&id].version;
        let (name, content) = self.content();
        self.note(&id, |known| known.in_doubt.push(Some(name.clone())));
        match self.ask(Method::PUT, &format!("/{id}"), ("if-match", format!("\"{version}\"")), Some(&content)).await {
            Some((StatusCode::OK, body)) => {
                let version = body["version"].as_i64().expect("a version");
                self.note(&id, |known| *known = Known { answered: Some(name), in_doubt: Vec::new(), version });
                true
            }
            // One of those in doubt is there: what it is now is what counts from here.
            Some((StatusCode::PRECONDITION_FAILED, body)) => {
                let (version, current) = (body["current"]["version"].as_i64().expect("a version"), body["current"]["name"].clone());
                self.note(&id, |known| {
                    known.in_doubt.pop();
                    assert!(known.in_doubt.iter().any(|name| name.as_deref() == current.as_str()), "{id} is {current}: {known:?}");
                    (known.version, known.answered) = (version, current.as_str().map(str::to_owned));
                });
                true
            }
            // A removal in doubt is there.
            Some((StatusCode::NOT_FOUND, _)) => {
                self.note(&id, |known| {
                    assert!(known.in_doubt.contains(&None), "{id} is gone: {known:?}");
                    known.answered = None;
                });
                self.mine.swap_remove(place);
                true
            }
            Some((status, body)) => {
                assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
                false
            }
            None => false,
        }
    }

    async fn delete(&mut self, place: usize) -> bool {
        let id = self.mine[place].clone();
        self.note(&id, |known| known.in_doubt.push(None));
        match self.ask(Method::DELETE, &format!("/{id}"), ("x-writer", self.number.to_string()), None).await {
            Some((StatusCode::NO_CONTENT | StatusCode::NOT_FOUND, _)) => {
                self.note(&id, |known| (known.answered, known.in_doubt) = (None, Vec::new()));
                self.mine.swap_remove(place);
                true
            }
            Some((status, body)) => {
                assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
                false
            }
            None => false,
        }
    }
}
