//! Every route × actor cell is decided and tested (P19). Routes come from the served OpenAPI document; what each
//! is to answer stands here, so that a new route without a row fails.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};

use super::forged;
use crate::support::{Account, Answer, PASSWORD, Proof, TestServer};

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Actor {
    Anonymous,
    Owner,
    OtherUser,
    Admin,
    Edge,
    OtherEdge,
    Expired,
    SignedOut,
    Disabled,
    Demoted,
}

use Actor::{Admin, Anonymous, Demoted, Disabled, Edge, Expired, OtherEdge, OtherUser, Owner, SignedOut};

const ACTORS: [Actor; 10] = [Anonymous, Owner, OtherUser, Admin, Edge, OtherEdge, Expired, SignedOut, Disabled, Demoted];

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Row {
    Anyone,
    /// Whoever is signed in, about himself.
    SignedIn,
    /// Whoever is signed in; somebody else's object is not found.
    OwnerOnly,
    /// The owner and admins; to others it is not found.
    OwnerOrAdmins,
    Admins,
    /// Admins, and the edge server that the path names.
    AdminsOrEdge,
    /// The edge server that the path names.
    EdgeOnly,
}

fn rows() -> BTreeMap<(&'static str, &'static str), Row> {
    use Row::{Admins, AdminsOrEdge, Anyone, EdgeOnly, OwnerOnly, OwnerOrAdmins, SignedIn};
    BTreeMap::from([
        (("GET", "/.well-known/jwks.json"), Anyone),
        (("GET", "/health/live"), Anyone),
        (("GET", "/health/ready"), Anyone),
        (("POST", "/dashboard/session"), Anyone),
        (("PUT", "/dashboard/session"), Anyone),
        (("DELETE", "/dashboard/session"), Anyone),
        (("POST", "/api/v1/auth/register"), Anyone),
        (("POST", "/api/v1/auth/login"), Anyone),
        (("POST", "/api/v1/auth/refresh"), Anyone),
        (("POST", "/api/v1/auth/password-reset"), Anyone),
        (("POST", "/api/v1/auth/logout"), SignedIn),
        (("GET", "/api/v1/auth/profile"), SignedIn),
        (("PUT", "/api/v1/auth/profile"), SignedIn),
        (("GET", "/api/v1/auth/sessions"), SignedIn),
        (("DELETE", "/api/v1/auth/sessions/{id}"), OwnerOnly),
        (("POST", "/api/v1/auth/ws-ticket"), SignedIn),
        (("GET", "/api/v1/users"), Admins),
        (("PATCH", "/api/v1/users/{id}"), Admins),
        (("POST", "/api/v1/users/{id}/password-reset"), Admins),
        (("GET", "/api/v1/audit"), Admins),
        (("GET", "/api/v1/log-level"), Admins),
        (("PUT", "/api/v1/log-level"), Admins),
        (("DELETE", "/api/v1/log-level"), Admins),
        (("GET", "/api/v1/decorations"), Admins),
        (("POST", "/api/v1/decorations"), Admins),
        (("GET", "/api/v1/decorations/{id}"), Admins),
        (("PUT", "/api/v1/decorations/{id}"), Admins),
        (("DELETE", "/api/v1/decorations/{id}"), Admins),
        (("POST", "/api/v1/decorations/{id}/restore"), Admins),
        (("POST", "/api/v1/decorations/{id}/sync"), Admins),
        (("POST", "/api/v1/decorations/import"), Admins),
        (("GET", "/api/v1/decorations/export"), Admins),
        (("GET", "/api/v1/decorations/nearby"), Anyone),
        (("GET", "/api/v1/decorations/bounds"), Anyone),
        (("GET", "/api/v1/decorations/clusters"), Anyone),
        (("GET", "/api/v1/decorations/region"), Anyone),
        (("PUT", "/api/v1/devices/{device_id}/location"), SignedIn),
        (("GET", "/api/v1/devices"), SignedIn),
        (("GET", "/api/v1/devices/{device_id}"), OwnerOrAdmins),
        (("DELETE", "/api/v1/devices/{device_id}"), OwnerOrAdmins),
        (("GET", "/api/v1/devices/edge/{edge_id}"), AdminsOrEdge),
        (("GET", "/api/v1/edge-servers"), Admins),
        (("POST", "/api/v1/edge-servers"), Admins),
        (("GET", "/api/v1/edge-servers/best"), Anyone),
        (("GET", "/api/v1/edge-servers/{id}"), Admins),
        (("PUT", "/api/v1/edge-servers/{id}"), Admins),
        (("DELETE", "/api/v1/edge-servers/{id}"), Admins),
        (("POST", "/api/v1/edge-servers/{id}/keys"), Admins),
        (("POST", "/api/v1/edge-servers/{id}/drain"), Admins),
        (("DELETE", "/api/v1/edge-servers/{id}/drain"), Admins),
        (("POST", "/api/v1/edge-servers/{id}/health-check"), Admins),
        (("GET", "/api/v1/edge-servers/{id}/status"), AdminsOrEdge),
        (("POST", "/api/v1/edge-servers/{id}/ping"), EdgeOnly),
        (("GET", "/api/v1/regions"), Anyone),
        (("GET", "/api/v1/regions/{code}"), Anyone),
        (("PUT", "/api/v1/regions/{code}"), Admins),
        (("DELETE", "/api/v1/regions/{code}"), Admins),
        (("POST", "/api/v1/sync/decorations/all"), Admins),
        (("POST", "/api/v1/sync/decorations/edge/{edge_id}"), Admins),
        (("POST", "/api/v1/sync/trigger/{edge_server_id}"), Admins),
        (("GET", "/api/v1/sync/status/{edge_server_id}"), Admins),
        (("GET", "/api/v1/metrics/edge/{edge_id}"), Admins),
        (("GET", "/api/v1/metrics/system"), Admins),
        (("GET", "/api/v1/metrics/devices/active"), Admins),
        (("GET", "/api/v1/metrics/load-distribution"), Admins),
        (("GET", "/api/v1/metrics/decorations"), Admins),
        (("GET", "/tiles/{layer}/{z}/{x}/{y}"), Anyone),
        (("GET", "/tiles/{document}"), Anyone),
        (("GET", "/tiles/device_density/{z}/{x}/{y}"), Admins),
        (("GET", "/tiles/device_density.json"), Admins),
        (("GET", "/ogc"), Anyone),
        (("GET", "/ogc/conformance"), Anyone),
        (("GET", "/ogc/api"), Anyone),
        (("GET", "/ogc/collections"), Anyone),
        (("GET", "/ogc/collections/decorations"), Anyone),
        (("GET", "/ogc/collections/decorations/items"), Anyone),
        (("GET", "/ogc/collections/decorations/items/{feature_id}"), Anyone),
        (("GET", "/ogc/collections/edges"), Anyone),
        (("GET", "/ogc/collections/edges/items"), Anyone),
        (("GET", "/ogc/collections/edges/items/{feature_id}"), Anyone),
        (("GET", "/ogc/collections/coverage"), Anyone),
        (("GET", "/ogc/collections/coverage/items"), Anyone),
        (("GET", "/ogc/collections/coverage/items/{feature_id}"), Anyone),
        (("GET", "/ogc/collections/regions"), Anyone),
        (("GET", "/ogc/collections/regions/items"), Anyone),
        (("GET", "/ogc/collections/regions/items/{feature_id}"), Anyone),
        (("GET", "/ogc/collections/decoration_cells"), Anyone),
        (("GET", "/ogc/collections/decoration_cells/items"), Anyone),
        (("GET", "/ogc/collections/decoration_cells/items/{feature_id}"), Anyone),
    ])
}

