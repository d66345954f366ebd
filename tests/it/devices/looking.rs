//! Lists, one device, and removing it.

use reqwest::Method;
use serde_json::json;

use super::{HERE, check_places, edge, locate, number, put, session, set_device};
use crate::support::{TestServer, geodesic, position};

#[tokio::test]
async fn users_see_their_own_devices_and_admins_all() {
    let t = TestServer::start().await;
    let (ann, bob, admin) = (t.user().await, t.user().await, t.admin().await);
    let (near, far) = (edge(&t, HERE, 10).await, edge(&t, (48.1, 11.5), 10).await);
    for (account, device_id, place) in
        [(&ann, "b", HERE), (&ann, "a", (48.1, 11.5)), (&bob, "c", HERE), (&bob, "Z", (0.0, 0.0)), (&bob, "ä", HERE)]
    {
        locate(&t, account, device_id, place).await;
    }
    set_device(&t, "a", "connection_status = 'error'").await;
    let listed = async |account: &crate::support::Account, query: &str| {
        account.get(&t, &format!("/api/v1/devices?{query}")).await.ok().texts("device_id")
    };
    assert_eq!(listed(&ann, "").await, ["a", "b"]);
    assert_eq!(listed(&bob, "").await, ["Z", "c", "ä"]);
    assert_eq!(listed(&admin, "").await, ["Z", "a", "b", "c", "ä"]);
    assert_eq!(listed(&admin, &format!("edge_server_id={near}")).await, ["b", "c", "ä"]);
    assert_eq!(listed(&ann, &format!("edge_server_id={far}")).await, ["a"]);
    assert_eq!(listed(&admin, "status=error").await, ["a"]);
    assert_eq!(listed(&admin, "status=connected&lat=52.52&lng=13.405").await, ["b", "c", "ä"]);
    assert_eq!(listed(&bob, "lat=0&lng=0&radius=0").await, ["Z"]);
    assert_eq!(listed(&ann, "lat=0&lng=0&radius=0").await, Vec::<String>::new());
    // Page by page; a page is of one user and one filter.
    let first = bob.get(&t, "/api/v1/devices?limit=2").await.ok();
    let cursor = first.next_cursor().expect("more");
    assert_eq!(listed(&bob, &format!("limit=2&cursor={cursor}")).await, ["ä"]);
    for (account, query) in [(&ann, ""), (&admin, ""), (&bob, "status=connected&"), (&bob, "lat=0&lng=0&")] {
        let refused = account.get(&t, &format!("/api/v1/devices?{query}limit=2&cursor={cursor}")).await;
        assert_eq!(refused.faulty_fields(400), ["cursor"]);
    }
    // Positions are parts of one another.
    assert_eq!(ann.get(&t, "/api/v1/devices?lat=1").await.faulty_fields(400), ["lng"]);
    assert_eq!(ann.get(&t, "/api/v1/devices?radius=1").await.faulty_fields(400), ["lat", "lng"]);
    assert_eq!(ann.get(&t, "/api/v1/devices?lat=1&lng=2&radius=50001").await.faulty_fields(422), ["radius"]);
    let one = ann.get(&t, "/api/v1/devices/b").await.ok().json();
    assert_eq!((&one["device_id"], &one["edge_server_id"], &one["lat"]), (&json!("b"), &json!(near), &json!(52.52)));
    admin.get(&t, "/api/v1/devices/c").await.ok();
    for nobody in ["c", "nope", "%00", "a%00", "edge"] {
        ann.get(&t, &format!("/api/v1/devices/{nobody}")).await.problem(404, "unknown_device");
    }
}

#[tokio::test]
async fn long_names_are_paged_through_as_well() {
    let t = TestServer::start().await;
    let user = t.user().await;
    let names: Vec<String> = (0..3).map(|i| format!("{}{i}", "\u{1f3a8}".repeat(254))).collect();
    for name in &names {
        locate(&t, &user, name, HERE).await;
    }
    let mut found = Vec::new();
    let mut path = "/api/v1/devices?limit=1".to_owned();
    loop {
        let page = user.get(&t, &path).await.ok();
        found.extend(page.texts("device_id"));
        let Some(cursor) = page.next_cursor() else { break };
        path = format!("/api/v1/devices?limit=1&cursor={cursor}");
    }
    assert_eq!(found, names);
}

