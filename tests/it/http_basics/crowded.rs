//! More requests than there are places.

use crate::support::{RawConnection, TestServer, eventually};

/// As many as there are (`MAX_IN_FLIGHT`).
const PLACES: usize = 256;
const PATH: &str = "/api/v1/decorations/nearby?lat=0&lng=0&radius=100";

fn request(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n")
}

/// A request over a connection of its own.
async fn ask(t: &TestServer, path: &str, headers: &str) -> RawConnection {
    let mut connection = RawConnection::open(t.address).await;
    connection.send(&request(path, headers)).await;
    connection
}

#[tokio::test]
async fn who_finds_no_place_is_told_so_whether_he_stays_or_leaves_and_health_is_answered() {
    let t = TestServer::start().await;
    t.decoration("here").at(0.0, 0.0).insert().await;
    let mut holder = t.db().connect().await;
    sqlx::raw_sql("BEGIN; LOCK TABLE ar.decorations IN ACCESS EXCLUSIVE MODE").execute(&mut holder).await.expect("locks");
    let mut inside = Vec::new();
    for n in 0..PLACES {
        // Those who leave take their places at the door, the others inside.
        inside.push(ask(&t, PATH, if n % 2 == 0 { "" } else { "Connection: close\r\n" }).await);
    }
    eventually("all places are taken", async || (t.state.requests_in_flight() == PLACES).then_some(())).await;

    let refused = |answer: &str| {
        let answer = answer.to_ascii_lowercase();
        answer.starts_with("http/1.1 503") && answer.contains("\r\nretry-after: 2\r\n") && answer.contains(r#""code":"overloaded""#)
    };
    let mut staying = ask(&t, PATH, "").await;
    let answer = staying.read_answer().await;
    assert!(refused(&answer), "{answer}");
    // The whole request at once is refused at the door; in two parts, or with more to it, inside.
    let leaving = "Connection: close\r\nX-Request-Id: leaving-1\r\n";
    for headers in [leaving.to_owned(), format!("{leaving}Content-Length: 0\r\n"), format!("{leaving}Origin: https://page.example.org\r\n")]
    {
        let answer = ask(&t, PATH, &headers).await.read_to_end().await;
        assert!(refused(&answer), "{answer}");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.contains("x-request-id: leaving-1") && head.contains("content-type: application/problem+json"), "{answer}");
        // Only who was inside got what is for browsers.
        assert_eq!(head.contains("content-security-policy"), headers != leaving, "{answer}");
        assert!(head.contains(&format!("content-length: {}", body.len())) && head.contains("connection: close"), "{answer}");
        let problem: serde_json::Value = serde_json::from_str(body).expect("a problem document");
        assert_eq!((&problem["status"], &problem["request_id"]), (&503.into(), &"leaving-1".into()), "{answer}");
    }
    let mut slow = RawConnection::open(t.address).await;
    let whole = request(PATH, leaving);
    let (first, second) = whole.split_at(whole.len() / 2);
    slow.send(first).await;
    slow.send(second).await;
    assert!(refused(&slow.read_to_end().await));
    // Others are let in: health is always answered, and who cannot be refused in a few words is heard.
    for (path, status) in [("/health/live", "200"), ("/docs/", "200"), ("/api/v1/nothing", "404")] {
        let answer = ask(&t, path, "").await.read_answer().await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
    let answer = ask(&t, "/health/live", "Connection: close\r\n").await.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.expect("unlocks");
    for mut connection in inside {
        let answer = connection.read_answer().await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    eventually("all places are free", async || (t.state.requests_in_flight() == 0).then_some(())).await;
    // A place that was taken at the door for what no route answers is free again, too.
    let answer = ask(&t, "/api/v1/nothing", leaving).await.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    eventually("all places are free", async || (t.state.requests_in_flight() == 0).then_some(())).await;
}
