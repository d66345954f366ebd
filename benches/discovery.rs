//! What discovery costs in the database, at several sizes: `nearby`, boxes, a region and clusters, by the
//! service's own statements over a Unix socket, and `nearby` also by the specification's haversine SQL.
//! Run by `cargo bench --bench discovery`.
//!
//! Criterion reports each by itself. Then all sizes take turns, so that a noisy machine is noisy for all, and
//! from the medians of that come the ratios, and the exponent by which the cost grows with the rows; that
//! table goes into `benches/RESULTS.md`.

mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, SamplingMode};
use sqlx::{PgConnection, Row as _};
use support::database::BenchCluster;
use support::measure::{count_text, growth_exponent, median, time_text};
use support::questions::Question;
use support::random::Random;
use support::{Outcome, report, sizes};
use tokio::runtime::Runtime;
use uuid::Uuid;

/// Turns of the comparison.
const ROUNDS: u64 = 30;
/// Time that one kind of question at one size may take in a turn; at least one question is asked.
const TURN: Duration = Duration::from_millis(40);

/// A question, and a connection to each database it is asked of.
struct Subject {
    question: Question,
    databases: Vec<(u64, PgConnection)>,
}

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let cluster = BenchCluster::start()?;
    let sizes = sizes()?;
    let mut subjects = runtime.block_on(prepare(&cluster, &sizes))?;
    runtime.block_on(same_answers(&mut subjects))?;

    let mut criterion = Criterion::default().configure_from_args();
    for subject in &mut subjects {
        one_by_one(&mut criterion, &runtime, subject);
    }
    criterion.final_summary();

    let costs = runtime.block_on(in_turns(&mut subjects))?;
    let table = table(&subjects, &sizes, &costs);
    println!("{table}");
    let machine = runtime.block_on(async { report::machine(&mut subjects[0].databases[0].1).await })?;
    let body = format!(
        "`cargo bench --bench discovery`: median time of one statement as a client on a Unix socket sees it, sizes taking turns. \
         `nearby` and `bounds` answer about 18 rows at every size, the world box and the region a first page of 200.\n\n{machine}.\n\n{table}"
    );
    report::write_section("Discovery in SQL", &body)
}

async fn prepare(cluster: &BenchCluster, sizes: &[u64]) -> Outcome<Vec<Subject>> {
    let largest = sizes.last().copied().ok_or("AR_BENCH_ROWS is empty")?;
    let growing = [
        Question::nearby()?,
        Question::specified_nearby(),
        Question::nearby_by_cell()?,
        Question::bounds()?,
        Question::world_box()?,
        Question::region()?,
        Question::region_gathered()?,
    ];
    let large_only = [Question::clusters()?, Question::refused_clusters()?];
    let (mut subjects, mut names) = (Vec::new(), Vec::new());
    for (question, sizes) in growing
        .into_iter()
        .map(|question| (question, sizes))
        .chain(large_only.into_iter().map(|question| (question, std::slice::from_ref(&largest))))
    {
        let mut databases = Vec::new();
        for &rows in sizes {
            let name = cluster.database(&question.area, rows).await?;
            databases.push((rows, cluster.connect(&name, question.plan_cache_mode).await?));
            names.push(name);
        }
        subjects.push(Subject { question, databases });
    }
    // Loading one may have driven another out of memory.
    for name in &names {
        cluster.warm(name).await?;
    }
    Ok(subjects)
}

