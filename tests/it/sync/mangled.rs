//! P3: messages that come twice, in another order, or again later have one effect, and no version falls.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::{Error, Message};
use uuid::Uuid;

use super::delivering::{at, create, put, settled};
use super::routes::run;
use crate::editing::{content_with, path_of};
use crate::support::{Config, Held, HoldingEdge, Proof, Random, RegisteredEdge, TestServer, edge_body, eventually, rounds};

/// Messages that are remembered, to be sent again.
const REMEMBERED: usize = 50;
/// Messages that are held back longest.
const HELD_BACK: usize = 4;

/// What a proxy does, and has done.
struct Mangling {
    random: Mutex<Random>,
    /// Messages that went through, changed in some way or not.
    messages: AtomicUsize,
    duplicated: AtomicUsize,
    reordered: AtomicUsize,
    replayed: AtomicUsize,
    /// From so many messages on all goes through as it comes.
    most: usize,
}

impl Mangling {
    fn below(&self, count: usize) -> usize {
        self.random.lock().expect("not poisoned").below(count)
    }

    fn is_on(&self) -> bool {
        self.messages.load(Ordering::Relaxed) < self.most
    }
}

/// Listens for edges and relays what they and the service say to each other, mangled.
async fn proxy(upstream: SocketAddr, mangling: Arc<Mangling>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(relay(stream, upstream, Arc::clone(&mangling)));
        }
    });
    address
}

/// One edge's connection. Whatever goes wrong ends it, and the edge comes again.
async fn relay(stream: TcpStream, upstream: SocketAddr, mangling: Arc<Mangling>) {
    let mut asked = None;
    #[expect(clippy::result_large_err, reason = "the library's own callback")]
    let note = |request: &Request, response: Response| {
        asked = Some((request.uri().path().to_owned(), request.headers()["authorization"].clone()));
        Ok(response)
    };
    let Ok(edge) = tokio_tungstenite::accept_hdr_async(stream, note).await else { return };
    let (path, bearer) = asked.expect("the handshake was made");
    let mut request = format!("ws://{upstream}{path}").into_client_request().expect("a request");
    request.headers_mut().insert("authorization", bearer);
    let Ok((service, _)) = tokio_tungstenite::connect_async(request).await else { return };
    let (to_edge, from_edge): (SplitSink<WebSocketStream<TcpStream>, Message>, SplitStream<_>) = edge.split();
    let (to_service, from_service) = service.split();
    tokio::select! {
        () = mangle(from_edge, to_service, &mangling) => {}
        () = mangle(from_service, to_edge, &mangling) => {}
    }
}

