//! Login tells nobody which accounts exist (P20): unknown, disabled and wrong are the same bytes, the same
//! headers and the same work.

use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, Proof, TestServer, rounds};

/// What a stranger can see of an answer: all but the request's own id and the time.
fn seen(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let request_id = answer.header("x-request-id").expect("an id").to_owned();
    let headers = answer.headers.iter().filter(|(name, _)| !["date", "x-request-id"].contains(&name.as_str()));
    let mut headers: Vec<(String, String)> =
        headers.map(|(name, value)| (name.to_string(), value.to_str().expect("text").to_owned())).collect();
    headers.sort();
    (answer.status, headers, answer.text().replace(&request_id, ""))
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_disabled_and_wrong_are_one_answer_and_one_hash() {
    let t = TestServer::start().await;
    let (admin, known, disabled) = (t.admin().await, t.user().await, t.user().await);
    admin.send(&t, Method::PATCH, &format!("/api/v1/users/{}", disabled.id), json!({"is_active": false})).await.ok();
    let pairs = rounds(20, 500);
    let mut proof = Proof::of("P20", "logins of four kinds, compared");
    for number in 0..pairs {
        proof.tried(1);
        let mut answers = Vec::new();
        let right = crate::support::PASSWORD.to_owned();
        let wrong = format!("a wrong password {number}");
        let nobody = format!("{}@example.org", uuid::Uuid::now_v7().simple());
        for (email, password) in [(&known.email, &wrong), (&nobody, &wrong), (&disabled.email, &wrong), (&disabled.email, &right)] {
            let before = t.state.accounts.hashes_done();
            let answer = t.post("/api/v1/auth/login", json!({"email": email, "password": password})).await;
            assert_eq!(t.state.accounts.hashes_done() - before, 1, "each hashes exactly once");
            answer.problem(401, "invalid_credentials");
            answers.push(seen(&answer));
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    }
    println!("{pairs} rounds of four, 0 differ");
}
