//! `serve` as a process of its own, with its log line by line.

use std::ops::Deref;

use reqwest::Method;
use serde_json::{Value, json};

use crate::commands::{run, text, url_of};
use crate::support::{self, Answer, PASSWORD, TestDb, eventually};

/// A running service, over a database that others may use, too.
pub(super) struct Process(support::Process);

impl Deref for Process {
    type Target = support::Process;

    fn deref(&self) -> &support::Process {
        &self.0
    }
}

/// Runs a command to its end; what it printed.
pub(super) async fn command(db: &TestDb, arguments: &'static [&str]) -> String {
    let url = url_of(&db.options());
    let ended = tokio::task::spawn_blocking(move || run(arguments, &[("DATABASE_URL", &url)])).await.expect("ends");
    assert!(ended.status.success(), "{arguments:?}: {}", text(&ended.stderr));
    text(&ended.stdout)
}

impl Process {
    /// Starts it with some variables more, and waits until it is ready.
    pub(super) async fn start(db: &TestDb, variables: &[(&str, &str)]) -> Self {
        Self(support::Process::start(&db.options(), variables).await)
    }

    /// Registers somebody with a role and signs in: an access token.
    pub(super) async fn sign_in(&self, db: &TestDb, email: &str, role: &str) -> String {
        let registration = json!({"email": email, "password": PASSWORD, "full_name": "Some Body"});
        let registered = Answer::of(self.request(Method::POST, "/api/v1/auth/register").json(&registration)).await;
        assert_eq!(registered.status, 201, "{}", registered.text());
        let promote = sqlx::query("UPDATE ar.users SET role = $2 WHERE email = $1").bind(email).bind(role);
        promote.execute(&mut db.connect().await).await.expect("the role is set");
        let login = json!({"email": email, "password": PASSWORD});
        let answer = Answer::of(self.request(Method::POST, "/api/v1/auth/login").json(&login)).await.ok();
        answer.json()["access_token"].as_str().expect("a token").to_owned()
    }

    /// The lines of a request.
    pub(super) fn log_of(&self, request_id: &str) -> Vec<Value> {
        self.events().into_iter().filter(|line| line["span"]["request_id"] == request_id).collect()
    }

    /// Asks for something, and waits until its answer stands in the log; the lines of that request.
    pub(super) async fn lines_of(&self, request: reqwest::RequestBuilder, request_id: &str) -> Vec<Value> {
        Answer::of(request.header("x-request-id", request_id)).await;
        eventually("the answer is in the log", async || {
            let lines = self.log_of(request_id);
            lines.iter().any(|line| line["message"].as_str().is_some_and(|text| text.contains(" answered "))).then_some(lines)
        })
        .await
    }

    /// Whether requests have lines now, which they have at `debug`. A line is written before its answer.
    pub(super) async fn is_verbose(&self) -> bool {
        let request_id = uuid::Uuid::now_v7().to_string();
        Answer::of(self.request(Method::GET, "/health/live").header("x-request-id", &request_id)).await;
        !self.log_of(&request_id).is_empty()
    }

    /// Ends it; what it logged.
    pub(super) fn stop(self) -> String {
        self.0.stop()
    }
}