/// One direction: each message may be held back while others overtake it, go twice, or be followed by one of those
/// that went before. The first one stays what it is.
async fn mangle(mut from: impl Stream<Item = Result<Message, Error>> + Unpin, mut to: impl Sink<Message> + Unpin, mangling: &Mangling) {
    let (mut first, mut held_back, mut remembered): (bool, VecDeque<Message>, VecDeque<Message>) = (true, VecDeque::new(), VecDeque::new());
    loop {
        let next = tokio::time::timeout(Duration::from_millis(20), from.next()).await;
        let mut out = Vec::new();
        match next {
            // Nobody is to wait for what is held back for long.
            Err(_elapsed) => out.extend(held_back.drain(..)),
            Ok(Some(Ok(message @ Message::Text(_)))) if std::mem::take(&mut first) => out.push(message),
            Ok(Some(Ok(message @ Message::Text(_)))) if mangling.is_on() => {
                mangling.messages.fetch_add(1, Ordering::Relaxed);
                remembered.push_back(message.clone());
                if remembered.len() > REMEMBERED {
                    remembered.pop_front();
                }
                match mangling.below(4) {
                    0 if held_back.len() < HELD_BACK => held_back.push_back(message),
                    1 => {
                        mangling.duplicated.fetch_add(1, Ordering::Relaxed);
                        out.extend([message.clone(), message]);
                    }
                    2 => {
                        mangling.replayed.fetch_add(1, Ordering::Relaxed);
                        out.extend([message, remembered[mangling.below(remembered.len())].clone()]);
                    }
                    _ => out.push(message),
                }
                if !out.is_empty() && !held_back.is_empty() && mangling.below(2) == 0 {
                    mangling.reordered.fetch_add(1, Ordering::Relaxed);
                    out.extend(held_back.remove(mangling.below(held_back.len())));
                }
            }
            Ok(Some(Ok(message))) => {
                out.extend(held_back.drain(..));
                out.push(message);
            }
            Ok(Some(Err(_)) | None) => return,
        }
        for message in out {
            if to.send(message).await.is_err() {
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn duplicated_reordered_and_replayed_messages_have_one_effect_and_no_version_falls() {
    let mut random = Random::seeded("mangled messages");
    let mut proof = Proof::of("P3", "messages duplicated, reordered and replayed").seeded(random.seed());
    let mangling = Arc::new(Mangling {
        random: Mutex::new(Random::of(random.bits())),
        messages: AtomicUsize::new(0),
        duplicated: AtomicUsize::new(0),
        reordered: AtomicUsize::new(0),
        replayed: AtomicUsize::new(0),
        most: rounds(500, 10_000),
    });
    let t = TestServer::start_with(Config::of("EDGE_SYNC_INTERVAL", "1s")).await;
    let admin = t.admin().await;
    // The books are watched: a number never falls.
    run(
        &t,
        "CREATE TABLE public.falls (edge_server_id uuid, decoration_id uuid, before bigint, after bigint);
         CREATE TABLE public.refusals (decoration_id uuid, attempts integer);
         CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN
             IF new.sync_version < old.sync_version THEN
                 INSERT INTO public.falls VALUES (new.edge_server_id, new.decoration_id, old.sync_version, new.sync_version);
             ELSIF new.attempts > old.attempts THEN
                 INSERT INTO public.refusals VALUES (new.decoration_id, new.attempts);
             END IF;
             RETURN new; END';
         CREATE TRIGGER note BEFORE UPDATE ON ar.decoration_sync FOR EACH ROW EXECUTE FUNCTION public.note()",
    )
    .await;
    let address = proxy(t.address, Arc::clone(&mangling)).await;
    let mut edges = Vec::new();
    for name in ["a", "b", "c"] {
        let registered = RegisteredEdge::create(&t, &admin, edge_body(name, 10.0, 20.0)).await;
        edges.push(HoldingEdge::live(registered, at(address), Held::default()));
    }
    let mut decorations: Vec<Value> = Vec::new();
    let (mut n, mut refused) = (0, None);
    while mangling.is_on() {
        n += 1;
        let name = format!("{n}");
        match random.below(4) {
            0 if decorations.len() < 40 => decorations.push(create(&t, &admin, &name, 10.0, 20.0).await),
            1 if decorations.len() > 20 => {
                let gone = decorations.swap_remove(random.below(decorations.len()));
                assert_eq!(admin.ask(&t, reqwest::Method::DELETE, &path_of(&gone)).await.status, 204);
            }
            _ if decorations.is_empty() => {}
            _ => {
                let lat = *random.one_of(&[10.0, 10.0, 10.0, 50.0]);
                put(&t, &admin, random.one_of(&decorations), content_with(&name, json!({"lat": lat, "lng": 20.0}))).await;
            }
        }
        if n == 30 {
            // One edge refuses one of them, once: it is tried again after a second, and no answer counts twice.
            let decoration = decorations.pop().expect("there are some");
            let id: Uuid = decoration["id"].as_str().expect("an id").parse().expect("a UUID");
            // What it refuses is the next number, and not one that is under way still.
            settled(&t.sql, &edges[0]).await;
            edges[0].change(|held| drop(held.refused.insert(id, "busy".to_owned())));
            put(&t, &admin, &decoration, content_with("refused", json!({"lat": 10.0, "lng": 20.0}))).await;
            eventually("it was refused", async || edges[0].held().refusals.get(&id).copied()).await;
            edges[0].change(|held| drop(held.refused.remove(&id)));
            refused = Some(id);
        }
    }
    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    println!(
        "{} messages, of which {} went twice, {} were overtaken and {} came again later; {n} writes",
        count(&mangling.messages),
        count(&mangling.duplicated),
        count(&mangling.reordered),
        count(&mangling.replayed)
    );
    proof.tried(count(&mangling.messages));
    for edge in &edges {
        settled(&t.sql, edge).await;
        let held = edge.held();
        println!("{} entries, {} effects, {} snapshots, {} inventories", held.entries, held.effects, held.snapshots, held.inventories);
        assert_eq!((held.falls, held.repeats, held.modes.len()), (0, 0, 1));
        let names: Vec<(Uuid, String)> = sqlx::query_as(
            "SELECT d.id, d.name FROM ar.decorations d JOIN ar.decoration_sync s ON s.decoration_id = d.id
             WHERE s.edge_server_id = $1 ORDER BY d.id",
        )
        .bind(edge.edge.id)
        .fetch_all(&t.sql)
        .await
        .expect("reads");
        let held: Vec<(Uuid, String)> =
            held.items.iter().map(|(id, (_, content))| (*id, content["name"].as_str().expect("a name").to_owned())).collect();
        assert_eq!(held, names);
    }
    let refused = refused.expect("one was refused");
    let held = edges[0].held();
    assert!(held.items.contains_key(&refused));
    let counted: Vec<(Uuid, i32)> = sqlx::query_as("SELECT * FROM public.refusals").fetch_all(&t.sql).await.expect("reads");
    // A refusal may meet a row that is locked: then it is not counted, but sent again at once.
    assert!(counted.iter().all(|(id, _)| *id == refused), "{counted:?}");
    assert!(counted.len() <= held.refusals[&refused] as usize, "said {} times, counted {counted:?}", held.refusals[&refused]);
    let falls: i64 = sqlx::query_scalar("SELECT count(*) FROM public.falls").fetch_one(&t.sql).await.expect("counts");
    proof.failed(usize::try_from(falls).expect("few"));
    assert_eq!(falls, 0, "numbers that fell");
}
