//! Signing in under load: logins beside bare argon2 on the same core, and what a flood of logins does to
//! `nearby`. The service and its database have one core, all load has another.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::service::Service;
use super::tools::{Load, Wrk, after, output};
use crate::support::database::BenchCluster;
use crate::support::{Outcome, measure, report};

/// The core of the service and its database, and that of the load.
const SERVER_CORE: &str = "0";
const LOAD_CORE: &str = "1";
const PASSWORD: &str = "seven brass gears turn";
/// Accounts that sign in, each many times.
const ACCOUNTS: usize = 8;
/// Logins at once where all of them are to be answered: fewer than the queue takes.
const LOGINS: u64 = 16;
/// Logins at once in a flood: many more than the queue takes.
const FLOOD: u64 = 64;

/// This program, as a load generator of its own; `None` when it is not asked to be one.
pub(crate) fn as_load() -> Option<Outcome<()>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["load-bare-argon2", seconds] => Some(seconds.parse().map_err(Into::into).map(bare_argon2)),
        ["load-logins", url, prefix, logins, seconds] => {
            let (url, prefix) = ((*url).to_owned(), (*prefix).to_owned());
            Some((|| {
                let (logins, seconds) = (logins.parse()?, seconds.parse()?);
                tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(log_in(&url, &prefix, logins, seconds))
            })())
        }
        _ => None,
    }
}

/// One hash after the other, with the service's cost and without anything else; prints how many a second.
fn bare_argon2(seconds: u64) {
    let params = Params::new(19_456, 2, 1, Some(32)).expect("within argon2's limits");
    let mut memory = vec![Block::default(); params.block_count()];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut hash = [0; 32];
    let (started, mut count) = (Instant::now(), 0_u32);
    while started.elapsed() < Duration::from_secs(seconds) {
        argon2.hash_password_into_with_memory(PASSWORD.as_bytes(), &[7; 16], &mut hash, &mut memory).expect("hashes");
        count += 1;
    }
    println!("{}", f64::from(count) / started.elapsed().as_secs_f64());
}

/// So many people sign in again and again; who is told to come back later does. Prints successes a second and
/// how many were told so.
async fn log_in(url: &str, prefix: &str, logins: u64, seconds: u64) -> Outcome<()> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
    let started = Instant::now();
    let until = started + Duration::from_secs(seconds);
    let one = async |number: u64| {
        let email = format!("{prefix}-{}@example.org", number % ACCOUNTS as u64);
        let (mut good, mut busy) = (0_u32, 0_u32);
        while Instant::now() < until {
            let asked = client.post(format!("{url}/api/v1/auth/login")).json(&json!({"email": email, "password": PASSWORD})).send();
            // Those under way at the end are not waited for.
            let Ok(answer) = tokio::time::timeout_at(until.into(), asked).await else { break };
            match answer?.status().as_u16() {
                200 => good += 1,
                503 => {
                    busy += 1;
                    tokio::time::sleep(Duration::from_millis(250)).await;
                }
                status => return Err(format!("a login was answered {status}").into()),
            }
        }
        Outcome::Ok((good, busy))
    };
    let all = futures_util::future::try_join_all((0..logins).map(one)).await?;
    let (good, busy) = all.into_iter().fold((0, 0), |(a, b), (good, busy)| (a + good, b + busy));
    println!("{} {busy}", f64::from(good) / started.elapsed().as_secs_f64());
    Ok(())
}

fn pinned(core: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", core]).arg(program);
    command
}

struct Logins {
    url: String,
    prefix: String,
}

impl Logins {
    fn start(&self, logins: u64, seconds: u64) -> Outcome<Child> {
        let mut load = pinned(LOAD_CORE, std::env::current_exe()?);
        load.args(["load-logins", &self.url, &self.prefix, &logins.to_string(), &seconds.to_string()]);
        Ok(load.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?)
    }

    /// Successes a second, and how often somebody was told to come back.
    fn end(child: Child) -> Outcome<(f64, f64)> {
        let output = child.wait_with_output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut numbers = text.split_whitespace().map(str::parse::<f64>);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(good)), Some(Ok(busy))) if output.status.success() => Ok((good, busy)),
            _ => Err(format!("the logins failed: {text}").into()),
        }
    }
}

