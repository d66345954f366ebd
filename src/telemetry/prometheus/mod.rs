//! Prometheus: what the service counts, and the page that a Prometheus reads it from.
//!
//! `catalogue` is the list of all metrics. `meters` has the series that are counted into as the service works, `requests`
//! those of HTTP; `scrape` looks at what stands in memory when somebody asks, `fleet` asks the database now and then, so
//! that no scrape waits for it; `endpoint` listens. Other modules count through [`meters`] and know no more of it; what
//! goes through the facade of the crate `metrics` by itself ends here, too.
//!
//! A process has one recorder, as it has one page. Several servers in one process, as tests have them, count into the
//! same series; what is looked at is that of the server whose page is asked for.

mod catalogue;
mod endpoint;
mod fleet;
mod meters;
mod requests;
mod scrape;

use std::sync::LazyLock;
use std::time::Duration;

use axum::http::Method;
use metrics::Histogram;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

pub use endpoint::serve;
pub(crate) use meters::{Meters, PoolMeters, TalkMeters, Update, Work, elapsed};

/// How often what histograms were told is added up, so that it does not gather while nobody scrapes.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// The recorder of this process.
struct Recording {
    handle: PrometheusHandle,
    meters: Meters,
}

static RECORDING: LazyLock<Recording> = LazyLock::new(record);

/// The series that are counted into.
pub(crate) fn meters() -> &'static Meters {
    &RECORDING.meters
}

/// Counts an answer of a route, which is none when there is none for the path.
pub fn answered(route: Option<&str>, method: &Method, status: u16, took: Duration) {
    meters().http.requests.answered(route, method, status, took);
}

/// The times of a database statement, by its name.
pub(crate) fn statement_seconds(name: &str) -> Histogram {
    catalogue::DB_STATEMENT_SECONDS.with(&[("statement", name)])
}

/// Begins to record, if that was not begun before; also what is counted through the facade.
pub fn install() {
    LazyLock::force(&RECORDING);
}

fn record() -> Recording {
    let builder = catalogue::buckets().fold(PrometheusBuilder::new(), |builder, (name, buckets)| {
        builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), buckets).expect("histograms have buckets")
    });
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::error!("another recorder of metrics is installed: nothing is counted");
    }
    catalogue::describe();
    metrics_process::Collector::default().describe();
    let upkeep = handle.clone();
    // As long as the process, like the recorder: no server in it owns either.
    let started = std::thread::Builder::new().name("metrics".to_owned()).spawn(move || {
        loop {
            std::thread::sleep(UPKEEP_INTERVAL);
            upkeep.run_upkeep();
        }
    });
    if let Err(error) = started {
        tracing::error!(%error, "starting the upkeep of metrics");
    }
    count_panics();
    Recording { handle, meters: Meters::new() }
}

/// Counts panics wherever they are caught, and lets them be told as before.
fn count_panics() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // Not through `meters`, should it be that which panics.
        catalogue::PANICS.with(&[]).increment(1);
        tell(panic);
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(metric: &str) -> f64 {
        let text = RECORDING.handle.render();
        let line = text.lines().find(|line| line.split(' ').next() == Some(metric));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("{metric} in {text}"))
    }

    #[test]
    fn a_panic_is_counted_wherever_it_is_caught() {
        install();
        let before = value("ar_panics_total");
        std::thread::spawn(|| panic!("meant to be")).join().expect_err("it panics");
        assert!(value("ar_panics_total") >= before + 1.0);
    }
}
