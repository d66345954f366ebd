//! Requests by route, method and status. A route is known by its template, so there are as many as the router has; what
//! a client makes up, a path or a method, is never a label. The series of a route are made when it is first asked for,
//! and found again without a copy of its name.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use axum::http::Method;
use dashmap::DashMap;
use metrics::{Counter, Histogram};

use super::catalogue as names;

/// Where there is no route.
const UNMATCHED: &str = "unmatched";

/// The routes that were asked for, by template.
pub(crate) struct Requests(DashMap<String, Route>);

struct Route {
    seconds: Histogram,
    /// Those that it really gave: a few.
    answers: RwLock<Vec<Answers>>,
}

/// Answers of one status to one method.
struct Answers {
    method: &'static str,
    status: u16,
    count: Counter,
}

impl Requests {
    pub(super) fn new() -> Self {
        let requests = Self(DashMap::new());
        requests.0.insert(UNMATCHED.to_owned(), Route::new(UNMATCHED));
        requests
    }

    /// Counts an answer of a route, which is none when the router has none for the path.
    pub(crate) fn answered(&self, route: Option<&str>, method: &Method, status: u16, took: Duration) {
        let template = route.unwrap_or(UNMATCHED);
        if let Some(route) = self.0.get(template) {
            return route.answered(template, method, status, took);
        }
        self.0.entry(template.to_owned()).or_insert_with(|| Route::new(template)).answered(template, method, status, took);
    }
}

impl Route {
    fn new(template: &str) -> Self {
        Self { seconds: names::HTTP_SECONDS.with(&[("route", template)]), answers: RwLock::default() }
    }

    fn answered(&self, template: &str, method: &Method, status: u16, took: Duration) {
        self.seconds.record(took);
        let method = known(method);
        let is_it = |answers: &&Answers| answers.status == status && answers.method == method;
        if let Some(answers) = self.answers.read().unwrap_or_else(PoisonError::into_inner).iter().find(is_it) {
            return answers.count.increment(1);
        }
        let count = names::HTTP_REQUESTS.with(&[("route", template), ("method", method), ("status", &status.to_string())]);
        count.increment(1);
        let mut all = self.answers.write().unwrap_or_else(PoisonError::into_inner);
        // Somebody else may have come first: his is the same series.
        if !all.iter().any(|answers| is_it(&answers)) {
            all.push(Answers { method, status, count });
        }
    }
}

/// A method by its name; those that clients make up are one.
fn known(method: &Method) -> &'static str {
    const KNOWN: [(Method, &str); 9] = [
        (Method::GET, "GET"),
        (Method::PUT, "PUT"),
        (Method::POST, "POST"),
        (Method::PATCH, "PATCH"),
        (Method::DELETE, "DELETE"),
        (Method::HEAD, "HEAD"),
        (Method::OPTIONS, "OPTIONS"),
        (Method::TRACE, "TRACE"),
        (Method::CONNECT, "CONNECT"),
    ];
    KNOWN.iter().find(|(known, _)| known == method).map_or("other", |(_, name)| name)
}
