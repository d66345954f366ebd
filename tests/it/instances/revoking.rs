//! Whatever ends somebody's access bites on the other process too, his open sockets included (P18).

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::Two;
use crate::support::{Account, PASSWORD, Proof, RegisteredEdge, Socket, edge_body, eventually, rounds};

/// What is promised.
const LATEST: Duration = Duration::from_secs(5);

/// What may end an access.
#[derive(Clone, Copy, Debug)]
enum End {
    Logout,
    SessionDeleted,
    Disabled,
    Demoted,
    PasswordChanged,
    KeyRevoked,
    EdgeDeleted,
}

const ENDS: [End; 7] =
    [End::Logout, End::Disabled, End::Demoted, End::PasswordChanged, End::KeyRevoked, End::EdgeDeleted, End::SessionDeleted];

/// Opens an admin's socket.
async fn look(two: &Two, admin: &Account) -> Socket {
    let bearer = format!("Bearer {}", admin.access_token);
    let mut socket = Socket::open(&two.b, "/ws/admin", &[("authorization", &bearer)]).await.expect("opens");
    socket.data("snapshot").await;
    socket
}

/// An end of an admin's access, made on one process: his socket on the other closes, and he is asked who he is.
async fn end_of_an_admin(two: &Two, root: &Account, end: End, trial: usize) -> Duration {
    let Two { a, b, .. } = two;
    let ada = a.admin().await;
    let phone = Account::sign_in(a, &ada.email, PASSWORD).await;
    let mut socket = look(two, &phone).await;
    phone.get(b, "/api/v1/users?limit=1").await.ok(); // known there
    let change = async |body: Value| root.send(a, Method::PATCH, &format!("/api/v1/users/{}", ada.id), body).await.ok();
    let (begun, mut status) = (Instant::now(), 401);
    match end {
        End::Logout => assert_eq!(phone.ask(a, Method::POST, "/api/v1/auth/logout").await.status, 204),
        End::SessionDeleted => {
            let sessions = phone.get(a, "/api/v1/auth/sessions").await.items();
            let own = sessions.iter().find(|session| session["current"] == true).expect("its own").clone();
            let path = format!("/api/v1/auth/sessions/{}", own["id"].as_str().expect("an id"));
            assert_eq!(ada.ask(a, Method::DELETE, &path).await.status, 204);
        }
        End::Disabled => drop(change(json!({"is_active": false})).await),
        End::Demoted => {
            change(json!({"role": "user"})).await;
            status = 403;
        }
        _ => {
            let body = json!({"current_password": PASSWORD, "new_password": format!("nine copper wheels spin {trial}")});
            ada.send(a, Method::PUT, "/api/v1/auth/profile", body).await.ok();
        }
    }
    assert_eq!(socket.closed().await, (1008, "signed_out".to_owned()), "{end:?}");
    eventually("the other process knows", async || (phone.get(b, "/api/v1/users?limit=1").await.status == status).then_some(())).await;
    begun.elapsed()
}

/// The same of an edge.
async fn end_of_an_edge(two: &Two, root: &Account, end: End) -> Duration {
    let Two { a, b, .. } = two;
    let edge = RegisteredEdge::create(a, root, edge_body("a", 1.0, 2.0)).await;
    let (mut socket, _) = edge.connect(b).await;
    let path = format!("/api/v1/edge-servers/{}", edge.id);
    let begun = Instant::now();
    if matches!(end, End::EdgeDeleted) {
        assert_eq!(root.ask(a, Method::DELETE, &path).await.status, 204);
    } else {
        let renewed = root.send(a, Method::POST, &format!("{path}/keys"), json!({"revoke_previous": true})).await;
        assert_eq!(renewed.status, 201, "{}", renewed.text());
    }
    assert_eq!(socket.closed().await, (1008, "key_revoked".to_owned()), "{end:?}");
    let bearer = format!("Bearer {}", edge.key);
    eventually("its key opens nothing", async || {
        let refused = Socket::open(b, &format!("/ws/edge/{}", edge.id), &[("authorization", &bearer)]).await.err();
        (refused == Some(401)).then_some(())
    })
    .await;
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_end_closes_the_sockets_on_the_other_process() {
    let two = Two::start(&[]).await;
    let root = two.a.admin().await;
    let trials = rounds(ENDS.len(), 100);
    let (mut slowest, mut of) = (Duration::ZERO, None);
    let mut proof = Proof::of("P18", "ends of access, sockets on the other process");
    for trial in 0..trials {
        proof.tried(1);
        let end = ENDS[trial % ENDS.len()];
        let took = match end {
            End::KeyRevoked | End::EdgeDeleted => end_of_an_edge(&two, &root, end).await,
            _ => end_of_an_admin(&two, &root, end, trial).await,
        };
        if took > slowest {
            (slowest, of) = (took, Some(end));
        }
        assert!(took < LATEST, "{end:?} took {took:?}");
    }
    proof.measured(format!("the slowest was {of:?}: {slowest:?}"));
}
