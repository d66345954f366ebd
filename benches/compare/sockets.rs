//! The sockets of the service: what thousands of idle ones cost, a herd that comes back, one that does not read, and stops
//! in the middle of everything. The service is its own process, on a database that waits for its disk; the edge servers
//! are clients in this one.
//!
//! Environment: `AR_BENCH_SOCKETS` (5000, at least 200), which need as many descriptors on both sides.

pub(crate) mod edge;
mod idle;
mod stalled;
mod stop;

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sqlx::ConnectOptions;

use crate::devices::sign_in;
use crate::service::Service;
use crate::support::database::BenchCluster;
use crate::support::{Outcome, measure, report, setting};

const DATABASE: &str = "bench_sockets";
/// Connections of the service to its database, about as many as it has by default.
const CONNECTIONS: u64 = 6;
/// Descriptors that are needed besides those of the sockets.
pub(crate) const OTHER_DESCRIPTORS: u64 = 500;
/// Longer than all of it takes.
const DEADLINE: Duration = Duration::from_mins(3);

/// Measures, and writes the section.
///
/// # Errors
/// When something cannot be run.
pub(crate) async fn measure() -> Outcome<()> {
    let sockets = setting("AR_BENCH_SOCKETS", 5_000)?.max(200);
    allow_descriptors(sockets + OTHER_DESCRIPTORS)?;
    tokio::time::timeout(DEADLINE, measure_all(sockets)).await.map_err(|_elapsed| "sockets took too long")?
}

async fn measure_all(sockets: u64) -> Outcome<()> {
    let cluster = BenchCluster::durable()?;
    let mut sql = cluster.empty(DATABASE).await?.connect().await?;
    let edges = edge::register(&mut sql, sockets).await?;

    let service = start(&cluster, DATABASE).await?;
    let mut rows = idle::measure(&service, &edges).await?;
    drop(service);
    let service = start(&cluster, DATABASE).await?;
    rows.extend(stalled::measure(&cluster, DATABASE, &service, &edges).await?);
    let (_user_id, token) = sign_in(&service).await?;
    rows.extend(stop::measure(&cluster, DATABASE, service, &token, &edges).await?);

    let table = report::table(&["what", "promised", "measured", "kept"], &rows.iter().map(Row::cells).collect::<Vec<_>>());
    let more: String = rows.iter().filter_map(Row::line).collect();
    println!("{table}\n\n{more}");
    let machine = report::machine(&mut sql).await?;
    let body = format!(
        "`cargo bench --bench compare`: the service as its own process, {} edge servers over WebSockets, a database that waits for its disk.\n\n\
         {machine}. Service, database and edge servers share these cores.\n\n{table}\n\n{more}\n\
         - Memory of a socket: the service's resident set (`VmRSS`) when all are welcomed, have beaten once and said nothing for {} s, less that before the first, by their number.\n\
         - A message is a row of `ar.edge_device_notices` with its notice, as the service itself writes them; its delay begins before the row is written, and ends when the edge server has read it.\n\
         - A request under way at the signal is a `PUT /devices/{{id}}/location` whose body is half there.",
        measure::count_text(sockets),
        idle::IDLE.as_secs()
    );
    report::write_section("Sockets", &body)
}

/// Starts the service, and waits until it is ready.
pub(crate) async fn start(cluster: &BenchCluster, database: &str) -> Outcome<Service> {
    let service = Service::start(cluster, database, CONNECTIONS)?;
    for _ in 0..100 {
        if reqwest::get(format!("{}/health/ready", service.url())).await?.status().is_success() {
            return Ok(service);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err("the service is not ready".into())
}

/// Raises the limit of open files, for this process and those it starts.
pub(crate) fn allow_descriptors(needed: u64) -> Outcome<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if let Some(most) = limit.maximum.filter(|most| *most < needed) {
        return Err(format!(
            "{needed} open files are needed and {most} allowed: raise the hard limit (ulimit -Hn {needed}, as root), or set AR_BENCH_SOCKETS to {} or less",
            most.saturating_sub(OTHER_DESCRIPTORS)
        )
        .into());
    }
    Ok(setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum: limit.maximum })?)
}

/// Resident set of a process, in KiB.
pub(crate) fn resident_kib(pid: u32) -> Outcome<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("the process has ended")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// A promise, and what was measured.
pub(crate) struct Row {
    what: String,
    promised: String,
    measured: String,
    /// None: nothing was promised.
    is_kept: Option<bool>,
    more: String,
}

impl Row {
    pub(crate) fn new(what: String, promised: String, measured: String, is_kept: bool) -> Self {
        Self { what, promised, measured, is_kept: Some(is_kept), more: String::new() }
    }

    /// What was measured and not promised.
    pub(crate) fn told(what: String, measured: String) -> Self {
        Self { what, promised: "–".to_owned(), measured, is_kept: None, more: String::new() }
    }

    pub(crate) fn with(self, more: String) -> Self {
        Self { more, ..self }
    }

    pub(crate) fn cells(&self) -> Vec<String> {
        let kept = self.is_kept.map_or("", |is_kept| if is_kept { "yes" } else { "NO" });
        [&self.what, &self.promised, &self.measured, kept].map(str::to_owned).into()
    }

    /// What else there is to say of it.
    pub(crate) fn line(&self) -> Option<String> {
        (!self.more.is_empty()).then(|| format!("- {}: {}.\n", self.what, self.more))
    }
}