/// The two ways to ask for what is near must agree, but for rows so near the edge that sphere and spheroid
/// differ on them: 1 % at most of the rows each way, on ten places.
async fn same_answers(subjects: &mut [Subject]) -> Outcome<()> {
    let [ours, specified, ..] = subjects else { return Err("nothing to compare".into()) };
    for ((rows, our_connection), (_, their_connection)) in ours.databases.iter_mut().zip(&mut specified.databases) {
        let (mut same, mut different) = (0, 0);
        for seed in 0..10 {
            let found: BTreeSet<Uuid> =
                ours.question.ask(our_connection, *rows, &mut Random::new(seed)).await?.iter().map(|row| row.get("id!")).collect();
            let wanted: BTreeSet<Uuid> =
                specified.question.ask(their_connection, *rows, &mut Random::new(seed)).await?.iter().map(|row| row.get("id")).collect();
            same += found.intersection(&wanted).count();
            different += found.symmetric_difference(&wanted).count();
        }
        println!("{} rows: the spheroid and the specification's sphere agree on {same} rows and differ on {different}", count_text(*rows));
        if same == 0 || different * 25 > same {
            return Err("the specification's statement answers something else".into());
        }
    }
    Ok(())
}

fn one_by_one(criterion: &mut Criterion, runtime: &Runtime, subject: &mut Subject) {
    let Subject { question, databases } = subject;
    let mut group = criterion.benchmark_group(question.name);
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sampling_mode(SamplingMode::Flat);
    for (rows, connection) in databases {
        let mut random = Random::new(*rows);
        group.bench_function(BenchmarkId::from_parameter(*rows), |bencher| {
            bencher.iter_custom(|count| {
                runtime.block_on(async {
                    let started = Instant::now();
                    for _ in 0..count {
                        std::hint::black_box(question.ask(connection, *rows, &mut random).await.expect("the database answers"));
                    }
                    started.elapsed()
                })
            });
        });
    }
    group.finish();
}

/// Median seconds of each question at each of its sizes.
async fn in_turns(subjects: &mut [Subject]) -> Outcome<Vec<Vec<(u64, f64)>>> {
    let mut times: Vec<Vec<Vec<f64>>> = subjects.iter().map(|subject| vec![Vec::new(); subject.databases.len()]).collect();
    for round in 0..ROUNDS {
        for (subject, times) in subjects.iter_mut().zip(&mut times) {
            for ((rows, connection), times) in subject.databases.iter_mut().zip(times) {
                // A slow one has said enough after a few.
                if times.len() >= 10 && median(times) > 0.1 {
                    continue;
                }
                let mut random = Random::new(round);
                let turn = Instant::now();
                // The first warms the processor's caches to this database again.
                subject.question.ask(connection, *rows, &mut random).await?;
                loop {
                    let started = Instant::now();
                    subject.question.ask(connection, *rows, &mut random).await?;
                    times.push(started.elapsed().as_secs_f64());
                    if turn.elapsed() >= TURN {
                        break;
                    }
                }
            }
        }
    }
    let medians = |subject: &Subject, times: &[Vec<f64>]| {
        subject.databases.iter().zip(times).map(|((rows, _), times)| (*rows, median(times))).collect()
    };
    Ok(subjects.iter().zip(&times).map(|(subject, times)| medians(subject, times)).collect())
}

fn table(subjects: &[Subject], sizes: &[u64], costs: &[Vec<(u64, f64)>]) -> String {
    let mut header = vec!["question".to_owned()];
    header.extend(sizes.iter().map(|rows| format!("{} rows", count_text(*rows))));
    header.push("grows with rows to the power".to_owned());
    let mut lines = Vec::new();
    for (subject, costs) in subjects.iter().zip(costs) {
        let at = |rows: &u64| costs.iter().find(|(size, _)| size == rows).map_or_else(String::new, |(_, cost)| time_text(*cost));
        let mut line = vec![subject.question.name.to_owned()];
        line.extend(sizes.iter().map(at));
        line.push(if costs.len() > 1 { format!("{:.3}", growth_exponent(costs)) } else { String::new() });
        lines.push(line);
    }
    if let [ours, specified, ..] = costs {
        let mut line = vec!["haversine ÷ nearby".to_owned()];
        line.extend(specified.iter().zip(ours).map(|((_, theirs), (_, ours))| format!("{:.0} ×", theirs / ours)));
        line.push(String::new());
        lines.push(line);
    }
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    report::table(&header, &lines)
}
