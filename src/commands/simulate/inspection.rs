//! The end of a simulation, before edges go: what each of them holds is compared with what the supervisor says that
//! it should hold, and some of it word for word with what admins read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use reqwest::Method;
use reqwest::header::AUTHORIZATION;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::account::Account;
use super::api::{Api, Failure};
use super::content::Content;
use super::fingerprint::fingerprint;
use super::protocol::Held;
use super::random::Random;

/// As long as is promised.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Time for all of it, however much goes on.
const LONGEST: Duration = Duration::from_mins(2);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(200);
/// Requests at once.
const AT_ONCE: usize = 8;
/// Decorations that are compared word for word: of one edge, and of all.
const READ_PER_EDGE: usize = 3;
const READ: usize = 60;
/// Most differences that are told.
const MAX_TOLD: usize = 20;

/// An edge whose content is looked at.
pub(super) struct Inspected {
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) content: Arc<Mutex<Content>>,
}

/// What the supervisor says about the content of an edge.
#[derive(Deserialize)]
struct Status {
    wanted: Held,
    counts: Counts,
}

#[derive(Deserialize)]
struct Counts {
    pending: u64,
    outdated: u64,
    failed: u64,
}

/// Asks as the admin.
pub(super) struct Inspection<'a> {
    pub(super) api: &'a Api,
    pub(super) admin: &'a Account,
    /// Time without any progress after which a difference is one.
    pub(super) patience: Duration,
}

impl Inspected {
    fn held(&self) -> Held {
        self.content.lock().unwrap_or_else(PoisonError::into_inner).held()
    }

    /// Some of what it holds, by chance.
    fn some(&self, random: &mut Random) -> BTreeSet<Uuid> {
        let ids: Vec<Uuid> = self.content.lock().unwrap_or_else(PoisonError::into_inner).items().map(|(id, _)| id).collect();
        (0..READ_PER_EDGE).filter_map(|_| random.one_of(&ids).copied()).collect()
    }
}

