//! Heads of requests and answers: request ids, HEAD, sizes, compression.

use reqwest::Method;

use crate::support::{Answer, RawConnection, TestServer};

const PATHS: [(&str, u16); 4] = [("/health/live", 200), ("/api/v1/regions", 200), ("/api/v1/decorations/nearby", 400), ("/nowhere", 404)];

#[tokio::test]
async fn a_sane_request_id_comes_back_and_others_are_replaced() {
    let t = TestServer::start().await;
    for (path, status) in PATHS {
        for sane in ["a", "0193-ab_c.d:e", &"x".repeat(128)] {
            let answer = Answer::of(t.request(Method::GET, path).header("x-request-id", sane)).await;
            assert_eq!((answer.status, answer.header("x-request-id")), (status, Some(sane)), "{path}");
        }
        for insane in ["", "a b", "a\tb", "a\"b", "<script>", &"x".repeat(129), "a,b"] {
            let answer = Answer::of(t.request(Method::GET, path).header("x-request-id", insane)).await;
            let ours = answer.header("x-request-id").expect("an id");
            assert!(ours != insane && ours.len() == 36, "{ours} for {insane:?} at {path}");
        }
    }
}

#[tokio::test]
async fn every_answer_has_an_id_of_its_own() {
    let t = TestServer::start().await;
    let mut ids = std::collections::HashSet::new();
    for (path, status) in PATHS.into_iter().cycle().take(20) {
        let answer = t.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(ids.insert(answer.header("x-request-id").expect("an id").to_owned()));
    }
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let t = TestServer::start().await;
    for (path, status) in PATHS {
        let head = Answer::of(t.request(Method::HEAD, path)).await;
        let get = t.get(path).await;
        assert_eq!((head.status, head.body.len()), (status, 0), "{path}");
        for header in ["content-type", "content-length"] {
            assert_eq!(head.header(header), get.header(header), "{header} of {path}");
        }
    }
}

#[tokio::test]
async fn an_address_longer_than_16_kib_is_414_before_anything_else() {
    let t = TestServer::start().await;
    for path in ["/health/live", "/nowhere", "/api/v1/decorations/nearby"] {
        let long = format!("{path}?x={}", "y".repeat(16 * 1024));
        for method in [Method::GET, Method::POST, Method::DELETE] {
            Answer::of(t.request(method, &long)).await.problem(414, "uri_too_long");
        }
    }
    let longest = format!("/api/v1/regions?cursor={}", "y".repeat(16 * 1024 - 23));
    assert_eq!(t.get(&longest).await.faulty_fields(400), ["cursor"], "16 KiB are not too long");
}

#[tokio::test]
async fn headers_larger_than_16_kib_are_431_before_anything_else() {
    let t = TestServer::start().await;
    for path in ["/health/live", "/nowhere", "/api/v1/decorations/nearby?lat=x"] {
        let one = t.request(Method::GET, path).header("x-large", "y".repeat(16 * 1024));
        Answer::of(one).await.problem(431, "headers_too_large");
        let many = (0..60).fold(t.request(Method::GET, path), |request, n| request.header(format!("x-{n}"), "y".repeat(300)));
        Answer::of(many).await.problem(431, "headers_too_large");
    }
    let fits = t.request(Method::GET, "/health/live").header("x-large", "y".repeat(15 * 1024));
    Answer::of(fits).await.ok();
}

#[tokio::test]
async fn a_head_without_end_is_refused_and_the_connection_closed() {
    let t = TestServer::start().await;
    let mut connection = RawConnection::open(t.address).await;
    connection.send(&format!("GET /health/live HTTP/1.1\r\nHost: x\r\nx-large: {}", "y".repeat(100 * 1024))).await;
    let answer = connection.read_to_end().await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn answers_are_compressed_for_those_who_take_it() {
    let t = TestServer::start().await;
    let plain = t.get("/openapi.json").await.ok();
    assert_eq!(plain.header("content-encoding"), None);
    let client = reqwest::Client::builder().no_proxy().gzip(true).build().expect("a client");
    let unpacked = Answer::of(client.get(t.url("/openapi.json"))).await.ok();
    assert_eq!(unpacked.body, plain.body);
    let packed = Answer::of(t.request(Method::GET, "/openapi.json").header("accept-encoding", "gzip")).await.ok();
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert!(packed.body.starts_with(&[0x1f, 0x8b]) && packed.body.len() * 3 < plain.body.len());
    let problem = Answer::of(t.request(Method::GET, "/nowhere").header("accept-encoding", "gzip")).await;
    problem.problem(404, "unknown_route");
}
