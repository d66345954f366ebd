//! An answer of the service, read to its end, with the questions that tests ask of it.

use serde_json::Value;

/// Status, headers and body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Vec<u8>,
    asked: String,
}

impl Answer {
    /// Sends a request and reads its answer.
    pub(crate) async fn of(request: reqwest::RequestBuilder) -> Self {
        let (client, request) = request.build_split();
        let request = request.expect("a request that can be sent");
        let asked = format!("{} {}", request.method(), request.url());
        let response = client.execute(request).await.unwrap_or_else(|error| panic!("{asked}: {error:?}"));
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.unwrap_or_else(|error| panic!("{asked}: {error:?}")).to_vec();
        Self { status, headers, body, asked }
    }

    /// The answer, when it is 200.
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{}: {}", self.asked, self.text());
        self
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{}: {error}: {}", self.asked, self.text()))
    }

    /// A header, when it is there and is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The items of a list.
    pub(crate) fn items(&self) -> Vec<Value> {
        self.json()["items"].as_array().unwrap_or_else(|| panic!("{}: no items: {}", self.asked, self.text())).clone()
    }

    /// The names of the items, in their order.
    pub(crate) fn names(&self) -> Vec<String> {
        self.texts("name")
    }

    /// One text member of every item, in their order.
    pub(crate) fn texts(&self, member: &str) -> Vec<String> {
        self.items().iter().map(|item| item[member].as_str().expect("a text").to_owned()).collect()
    }

    /// One number of every item, in their order.
    pub(crate) fn numbers(&self, member: &str) -> Vec<f64> {
        self.items().iter().map(|item| item[member].as_f64().expect("a number")).collect()
    }

    /// The cursor to the next page.
    pub(crate) fn next_cursor(&self) -> Option<String> {
        self.json()["next_cursor"].as_str().map(str::to_owned)
    }

    /// A problem document with this status and code, complete and naming the request.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        let context = || format!("{}: {} {}", self.asked, self.status, self.text());
        assert_eq!(self.status, status, "{}", context());
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", context());
        let problem = self.json();
        assert_eq!(problem["code"], code, "{}", context());
        assert_eq!(problem["status"], status, "{}", context());
        assert_eq!(problem["type"], format!("urn:ar-supervisor:problem:{code}"), "{}", context());
        for member in ["title", "detail"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {}", context());
        }
        assert_eq!(problem["request_id"].as_str(), self.header("x-request-id"), "{}", context());
        problem
    }

    /// The fields of an input error, sorted, each once.
    #[track_caller]
    pub(crate) fn faulty_fields(&self, status: u16) -> Vec<String> {
        let problem = self.problem(status, "invalid_input");
        let faults = problem["errors"].as_array().expect("faults").clone();
        let mut fields: Vec<String> = faults.iter().map(|fault| fault["field"].as_str().expect("a field").to_owned()).collect();
        for fault in &faults {
            assert!(fault["code"].as_str().is_some_and(|code| !code.is_empty() && code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')), "{fault}");
            assert!(fault["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{fault}");
        }
        fields.sort();
        fields.dedup();
        fields
    }
}