impl Inspection<'_> {
    /// Waits until all edges hold what they should; in words, what is different then.
    pub(super) async fn differences(&self, edges: Vec<Inspected>, random: &mut Random) -> Vec<String> {
        let began = Instant::now();
        let (mut progress, mut seen) = (began, BTreeMap::new());
        let (mut waiting, mut right) = (edges, Vec::new());
        let mut told = loop {
            let looks = stream::iter(waiting).map(async |edge| (self.difference(&edge).await, edge)).buffer_unordered(AT_ONCE);
            let mut told = Vec::new();
            waiting = Vec::new();
            for (difference, edge) in looks.collect::<Vec<_>>().await {
                let held = edge.held();
                if seen.insert(edge.id, held.clone()) != Some(held) {
                    progress = Instant::now();
                }
                match difference {
                    Some(words) => {
                        told.push(words);
                        waiting.push(edge);
                    }
                    None => right.push(edge),
                }
            }
            if waiting.is_empty() || progress.elapsed() >= self.patience || began.elapsed() >= LONGEST {
                break told;
            }
            tokio::time::sleep(LOOK).await;
        };
        let some: Vec<_> = right.iter().flat_map(|edge| edge.some(random).into_iter().map(move |id| (edge, id))).take(READ).collect();
        let readings = some.into_iter().map(|(edge, id)| self.patiently_read(edge, id)).collect::<Vec<_>>();
        told.extend(stream::iter(readings).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await.into_iter().flatten());
        if told.len() > MAX_TOLD {
            let more = told.len() - MAX_TOLD;
            told.truncate(MAX_TOLD);
            told.push(format!("and {more} more"));
        }
        told
    }

    /// Compares what an edge holds with what it should; `None`: it is the same.
    async fn difference(&self, edge: &Inspected) -> Option<String> {
        let status = match self.ask::<Status>("status of an edge's content", &format!("/sync/status/{}?limit=1", edge.id)).await {
            Ok(status) => status,
            Err(failure) => return Some(format!("{} cannot be compared: {failure}", edge.name)),
        };
        let (held, Status { wanted, counts: Counts { pending, outdated, failed } }) = (edge.held(), status);
        (held != wanted).then(|| {
            format!(
                "{} holds {} decorations with digest {} and should hold {} with {}; by the supervisor's books {pending} are pending, \
                 {outdated} outdated and {failed} failed",
                edge.name, held.count, held.digest, wanted.count, wanted.digest
            )
        })
    }

    /// Compares one decoration with what admins read. Somebody may be editing it: then it is right a little later.
    async fn patiently_read(&self, edge: &Inspected, id: Uuid) -> Option<String> {
        let began = Instant::now();
        loop {
            let difference = self.misread(edge, id).await?;
            if began.elapsed() >= self.patience {
                return Some(difference);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn misread(&self, edge: &Inspected, id: Uuid) -> Option<String> {
        let read = self.ask::<Map<String, Value>>("reading a decoration", &format!("/decorations/{id}")).await;
        let item = edge.content.lock().unwrap_or_else(PoisonError::into_inner).item(id)?;
        match read {
            Ok(read) if fingerprint(&read) == item.fingerprint => None,
            Ok(_) => {
                Some(format!("{} holds another text of decoration {id}, as number {}, than admins read", edge.name, item.sync_version))
            }
            Err(failure) => Some(format!("{} holds decoration {id}, which cannot be read: {failure}", edge.name)),
        }
    }

    async fn ask<T: DeserializeOwned>(&self, what: &'static str, path: &str) -> Result<T, Failure> {
        let bearer = self.admin.bearer(self.api).await?;
        let request = || self.api.request(Method::GET, path).header(AUTHORIZATION, bearer.clone());
        self.api.ask_patiently(what, &CancellationToken::new(), request).await
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::extract::{Path, State};
    use axum::routing::{get, post};
    use serde_json::json;
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    use super::super::protocol::{Batch, Put};
    use super::*;

    const EDGE: Uuid = Uuid::from_u128(1);
    const DECORATION: Uuid = Uuid::from_u128(2);

    /// What the supervisor says: what the edge should hold, and what the decoration is.
    type Books = Arc<Mutex<(Held, Value)>>;

    /// A server with these books, and an admin who is signed in at it.
    async fn server(books: &Books) -> (Api, Account, JoinSet<()>) {
        let tokens = json!({"access_token": "a", "refresh_token": "r", "expires_in": 900, "user": {"id": Uuid::nil(), "role": "admin"}});
        let status = async |Path(id): Path<Uuid>, State(books): State<Books>| {
            assert_eq!(id, EDGE);
            let wanted = books.lock().expect("whole").0.clone();
            axum::Json(json!({"wanted": wanted, "counts": {"pending": 1, "synced": 0, "failed": 2, "outdated": 3}, "items": []}))
        };
        let decoration = async |Path(_): Path<Uuid>, State(books): State<Books>| axum::Json(books.lock().expect("whole").1.clone());
        let router = Router::new()
            .route("/api/v1/auth/login", post(async move || axum::Json(tokens)))
            .route("/api/v1/sync/status/{id}", get(status))
            .route("/api/v1/decorations/{id}", get(decoration))
            .with_state(Arc::clone(books));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let api = Api::new(&format!("http://{}", listener.local_addr().expect("an address"))).expect("an address");
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, router).await.expect("serves") });
        let admin = Account::sign_in_patiently(&api, "a@example.org", "x".into(), &CancellationToken::new()).await.expect("signs in");
        (api, admin, tasks)
    }

    fn text(name: &str) -> Value {
        json!({"id": DECORATION, "name": name})
    }

    /// An edge that holds the decoration, under this number.
    fn edge(sync_version: i64) -> Inspected {
        let mut content = Content::default();
        let fingerprint = fingerprint(text("gate").as_object().expect("an object"));
        let decorations = vec![Put { id: DECORATION, sync_version, fingerprint }];
        content.apply(&Batch { id: 1, version: sync_version, decorations, removed: Vec::new(), snapshot: None });
        Inspected { id: EDGE, name: "sim-7-1".to_owned(), content: Arc::new(Mutex::new(content)) }
    }

    async fn differences(edge: Inspected, books: &Books, patience: Duration) -> Vec<String> {
        let (api, admin, _tasks) = server(books).await;
        let inspection = Inspection { api: &api, admin: &admin, patience };
        inspection.differences(vec![edge], &mut Random::new(7, 0)).await
    }

    #[tokio::test]
    async fn an_edge_that_is_right_in_the_end_is_right() {
        let (late, other) = (edge(5), edge(6));
        let books = Arc::new(Mutex::new((other.held(), text("gate"))));
        let catching_up = async {
            tokio::time::sleep(LOOK * 2).await;
            late.content.lock().expect("whole").clone_from(&other.content.lock().expect("whole"));
        };
        let watched = Inspected { id: EDGE, name: late.name.clone(), content: Arc::clone(&late.content) };
        let (differences, ()) = tokio::join!(differences(watched, &books, PATIENCE), catching_up);
        assert_eq!(differences, Vec::<String>::new());
    }

    #[tokio::test]
    async fn an_edge_that_is_not_is_named_with_what_the_books_say() {
        let books = Arc::new(Mutex::new((edge(6).held(), text("gate"))));
        let differences = differences(edge(5), &books, Duration::ZERO).await;
        let [told] = differences.as_slice() else { panic!("{differences:?}") };
        for part in
            ["sim-7-1 holds 1 decorations", &edge(5).held().digest, &edge(6).held().digest, "1 are pending, 3 outdated and 2 failed"]
        {
            assert!(told.contains(part), "{part} in {told}");
        }
    }

    #[tokio::test]
    async fn the_right_number_with_another_text_is_wrong() {
        let books = Arc::new(Mutex::new((edge(5).held(), text("tower"))));
        let differences = differences(edge(5), &books, Duration::ZERO).await;
        let [told] = differences.as_slice() else { panic!("{differences:?}") };
        assert!(told.contains("another text"), "{told}");
    }
}
