//! The sync under load: everything to an edge server that is new, an edit to fifty that are there, and one message to two
//! thousand sockets. The service is its own process, on a database that waits for its disk; the edge servers are clients in
//! this one, and keep nothing: they read what they must to acknowledge it.
//!
//! Environment: `AR_BENCH_SYNC_ROWS` (100000) are the decorations of the new edge server, `AR_BENCH_FANNED` (2000) the
//! sockets of the fan-out.

mod bare;
mod crowd;
mod editor;
mod fan_out;
mod newcomer;
mod sites;

use std::time::Duration;

use sqlx::ConnectOptions;

use crate::devices::{sign_in, sign_in_again};
use crate::service::Service;
use crate::sockets::{self, OTHER_DESCRIPTORS, Row};
use crate::support::database::BenchCluster;
use crate::support::{Outcome, measure, report, setting};

pub(crate) use bare::as_writer;

const DATABASE: &str = "bench_sync";
/// Edge servers that hold what is edited.
const CROWD: usize = 50;
/// Edits whose median is taken, and the time between two.
const EDITS: usize = 40;
const PAUSE: Duration = Duration::from_millis(130);
/// What is promised of an edit.
const EDIT_MS: f64 = 100.0;
/// Longer than all of it takes.
const DEADLINE: Duration = Duration::from_mins(15);

/// Measures, and writes the section.
///
/// # Errors
/// When something cannot be run.
pub(crate) async fn measure(rounds: u64) -> Outcome<()> {
    let (decorations, fanned) = (setting("AR_BENCH_SYNC_ROWS", 100_000)?, setting("AR_BENCH_FANNED", 2_000)?);
    sockets::allow_descriptors(fanned + OTHER_DESCRIPTORS)?;
    tokio::time::timeout(DEADLINE, measure_all(decorations, fanned, rounds)).await.map_err(|_elapsed| "the sync took too long")?
}

async fn measure_all(decorations: u64, fanned: u64, rounds: u64) -> Outcome<()> {
    let cluster = BenchCluster::durable()?;
    let mut sql = cluster.empty(DATABASE).await?.connect().await?;
    sites::fill(&mut sql, decorations).await?;
    let service = sockets::start(&cluster, DATABASE).await?;
    let token = admin(&service, &mut sql).await?;

    let edges = sites::add_crowd(&mut sql, &sites::VILLAGE, CROWD as u64).await?;
    let mut editor = editor::Editor::create(&service, &token, sites::VILLAGE.place()).await?;
    let mut crowd = crowd::Crowd::connect(service.url(), &edges).await?;
    let mut rows = edits(&mut crowd, &mut editor).await?;
    rows.extend(newcomer::measure(&mut sql, &service, &mut crowd, &mut editor, decorations, rounds).await?);
    crowd.end().await;
    drop(service);
    rows.extend(fan_out::measure(&cluster, &mut sql, DATABASE, fanned).await?);

    let table = report::table(&["what", "promised", "measured", "kept"], &rows.iter().map(Row::cells).collect::<Vec<_>>());
    let more: String = rows.iter().filter_map(Row::line).collect();
    println!("{table}\n\n{more}");
    let machine = report::machine(&mut sql).await?;
    let body = format!(
        "`cargo bench --bench compare`: the service as its own process, edge servers over WebSockets, a database that waits for its disk.\n\n\
         {machine}. Service, database and edge servers share these cores.\n\n{table}\n\n{more}\n\
         - The loop without sockets runs the service's own statements, word for word, on one connection: it reads 200 rows that are due, reads \
         and serialises what is in them, and writes their acknowledgement, until nothing is due. The service is timed from opening the \
         socket until the checkpoint says that the books have everything.\n\
         - An edit begins when its `PUT` is sent, and is in the books when each edge server has got the checkpoint after its acknowledgement.\n\
         - CPU is user and system time of the service's process, less what it takes when nothing happens; that of the bare loop is its own \
         process's, which writes frames of the same size to as many sockets, each time when all readers have read the one before.",
    );
    report::write_section("Sync", &body)
}

/// The token of an admin.
async fn admin(service: &Service, sql: &mut sqlx::PgConnection) -> Outcome<String> {
    let (user_id, _token) = sign_in(service).await?;
    sqlx::query("UPDATE ar.users SET role = 'admin' WHERE id = $1").bind(user_id).execute(sql).await?;
    Ok(sign_in_again(service).await?.1)
}

/// One edit after the other, while nothing else happens.
async fn edits(crowd: &mut crowd::Crowd, editor: &mut editor::Editor) -> Outcome<Vec<Row>> {
    let mut all = Vec::new();
    // The first ones, not counted, have connections opened and statements planned.
    for number in 0..EDITS + 10 {
        let edit = crowd.edit(editor).await?;
        if number >= 10 {
            all.push(edit);
        }
        tokio::time::sleep(PAUSE).await;
    }
    let median = |ms: fn(&crowd::Edit) -> f64| measure::median(&all.iter().map(ms).collect::<Vec<_>>());
    let booked_ms = median(|edit| edit.booked_ms);
    let longest_ms = all.iter().map(|edit| edit.booked_ms).fold(0.0, f64::max);
    Ok(vec![
        Row::new(
            format!("one edit, acknowledged by {CROWD} edge servers and in the books: median"),
            format!("≤ {EDIT_MS} ms"),
            format!("{booked_ms:.0} ms"),
            booked_ms <= EDIT_MS,
        )
        .with(format!(
            "the `PUT` is answered after {:.0} ms, the last has it after {:.0} ms, the last acknowledgement is sent after {:.0} ms; longest {longest_ms:.0} ms; {EDITS} edits",
            median(|edit| edit.answered_ms),
            median(|edit| edit.reached_ms),
            median(|edit| edit.acknowledged_ms),
        )),
    ])
}

/// CPU that a process has taken, in seconds: user and system.
fn cpu_s(pid: u32) -> Outcome<f64> {
    // Ticks of `/proc` are hundredths of a second on every Linux.
    const TICK_S: f64 = 0.01;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, after) = stat.rsplit_once(')').ok_or("no process there")?;
    let mut fields = after.split_whitespace().skip(11);
    let mut ticks = || Outcome::Ok(fields.next().ok_or("no times of the process")?.parse::<f64>()?);
    Ok((ticks()? + ticks()?) * TICK_S)
}
