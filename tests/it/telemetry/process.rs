//! `serve` as a process of its own, with its log.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, PASSWORD, SECRET, TestDb, eventually};

/// A running service, over a database that others may use, too.
pub(super) struct Process {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    reading: Option<std::thread::JoinHandle<()>>,
    pub(super) address: SocketAddr,
    pub(super) client: reqwest::Client,
}

/// What a command on a database needs.
fn program(db: &TestDb) -> Command {
    let options = db.options();
    let socket = options.get_socket().expect("a Unix socket").display().to_string();
    let database = format!("postgres:///{}?host={socket}&user=ar_supervisor", options.get_database().expect("a name"));
    let mut program = Command::new(env!("CARGO_BIN_EXE_ar-supervisor"));
    program.env_clear().env("DATABASE_URL", database).env("METRICS_PORT", "0");
    program
}

/// Runs a command to its end; what it printed.
pub(super) async fn command(db: &TestDb, arguments: &'static [&str]) -> String {
    let mut program = program(db);
    let ended = tokio::task::spawn_blocking(move || program.args(arguments).output().expect("the program runs")).await.expect("ends");
    assert!(ended.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
    String::from_utf8(ended.stdout).expect("text")
}

impl Process {
    /// Starts it with some variables more, and waits until it is ready.
    pub(super) async fn start(db: &TestDb, variables: &[(&str, &str)]) -> Self {
        let mut program = program(db);
        program.arg("serve").env("JWT_SECRET", SECRET).env("RATE_LIMIT", "off").env("LOG_FORMAT", "json");
        program.env("SERVER_HOST", "127.0.0.1").env("SERVER_PORT", "0").envs(variables.iter().copied());
        let mut child = program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program runs");
        let pipe = BufReader::new(child.stderr.take().expect("a log"));
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let written = Arc::clone(&lines);
        let reading = std::thread::spawn(move || {
            for line in pipe.lines() {
                written.lock().expect("whole").push(line.expect("text"));
            }
        });
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let address = eventually("it says where it listens", async || {
            lines
                .lock()
                .expect("whole")
                .iter()
                .find_map(|line| serde_json::from_str::<Value>(line).ok()?["address"].as_str()?.parse::<SocketAddr>().ok())
        })
        .await;
        let process = Self { child, lines, reading: Some(reading), address, client };
        eventually("it is ready", async || (process.get("/health/ready").await.status == 200).then_some(())).await;
        process
    }

    pub(super) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
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

    /// The log so far.
    pub(super) fn log(&self) -> Vec<Value> {
        let lines = self.lines.lock().expect("whole");
        lines.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }

    /// The lines of a request.
    pub(super) fn log_of(&self, request_id: &str) -> Vec<Value> {
        self.log().into_iter().filter(|line| line["span"]["request_id"] == request_id).collect()
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

    /// Whether requests have lines now, which they have at `debug`.
    pub(super) async fn is_verbose(&self) -> bool {
        let request_id = uuid::Uuid::now_v7().to_string();
        Answer::of(self.request(Method::GET, "/health/live").header("x-request-id", &request_id)).await;
        // A line is written before its answer, and the pipe is read at once.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        !self.log_of(&request_id).is_empty()
    }

    /// Ends it; what it logged.
    pub(super) fn stop(mut self) -> String {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().expect("kill runs");
        assert!(status.success());
        assert!(self.child.wait().expect("it ends").success());
        self.reading.take().expect("once").join().expect("the log is read");
        self.lines.lock().expect("whole").join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended, unless its test failed.
        if self.reading.is_some() {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}
