//! Accounts that act in tests.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Answer, TestServer};

/// A password that the rules accept.
pub(crate) const PASSWORD: &str = "seven brass gears turn";

/// A signed-in account.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) id: Uuid,
    pub(crate) email: String,
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
}

impl Account {
    /// Registers, is given a role, and signs in.
    pub(super) async fn create(server: &TestServer, role: &str) -> Self {
        let email = format!("{}@example.org", Uuid::now_v7().simple());
        let registration = json!({"email": email, "password": PASSWORD, "full_name": "Some Body"});
        let registered = server.client.post(server.url("/api/v1/auth/register")).json(&registration);
        assert_eq!(Answer::of(registered).await.status, 201);
        let promote = sqlx::query("UPDATE ar.users SET role = $2 WHERE email = $1").bind(&email).bind(role);
        promote.execute(&server.sql).await.expect("the role is set");
        Self::sign_in(server, &email, PASSWORD).await
    }

    /// Signs in.
    pub(crate) async fn sign_in(server: &TestServer, email: &str, password: &str) -> Self {
        let login = json!({"email": email, "password": password});
        let answer = Answer::of(server.client.post(server.url("/api/v1/auth/login")).json(&login)).await.ok().json();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        Self {
            id: text(&answer["user"]["id"]).parse().expect("a UUID"),
            email: email.to_owned(),
            access_token: text(&answer["access_token"]),
            refresh_token: text(&answer["refresh_token"]),
        }
    }

    /// A request in its name.
    pub(crate) fn request(&self, server: &TestServer, method: Method, path: &str) -> reqwest::RequestBuilder {
        server.client.request(method, server.url(path)).bearer_auth(&self.access_token)
    }

    /// GET in its name.
    pub(crate) async fn get(&self, server: &TestServer, path: &str) -> Answer {
        Answer::of(self.request(server, Method::GET, path)).await
    }

    /// A request with a JSON body in its name.
    pub(crate) async fn send(&self, server: &TestServer, method: Method, path: &str, body: Value) -> Answer {
        Answer::of(self.request(server, method, path).json(&body)).await
    }

    /// A request without a body in its name.
    pub(crate) async fn ask(&self, server: &TestServer, method: Method, path: &str) -> Answer {
        Answer::of(self.request(server, method, path)).await
    }
}
