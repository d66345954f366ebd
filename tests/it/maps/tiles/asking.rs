//! Asking for tiles: what is refused, what a client may keep, and how many it may ask for.

use reqwest::Method;

use super::{features, names, path, spot_of};
use crate::support::{Answer, Config, TestServer};

#[tokio::test]
async fn what_is_wrong_with_an_address_is_said() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    for (address, status, fields) in [
        ("regions/x/0/0.mvt", 400, &["z"][..]),
        ("regions/1.0/a/-.mvt", 400, &["x", "y", "z"]),
        ("regions/0/0/.mvt", 400, &["y"]),
        ("regions/%FF/0/0.mvt", 400, &["x", "z"]),
        ("regions/23/0/0.mvt", 422, &["z"]),
        ("regions/-1/0/0.mvt", 422, &["z"]),
        ("regions/3/8/0.mvt", 422, &["x"]),
        ("regions/3/0/8.mvt", 422, &["y"]),
        ("regions/0/1/1.mvt", 422, &["x", "y"]),
        ("regions/0/99999999999999999999/0.mvt", 422, &["x"]),
        ("device_density/3/8/x.mvt", 400, &["x", "y"]),
        // What cannot be read comes before what is not there.
        ("nonsense/3/8/0.mvt", 422, &["x"]),
    ] {
        let answer = admin.get(&t, &format!("/tiles/{address}")).await;
        let found = answer.faulty_fields(status);
        assert!(found.iter().map(String::as_str).eq(fields.iter().copied()) || address.contains("%FF"), "{address}: {found:?}");
    }
    for (address, code) in [
        ("/tiles/nonsense/0/0/0.mvt", "unknown_layer"),
        ("/tiles/Regions/0/0/0.mvt", "unknown_layer"),
        ("/tiles/nonsense.json", "unknown_layer"),
        ("/tiles/regions/0/0/0", "unknown_route"),
        ("/tiles/regions/0/0/0.pbf", "unknown_route"),
        ("/tiles/regions", "unknown_route"),
        ("/tiles/regions/0/0", "unknown_route"),
        ("/tiles", "unknown_route"),
    ] {
        t.get(address).await.problem(404, code);
    }
    assert_eq!(t.get("/tiles/regions/0/0/0.mvt?v=1").await.faulty_fields(400), ["v"]);
    assert_eq!(t.get("/tiles/regions.json?v=1").await.faulty_fields(400), ["v"]);
    assert_eq!(admin.get(&t, "/tiles/device_density/0/0/0.mvt?at=noon").await.faulty_fields(400), ["at"]);
    Answer::of(t.request(Method::POST, "/tiles/regions/0/0/0.mvt")).await.problem(405, "method_not_allowed");
}

#[tokio::test]
async fn a_tile_has_a_tag_and_who_has_it_is_told_so() {
    let t = TestServer::start().await;
    let address = path("regions", 6, spot_of(6, 50.0, 10.0));
    let ask = async |tag: &str| Answer::of(t.request(Method::GET, &address).header("if-none-match", tag)).await;
    // There is nothing there, and that has a tag, too.
    let empty = t.get(&address).await.ok();
    assert_eq!((empty.body.len(), empty.header("content-length")), (0, Some("0")));
    assert_eq!(ask(empty.header("etag").expect("a tag")).await.status, 304);
    t.new_region("DE", "Germany").boxes(&[[47.2, 5.8, 55.1, 15.1]]).insert().await;
    let full = crate::support::eventually("it is drawn", async || {
        let answer = ask(empty.header("etag").expect("a tag")).await;
        (answer.status == 200).then_some(answer)
    })
    .await;
    assert_eq!(names(&features("regions", &full.body)), ["Germany"]);
    let tag = full.header("etag").expect("a tag").to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"'), "a strong one: {tag}");
    for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
        let answer = ask(&known).await;
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{known}");
        assert_eq!((answer.header("etag"), answer.header("cache-control")), (Some(tag.as_str()), Some("no-cache")), "{known}");
    }
    assert_eq!(ask("\"other\"").await.ok().header("etag"), Some(tag.as_str()));
    let head = Answer::of(t.request(Method::HEAD, &address)).await;
    assert_eq!((head.status, head.body.len(), head.header("etag")), (200, 0, Some(tag.as_str())));
    assert_eq!(head.header("content-length"), full.header("content-length"));
    assert_eq!(head.header("content-type"), Some("application/vnd.mapbox-vector-tile"));
}

