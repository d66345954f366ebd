//! What Prometheus reads, and what its rules and the dashboard make of it.

mod endpoint;
mod privacy;
mod rules;
mod traffic;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use openmetrics_parser::PrometheusValue;
use openmetrics_parser::prometheus::parse_prometheus;

use crate::support::{Config, TestServer};

/// With a page for Prometheus on a free port.
fn watched() -> Config {
    Config::of("METRICS_PORT", "0")
}

/// A page as Prometheus would read it.
struct Page {
    text: String,
    samples: Vec<Sample>,
    /// What each metric says of itself.
    help: BTreeMap<String, String>,
}

/// A series, or a whole histogram.
#[derive(Debug)]
struct Sample {
    metric: String,
    labels: BTreeMap<String, String>,
    /// None of a histogram.
    value: Option<f64>,
}

impl Page {
    /// Reads the page at an address.
    async fn at(address: SocketAddr) -> Self {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let answer = client.get(format!("http://{address}/metrics")).send().await.expect("it answers");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        let text = answer.text().await.expect("text");
        let parsed = parse_prometheus(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let (mut samples, mut help) = (Vec::new(), BTreeMap::new());
        for (metric, family) in parsed.families {
            for sample in family.iter_samples() {
                let labels = sample.get_labelset().expect("labels").iter().map(|(name, value)| (name.clone(), value.clone())).collect();
                let value = match &sample.value {
                    PrometheusValue::Counter(counter) => Some(counter.value.as_f64()),
                    PrometheusValue::Gauge(number) | PrometheusValue::Unknown(number) => Some(number.as_f64()),
                    PrometheusValue::Histogram(_) | PrometheusValue::Summary(_) => None,
                };
                samples.push(Sample { metric: metric.clone(), labels, value });
            }
            help.insert(metric, family.help);
        }
        Self { text, samples, help }
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
        let has = |sample: &Sample| labels.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|known| known == value));
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
    sample.value.unwrap_or_else(|| panic!("{} is no single number", sample.metric))
}