/// What a cell is to answer: 401, 403, 404, or none of them.
fn expected(row: Row, actor: Actor) -> Option<u16> {
    let is_nobody = matches!(actor, Anonymous | Expired | SignedOut | Disabled);
    match (row, actor) {
        (Row::Anyone, _) => None,
        (_, _) if is_nobody => Some(401),
        (Row::AdminsOrEdge | Row::EdgeOnly, Edge) => None,
        (_, Edge | OtherEdge) => Some(403),
        (Row::SignedIn, _)
        | (Row::OwnerOnly | Row::OwnerOrAdmins, Owner)
        | (Row::Admins | Row::AdminsOrEdge | Row::OwnerOrAdmins, Admin) => None,
        (Row::OwnerOnly | Row::OwnerOrAdmins, _) => Some(404),
        (Row::Admins | Row::AdminsOrEdge | Row::EdgeOnly, _) => Some(403),
    }
}

/// The actors with their tokens, and a session of the owner's that others have no business with.
struct Cast {
    tokens: BTreeMap<Actor, Option<String>>,
    owners_session: String,
}

/// The identifier that is put into every path.
const EDGE: &str = "01890000-0000-7000-8000-000000000000";

/// Registers an edge server by SQL; a key of its own.
async fn edge_key(t: &TestServer, id: &str) -> String {
    let sql = "WITH edge AS (
            INSERT INTO ar.edge_servers (id, name, region, api_url, websocket_url, location, service_area)
            SELECT $1::uuid, 'e', 'r', 'https://e', 'wss://e', p.place, gis.circle_area(p.place, 5000)
            FROM (SELECT 'SRID=4326;POINT(0 0)'::geography AS place) AS p RETURNING id)
        INSERT INTO ar.edge_keys (id, edge_server_id, key_hash) SELECT id, id, sha256($2) FROM edge";
    let secret = format!("{:0>32}", &id[4..]).into_bytes();
    sqlx::query(sql).bind(id).bind(&secret).execute(&t.sql).await.expect("the edge goes in");
    format!("ek_{id}_{}", URL_SAFE_NO_PAD.encode(secret))
}