#[tokio::test]
async fn a_large_tile_is_sent_in_gzip_to_those_who_take_it() {
    let t = TestServer::start().await;
    for column in 0..12 {
        for row in 0..12 {
            let (south, west) = (f64::from(row) * 2.0 - 12.0, f64::from(column) * 2.0 + 1.0);
            t.new_region(&format!("{column}-{row}"), "A square").boxes(&[[south, west, south + 1.5, west + 1.5]]).insert().await;
        }
    }
    let address = "/tiles/regions/1/1/0.mvt";
    let plain = t.get(address).await.ok();
    assert_eq!((plain.header("content-encoding"), plain.header("vary")), (None, Some("accept-encoding")));
    assert!(features("regions", &plain.body).len() >= 72);
    let packed = Answer::of(t.request(Method::GET, address).header("accept-encoding", "gzip, br")).await.ok();
    assert_eq!(
        (packed.header("content-encoding"), packed.header("content-length")),
        (Some("gzip"), Some(packed.body.len().to_string().as_str()))
    );
    assert!(
        packed.body.starts_with(&[0x1f, 0x8b]) && packed.body.len() * 2 < plain.body.len(),
        "{} {}",
        packed.body.len(),
        plain.body.len()
    );
    let client = reqwest::Client::builder().no_proxy().gzip(true).build().expect("a client");
    assert_eq!(Answer::of(client.get(t.url(address))).await.ok().body, plain.body);
    // Two forms, two tags; one of them is enough to have it.
    let [plain_tag, packed_tag] = [&plain, &packed].map(|answer| answer.header("etag").expect("a tag").to_owned());
    assert_ne!(plain_tag, packed_tag);
    for tag in [&plain_tag, &packed_tag] {
        let request = t.request(Method::GET, address).header("accept-encoding", "gzip").header("if-none-match", tag);
        assert_eq!(Answer::of(request).await.status, 304, "{tag}");
    }
}

#[tokio::test]
async fn tile_json_says_where_the_tiles_are_and_what_is_in_them() {
    let t = TestServer::start_with(Config::of("TRUSTED_PROXIES", "127.0.0.1")).await;
    let admin = t.admin().await;
    t.get("/tiles/device_density.json").await.problem(401, "not_signed_in");
    for layer in ["decorations", "edges", "coverage", "regions", "device_density"] {
        let answer = admin.get(&t, &format!("/tiles/{layer}.json")).await.ok();
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let document = answer.json();
        assert_eq!(document["tilejson"], "3.0.0");
        assert_eq!(document["tiles"], serde_json::json!([format!("http://{}/tiles/{layer}/{{z}}/{{x}}/{{y}}.mvt", t.address)]));
        assert_eq!(document["vector_layers"][0]["id"], layer);
        assert!(document["vector_layers"][0]["fields"].as_object().is_some_and(|fields| fields.len() >= 3), "{document}");
        assert!(document["minzoom"] == 0 && document["maxzoom"].as_u64().is_some_and(|zoom| (10..=22).contains(&zoom)), "{document}");
        assert_eq!(document["bounds"].as_array().map(Vec::len), Some(4));
        for text in ["name", "description"] {
            assert!(document[text].as_str().is_some_and(|text| !text.is_empty()), "{document}");
        }
    }
    let attribution = |document: serde_json::Value| document["attribution"].as_str().unwrap_or_default().to_owned();
    let decorations = attribution(t.get("/tiles/decorations.json").await.ok().json());
    assert!(decorations.contains("GeoNames") && decorations.contains("CC BY 4.0"), "{decorations}");
    assert!(attribution(t.get("/tiles/regions.json").await.ok().json()).contains("Natural Earth"));
    // As the client reached us, through a proxy that ends its TLS.
    let request = t.request(Method::GET, "/tiles/edges.json").header("host", "ar.example.org").header("x-forwarded-proto", "https");
    assert_eq!(Answer::of(request).await.ok().json()["tiles"][0], "https://ar.example.org/tiles/edges/{z}/{x}/{y}.mvt");
}

#[tokio::test]
async fn tiles_have_a_limit_of_their_own() {
    let t = TestServer::start_with(Config::of("RATE_LIMIT", "public=2/m,tiles=5/m,admin=2/m")).await;
    let quiet = TestServer::on(t.db().options(), Config::default()).await;
    let admin = quiet.admin().await;
    for left in (0..5).rev() {
        let answer = t.get("/tiles/regions/0/0/0.mvt").await.ok();
        assert_eq!(answer.header("ratelimit-remaining"), Some(left.to_string().as_str()));
    }
    t.get("/tiles/regions/0/0/0.mvt").await.problem(429, "rate_limited");
    t.get("/tiles/regions.json").await.problem(429, "rate_limited");
    // Other routes go on, and admins have tiles of their own.
    t.get("/api/v1/regions").await.ok();
    for _ in 0..5 {
        admin.get(&t, "/tiles/device_density/0/0/0.mvt").await.ok();
    }
    admin.get(&t, "/tiles/device_density/0/0/0.mvt").await.problem(429, "rate_limited");
    admin.get(&t, "/api/v1/metrics/system").await.ok();
}

#[tokio::test]
async fn pages_of_allowed_origins_may_ask_for_tiles() {
    let t = TestServer::start_with(Config::of("ALLOWED_ORIGINS", "https://maps.example.com")).await;
    for address in ["/tiles/regions/0/0/0.mvt", "/tiles/regions.json"] {
        let answer = Answer::of(t.request(Method::GET, address).header("origin", "https://maps.example.com")).await.ok();
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://maps.example.com"), "{address}");
    }
}
