//! What Prometheus reads, and what its rules and the dashboard make of it.

mod endpoint;
mod privacy;
mod rules;
mod traffic;

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;

use prometheus_parse::{Sample, Scrape, Value};

use crate::support::{Config, TestServer};

/// With a page for Prometheus on a free port.
fn watched() -> Config {
    Config::of("METRICS_PORT", "0")
}

/// A page as Prometheus would read it.
struct Page {
    text: String,
    samples: Vec<Sample>,
    help: HashMap<String, String>,
}

impl Page {
    /// Reads the page at an address.
    async fn at(address: SocketAddr) -> Self {
        let answer = reqwest::Client::builder().no_proxy().build().expect("a client").get(format!("http://{address}/metrics"));
        let answer = answer.send().await.expect("it answers");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        let text = answer.text().await.expect("text");
        let Scrape { docs, samples } = Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))).expect("it can be parsed");
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count();
        let parsed: usize = samples.iter().map(lines_of).sum();
        assert_eq!(parsed, lines, "every line is a sample");
        Self { text, samples, help: docs }
    }

    async fn of(t: &TestServer) -> Self {
        Self::at(t.metrics.expect("its metrics are read")).await
    }

    /// The names of all series, as rules name them.
    fn names(&self) -> BTreeSet<String> {
        let lines = self.text.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(|line| line.split(['{', ' ']).next()).filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    /// The series of a name that have these labels, and perhaps others.
    fn all(&self, name: &str, labels: &[(&str, &str)]) -> Vec<&Sample> {
        let has = |sample: &Sample| labels.iter().all(|(label, value)| sample.labels.get(label) == Some(value));
        self.samples.iter().filter(|sample| sample.metric == name && has(sample)).collect()
    }

    /// The sum of those series.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.all(name, labels).into_iter().map(number).sum()
    }

    /// The one series of a name with these labels.
    fn one(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let found = self.all(name, labels);
        assert_eq!(found.len(), 1, "{name} {labels:?}: {found:?}");
        number(found[0])
    }
}

fn number(sample: &Sample) -> f64 {
    match &sample.value {
        Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value) => *value,
        Value::Histogram(_) | Value::Summary(_) => panic!("{} is no single number", sample.metric),
    }
}

/// Lines of text that a sample was parsed from.
fn lines_of(sample: &Sample) -> usize {
    match &sample.value {
        // A sum and a count of their own are samples too.
        Value::Histogram(buckets) => buckets.len(),
        Value::Summary(quantiles) => quantiles.len(),
        Value::Counter(_) | Value::Gauge(_) | Value::Untyped(_) => 1,
    }
}
