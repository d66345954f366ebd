//! Secrets and positions never leak (P23): the program runs with its log wide open, everything that has a secret
//! is done, well and badly, and then neither the log nor any error says one of them.

use std::io::Read;
use std::process::{Child, Command, Stdio};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Proof, TestDb, eventually, free_address};

const JWT_SECRET: &str = "canary0jwt1secret2x9Qm0dX7tLw2pRz8s";
const PASSWORDS: [&str; 4] = ["canary password seven gears", "canary wrong password xyz", "canary next password wheel", "canary weak"];
const EMAIL: &str = "canary.person@example.org";
const PLACE: [f64; 2] = [52.987_654_3, 13.123_456_7];

/// `serve` as a process of its own, its log in a pipe that a thread empties.
struct Server {
    child: Child,
    log: std::thread::JoinHandle<String>,
    url: String,
    client: reqwest::Client,
    /// Everything that an error said.
    errors: String,
}

impl Server {
    async fn start(db: &TestDb) -> Self {
        let options = db.options();
        let socket = options.get_socket().expect("a Unix socket").display().to_string();
        let database = format!(
            "postgres:///{}?host={socket}&user=ar_supervisor&password=canary-database-password",
            options.get_database().expect("a name")
        );
        let port = free_address().port().to_string();
        let mut program = Command::new(env!("CARGO_BIN_EXE_ar-supervisor"));
        program.arg("serve").env_clear().env("DATABASE_URL", database).env("JWT_SECRET", JWT_SECRET);
        program.env("METRICS_PORT", "0");
        program.env("SERVER_HOST", "127.0.0.1").env("SERVER_PORT", &port).env("LOG_LEVEL", "trace").env("LOG_FORMAT", "json");
        program.env("RATE_LIMIT", "auth=60/m");
        let mut child = program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program runs");
        let mut pipe = child.stderr.take().expect("a log");
        let log = std::thread::spawn(move || {
            let mut text = String::new();
            pipe.read_to_string(&mut text).expect("text");
            text
        });
        let server = Self { child, log, url: format!("http://127.0.0.1:{port}"), client: reqwest::Client::new(), errors: String::new() };
        eventually("it is ready", async || {
            let ready = server.client.get(format!("{}/health/ready", server.url)).send().await;
            ready.is_ok_and(|answer| answer.status() == 200).then_some(())
        })
        .await;
        server
    }