/// What is near is judged by the position, though the search goes by the centre of its cell.
#[tokio::test]
async fn what_is_near_is_near_by_the_geodesic() {
    let t = TestServer::start().await;
    let user = t.user().await;
    let mut random = crate::support::Random::seeded("devices nearby");
    let places: Vec<(f64, f64)> = (0..60).map(|_| (52.52 + random.between(-0.02, 0.02), 13.405 + random.between(-0.03, 0.03))).collect();
    for (i, place) in places.iter().enumerate() {
        locate(&t, &user, &format!("p{i:02}"), *place).await;
    }
    for _ in 0..40 {
        let (lat, lng, radius) = (52.52 + random.between(-0.02, 0.02), 13.405 + random.between(-0.03, 0.03), random.between(0.0, 3000.0));
        let found = user.get(&t, &format!("/api/v1/devices?lat={lat}&lng={lng}&radius={radius}")).await.ok().texts("device_id");
        let distance = |&(lat_deg, lng_deg): &(f64, f64)| geodesic(position(lat, lng), position(lat_deg, lng_deg)).0;
        let near: Vec<String> =
            places.iter().enumerate().filter(|(_, place)| distance(place) <= radius).map(|(i, _)| format!("p{i:02}")).collect();
        assert_eq!(found, near, "{lat} {lng} {radius}");
    }
}

#[tokio::test]
async fn a_removed_device_frees_its_place_and_its_edge_is_told() {
    let t = TestServer::start().await;
    let (ann, bob, admin) = (t.user().await, t.user().await, t.admin().await);
    let edge_id = edge(&t, HERE, 2).await;
    session(&t, edge_id, 1).await;
    for (account, device_id) in [(&ann, "a"), (&ann, "b")] {
        locate(&t, account, device_id, HERE).await;
    }
    assert_eq!(locate(&t, &bob, "c", HERE).await["reason"], "all_full");
    bob.ask(&t, Method::DELETE, "/api/v1/devices/a").await.problem(404, "unknown_device");
    assert_eq!(ann.ask(&t, Method::DELETE, "/api/v1/devices/a").await.status, 204);
    ann.ask(&t, Method::DELETE, "/api/v1/devices/a").await.problem(404, "unknown_device");
    check_places(&t.sql).await;
    assert_eq!(number(&t, "SELECT count(*) FROM ar.edge_device_notices WHERE device_id = 'a' AND NOT assigned").await, 1);
    assert_eq!(number(&t, "SELECT count(*) FROM ar.audit_log WHERE action = 'device.delete'").await, 0, "of one's own, nobody writes down");
    assert_eq!(admin.ask(&t, Method::DELETE, "/api/v1/devices/b").await.status, 204);
    assert_eq!(number(&t, "SELECT count(*) FROM ar.audit_log WHERE action = 'device.delete' AND object_id = 'b'").await, 1);
    check_places(&t.sql).await;
    assert_eq!(locate(&t, &ann, "a", HERE).await["edge_server"]["id"], json!(edge_id));
    check_places(&t.sql).await;
}

#[tokio::test]
async fn the_devices_of_an_edge_are_listed_for_admins() {
    let t = TestServer::start().await;
    let (user, admin) = (t.user().await, t.admin().await);
    let edge_id = edge(&t, HERE, 10).await;
    for device_id in ["b", "a", "c"] {
        locate(&t, &user, device_id, HERE).await;
    }
    put(&t, &user, "far", json!({"lat": 0, "lng": 0})).await.ok();
    let page = admin.get(&t, &format!("/api/v1/devices/edge/{edge_id}?limit=2")).await.ok();
    assert_eq!(page.texts("device_id"), ["a", "b"]);
    let cursor = page.next_cursor().expect("more");
    assert_eq!(admin.get(&t, &format!("/api/v1/devices/edge/{edge_id}?limit=2&cursor={cursor}")).await.ok().texts("device_id"), ["c"]);
    user.get(&t, &format!("/api/v1/devices/edge/{edge_id}")).await.problem(403, "forbidden");
    for nobody in ["01890000-0000-7000-8000-000000000009", "nonsense"] {
        admin.get(&t, &format!("/api/v1/devices/edge/{nobody}")).await.problem(404, "unknown_edge_server");
    }
}