async fn cast(t: &TestServer) -> Cast {
    let admin = t.admin().await;
    let (owner, other, disabled, demoted) = (t.user().await, t.user().await, t.user().await, t.admin().await);
    let signed_out = t.admin().await;
    let expired = forged::expired(&admin.access_token);
    let again = Account::sign_in(t, &owner.email, PASSWORD).await;
    let sessions = again.get(t, "/api/v1/auth/sessions").await.ok().items();
    let owners_session = sessions.iter().find(|session| session["current"] == false).expect("one more")["id"].clone();
    assert_eq!(signed_out.ask(t, Method::POST, "/api/v1/auth/logout").await.status, 204);
    for (id, change) in [(disabled.id, json!({"is_active": false})), (demoted.id, json!({"role": "user"}))] {
        admin.send(t, Method::PATCH, &format!("/api/v1/users/{id}"), change).await.ok();
    }
    let device = json!({"lat": 1, "lng": 2});
    owner.send(t, Method::PUT, "/api/v1/devices/owners/location", device).await.ok();
    let (edge, other_edge) = (edge_key(t, EDGE).await, edge_key(t, "01890000-0000-7000-8000-000000000001").await);
    Cast {
        tokens: BTreeMap::from([
            (Anonymous, None),
            (Owner, Some(again.access_token)),
            (OtherUser, Some(other.access_token)),
            (Admin, Some(admin.access_token)),
            (Edge, Some(edge)),
            (OtherEdge, Some(other_edge)),
            (Expired, Some(expired)),
            (SignedOut, Some(signed_out.access_token)),
            (Disabled, Some(disabled.access_token)),
            (Demoted, Some(demoted.access_token)),
        ]),
        owners_session: owners_session.as_str().expect("an id").to_owned(),
    }
}