    async fn send(&mut self, method: Method, path: &str, token: Option<&str>, body: Option<Value>) -> Value {
        let mut request = self.client.request(method, format!("{}{path}", self.url)).header("idempotency-key", "canary-idempotency");
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("answers");
        let is_error = answer.status().as_u16() >= 400;
        let text = answer.text().await.expect("text");
        if is_error {
            self.errors.push_str(&text);
        }
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// Ends it; what it logged.
    fn stop(mut self) -> (String, String) {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().expect("kill runs");
        assert!(status.success());
        assert!(self.child.wait().expect("it ends").success());
        (self.log.join().expect("the log"), self.errors)
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_the_log_nor_an_error_tells_a_secret() {
    let db = TestDb::create().await;
    let mut server = Server::start(&db).await;
    let mut proof = Proof::of("P23", "secrets searched for in the log and in errors");
    let mut canaries: Vec<String> = PASSWORDS.map(str::to_owned).to_vec();
    canaries.extend([JWT_SECRET, EMAIL, "canary-database-password", "52.98765", "13.12345"].map(str::to_owned));
    let [password, wrong, next, weak] = PASSWORDS;
    let (post, put) = (Method::POST, Method::PUT);

    let registration = |password: &str| json!({"email": EMAIL, "password": password, "full_name": "Canary"});
    server.send(post.clone(), "/api/v1/auth/register", None, Some(registration(weak))).await;
    server.send(post.clone(), "/api/v1/auth/register", None, Some(registration(password))).await;
    server.send(post.clone(), "/api/v1/auth/register", None, Some(registration(password))).await;
    let login = |password: &str| json!({"email": EMAIL, "password": password, "device_info": "phone"});
    server.send(post.clone(), "/api/v1/auth/login", None, Some(login(wrong))).await;
    let mut connection = db.connect().await;
    sqlx::raw_sql("UPDATE ar.users SET role = 'admin'").execute(&mut connection).await.expect("an admin");
    let tokens = server.send(post.clone(), "/api/v1/auth/login", None, Some(login(password))).await;
    let (access, refresh) = (text(&tokens["access_token"]), text(&tokens["refresh_token"]));
    let id = text(&tokens["user"]["id"]);
    let fresh = server.send(post.clone(), "/api/v1/auth/refresh", None, Some(json!({"refresh_token": refresh}))).await;
    let successor = text(&fresh["refresh_token"]);
    server.send(post.clone(), "/api/v1/auth/refresh", None, Some(json!({"refresh_token": format!("{refresh}x")}))).await;
    server.send(Method::GET, "/api/v1/users", Some(&access), None).await;
    server.send(Method::GET, "/api/v1/users", Some(&format!("{access}x")), None).await;
    server.send(Method::GET, &format!("/api/v1/users?access_token={access}"), Some(&access), None).await;
    let ticket = server.send(post.clone(), "/api/v1/auth/ws-ticket", Some(&access), Some(json!({"path": "/ws/admin"}))).await;
    let offered = server.send(post.clone(), &format!("/api/v1/users/{id}/password-reset"), Some(&access), None).await;
    let reset_token = text(&offered["reset_token"]);
    let change = json!({"email": format!("next-{EMAIL}"), "current_password": wrong, "new_password": next});
    server.send(put.clone(), "/api/v1/auth/profile", Some(&access), Some(change)).await;
    server.send(put.clone(), "/api/v1/auth/profile", Some(&access), Some(json!({"surprise": password}))).await;

    let [lat, lng] = PLACE;
    let content = json!({"name": "canary", "category": "art", "lat": lat, "lng": lng, "radius_meters": 5, "asset_type": "image", "external_id": "one"});
    let made = server.send(post.clone(), "/api/v1/decorations", Some(&access), Some(content.clone())).await;
    server.send(put.clone(), &format!("/api/v1/decorations/{}", text(&made["id"])), Some(&access), Some(content)).await;
    server.send(Method::GET, &format!("/api/v1/decorations/nearby?lat={lat}&lng={lng}&limit=x"), None, None).await;
    let near = server.send(Method::GET, &format!("/api/v1/decorations/nearby?lat={lat}&lng={lng}"), None, None).await;
    assert_eq!(near["items"].as_array().map(Vec::len), Some(1), "{near}");

    // Spent tokens come back, and the session ends.
    server.send(post.clone(), "/api/v1/auth/refresh", None, Some(json!({"refresh_token": successor}))).await;
    server.send(post.clone(), "/api/v1/auth/refresh", None, Some(json!({"refresh_token": refresh}))).await;
    let reset = json!({"reset_token": reset_token, "new_password": next});
    server.send(post.clone(), "/api/v1/auth/password-reset", None, Some(reset.clone())).await;
    server.send(post.clone(), "/api/v1/auth/password-reset", None, Some(reset)).await;
    // The database goes away in the middle.
    sqlx::raw_sql("ALTER TABLE ar.users RENAME TO users_gone").execute(&mut connection).await.expect("breaks it");
    server.send(post.clone(), "/api/v1/auth/login", None, Some(login(password))).await;
    server.send(post, "/api/v1/auth/register", None, Some(registration(next))).await;

    let hash: String = sqlx::query_scalar("SELECT password_hash FROM ar.users_gone").fetch_one(&mut connection).await.expect("reads");
    canaries.extend([access.clone(), text(&fresh["access_token"]), refresh, successor, reset_token, text(&ticket["ticket"]), hash]);
    // A part is as bad as the whole: the signature alone, the middle of a token.
    canaries.push(access.rsplit('.').next().expect("a signature").to_owned());
    let (log, errors) = server.stop();
    assert!(log.lines().count() > 50 && log.contains("TRACE") | log.contains("DEBUG"), "the log was open: {} lines", log.lines().count());
    assert!(errors.matches("\"code\"").count() >= 10, "errors were made: {errors}");
    proof.measured(format!("{} lines of log, {} bytes of errors", log.lines().count(), errors.len()));
    for canary in &canaries {
        proof.tried(1);
        assert!(!log.contains(canary.as_str()), "the log tells {canary}: {:?}", log.lines().find(|line| line.contains(canary.as_str())));
        assert!(!errors.contains(canary.as_str()), "an error tells {canary}");
    }
    println!("{} canaries, {} lines of log, 0 found", canaries.len(), log.lines().count());
}