/// Measures, and writes the section.
///
/// # Errors
/// When something cannot be run.
pub(crate) async fn compare(cluster: &BenchCluster, database: &str, radius_m: f64, load: Load, rounds: u64) -> Outcome<()> {
    // Backends are its children, and inherit.
    output(Command::new("taskset").args(["-cp", SERVER_CORE, &cluster.postmaster_pid()?]), "util-linux")?;
    let service = Service::start_on(cluster, database, load.connections, Some(SERVER_CORE))?;
    let logins = Logins { url: service.url().to_owned(), prefix: format!("bench-{}", Uuid::now_v7().simple()) };
    register(&logins).await?;
    let wrk = Wrk::new(&service, radius_m)?.on_core(LOAD_CORE);

    let (mut bare, mut good, mut quiet, mut flooded, mut during, mut shed) = (vec![], vec![], vec![], vec![], vec![], vec![]);
    // The first round, not counted, fills caches.
    for round in 0..=rounds {
        let mut argon2 = pinned(SERVER_CORE, std::env::current_exe()?);
        let hashes: f64 = output(argon2.args(["load-bare-argon2", &load.seconds.to_string()]), "util-linux")?.trim().parse()?;
        let (a_second, _) = Logins::end(logins.start(LOGINS, load.seconds)?)?;
        let before = p99_s(&wrk.turn(load)?.note)?;
        let flood = logins.start(FLOOD, load.seconds + 2)?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let meanwhile = p99_s(&wrk.turn(load)?.note)?;
        let (logins_meanwhile, busy) = Logins::end(flood)?;
        eprintln!(
            "round {round}: argon2 {hashes:.1}/s, logins {a_second:.1}/s, nearby p99 {} quiet, {} in a flood ({logins_meanwhile:.1} logins/s, {busy} told to come back)",
            measure::time_text(before),
            measure::time_text(meanwhile)
        );
        if round > 0 {
            bare.push(hashes);
            good.push(a_second);
            quiet.push(before);
            flooded.push(meanwhile);
            during.push(logins_meanwhile);
            shed.push(busy);
        }
    }
    clean(&mut cluster.connect(database, "auto").await?, &logins.prefix).await?;

    let ratios = |of: &[f64], to: &[f64]| of.iter().zip(to).map(|(a, b)| a / b).collect::<Vec<_>>();
    let (login_ratios, p99_ratios) = (ratios(&good, &bare), ratios(&flooded, &quiet));
    let each = |ratios: &[f64]| ratios.iter().map(|ratio| format!("{ratio:.2}")).collect::<Vec<_>>().join(" ");
    let row = |what: &str, median: String, ratios: &[f64]| {
        let ratio = if ratios.is_empty() { String::new() } else { format!("{:.2}", measure::median(ratios)) };
        vec![what.to_owned(), median, ratio, each(ratios)]
    };
    let table = report::table(
        &["what", "median", "ratio", "rounds"],
        &[
            row("bare argon2id, one thread", format!("{:.1}/s", measure::median(&bare)), &[]),
            row("logins over HTTP ÷ that", format!("{:.1}/s", measure::median(&good)), &login_ratios),
            row("nearby p99, quiet", measure::time_text(measure::median(&quiet)), &[]),
            row("nearby p99 in a flood of logins ÷ that", measure::time_text(measure::median(&flooded)), &p99_ratios),
        ],
    );
    println!("{table}");
    let machine = report::machine(&mut cluster.connect(database, "auto").await?).await?;
    let body = format!(
        "`cargo bench --bench compare`: service and database on one core, all load on the other; {rounds} rounds of {} s.\n\n{machine}.\n\n{table}\n\n\
         - bare argon2id: m = 19,456 KiB, t = 2, p = 1, one after the other with the memory kept, on the service's core.\n\
         - logins: {LOGINS} at once, each a whole `POST /auth/login` with its session written.\n\
         - the flood: {FLOOD} people at once who sign in again and again while `nearby` is asked over {} connections as fast as it answers; \
         hashing gives way to everything else, so it got {:.1} logins a second done, and {:.0} were told to come back.",
        load.seconds,
        load.connections,
        measure::median(&during),
        measure::median(&shed)
    );
    report::write_section("Signing in under load", &body)
}

async fn register(logins: &Logins) -> Outcome<()> {
    let client = reqwest::Client::new();
    for number in 0..ACCOUNTS {
        let email = format!("{}-{number}@example.org", logins.prefix);
        let body = json!({"email": email, "password": PASSWORD, "full_name": "Bench"});
        client.post(format!("{}/api/v1/auth/register", logins.url)).json(&body).send().await?.error_for_status()?;
    }
    Ok(())
}

async fn clean(connection: &mut PgConnection, prefix: &str) -> Outcome<()> {
    sqlx::query("DELETE FROM ar.users WHERE starts_with(email, $1)").bind(prefix).execute(connection).await?;
    Ok(())
}

/// The p99 of a note of wrk's, in seconds.
fn p99_s(note: &str) -> Outcome<f64> {
    let text = after(note, "p99").ok_or("wrk names no p99")?;
    let digits = text.trim_end_matches(char::is_alphabetic);
    let scale = match &text[digits.len()..] {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        unit => return Err(format!("wrk measures in {unit}").into()),
    };
    Ok(digits.parse::<f64>()? * scale)
}