#[tokio::test]
async fn every_route_lets_in_whom_it_should_and_nobody_else() {
    let t = TestServer::start().await;
    let cast = cast(&t).await;
    let document = t.get("/openapi.json").await.ok().json();
    let rows = rows();
    let mut proof = Proof::of("P19", "cells of route and actor");
    let mut cells = 0;
    let mut wrong = Vec::new();
    let mut published = 0;
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            published += 1;
            let method: Method = method.to_uppercase().parse().expect("a method");
            let row =
                *rows.get(&(method.as_str(), path.as_str())).unwrap_or_else(|| panic!("{method} {path} has no row: decide who may use it"));
            assert_eq!(operation["security"], published_security(row), "{method} {path} publishes what is decided");
            // Last, because it ends what it asks about.
            let actors = ACTORS.into_iter().filter(|actor| *actor != Owner).chain([Owner]);
            for actor in actors {
                let id = if path.contains("/sessions/") { &cast.owners_session } else { EDGE };
                let path = path.replace("{id}", id).replace("{edge_id}", EDGE).replace("{edge_server_id}", EDGE);
                let path = path.replace("{code}", "nowhere").replace("{device_id}", "owners");
                // Nothing that would change who they are: signing out is tried with a query that is refused.
                let ends_an_actor =
                    path.ends_with("/logout") || (method == Method::DELETE && path.ends_with(EDGE) && path.contains("/edge-servers/"));
                let spare = if ends_an_actor { "?x=1" } else { "" };
                let mut request = t.request(method.clone(), &format!("{path}{spare}"));
                if let Some(token) = &cast.tokens[&actor] {
                    request = request.bearer_auth(token);
                }
                let answer = Answer::of(request).await;
                let is_right = match expected(row, actor) {
                    Some(status) => answer.status == status,
                    // Let in: whatever the route says to an empty request, and nothing of ours to mend.
                    None => !matches!(answer.status, 401 | 403 | 405) && answer.status < 500,
                };
                if !is_right {
                    wrong.push(format!("{method} {path} as {actor:?}: {} {}", answer.status, answer.text()));
                }
                cells += 1;
            }
        }
    }
    println!("{published} routes, {cells} cells, {} wrong", wrong.len());
    proof.tried(cells);
    proof.failed(wrong.len());
    proof.measured(format!("{published} routes"));
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(published, rows.len(), "a row of a route that is gone");
}

fn published_security(row: Row) -> Value {
    match row {
        Row::Anyone => json!([{}]),
        Row::SignedIn | Row::OwnerOnly | Row::OwnerOrAdmins => json!([{"bearer": []}]),
        Row::Admins => json!([{"bearer": ["admin"]}]),
        Row::AdminsOrEdge => json!([{"bearer": ["admin"]}, {"edge": []}]),
        Row::EdgeOnly => json!([{"edge": []}]),
    }
}

#[tokio::test]
async fn what_is_wrong_first_is_answered_first() {
    let t = TestServer::start().await;
    let (admin, user) = (t.admin().await, t.user().await);
    let nobody = "/api/v1/decorations/01890000-0000-7000-8000-000000000000";
    // 404 for an unknown route, before anybody is asked who he is; then 405.
    t.get("/api/v1/nowhere").await.problem(404, "unknown_route");
    let wrong_method = Answer::of(t.request(Method::PATCH, nobody)).await;
    wrong_method.problem(405, "method_not_allowed");
    let mut allowed: Vec<&str> = wrong_method.header("allow").expect("Allow").split(',').map(str::trim).collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["DELETE", "GET", "HEAD", "PUT"]);
    // 401, 403, before the body is looked at.
    let bad_body = |request: reqwest::RequestBuilder| request.header("content-type", "text/plain").body("{");
    Answer::of(bad_body(t.request(Method::PUT, nobody))).await.problem(401, "not_signed_in");
    Answer::of(bad_body(user.request(&t, Method::PUT, nobody))).await.problem(403, "forbidden");
    // 415, then 400, then 422, then 404, then 428, then 412.
    Answer::of(bad_body(admin.request(&t, Method::PUT, nobody))).await.problem(415, "unsupported_media_type");
    let put = async |path: &str, if_match: Option<&str>, body: Value| {
        let request = admin.request(&t, Method::PUT, path).json(&body);
        Answer::of(if_match.into_iter().fold(request, |request, tag| request.header("if-match", tag))).await
    };
    let good = json!({"name": "a", "category": "art", "lat": 1, "lng": 2, "radius_meters": 5, "asset_type": "image"});
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    put(nobody, Some("7"), with("lat", json!(95))).await.problem(400, "invalid_input");
    put(nobody, None, with("surprise", json!(1))).await.problem(400, "invalid_input");
    put(nobody, None, with("lat", json!(95))).await.problem(422, "invalid_input");
    put(nobody, None, good.clone()).await.problem(404, "unknown_decoration");
    put("/api/v1/decorations/nonsense", None, good.clone()).await.problem(404, "unknown_decoration");
    let made = admin.send(&t, Method::POST, "/api/v1/decorations", good.clone()).await.json();
    let there = format!("/api/v1/decorations/{}", made["id"].as_str().expect("an id"));
    put(&there, None, good.clone()).await.problem(428, "precondition_required");
    put(&there, Some("\"7\""), good.clone()).await.problem(412, "version_mismatch");
}
