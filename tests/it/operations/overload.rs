//! P10: more than it can bear is refused, quickly and politely, and what it can bear is done all the same.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::arrivals::{Rates, arrive};
use crate::commands::{text, url_of};
use crate::support::{Proof, Service, TestServer, pin_database, rounds};

const PATH: &str = "/api/v1/decorations/nearby?lat=52.52&lng=13.4&radius=2000";
/// Connections with which the peak is looked for: at most as many as may be answered at once.
const PEAK_CONNECTIONS: [usize; 3] = [16, 64, 256];
/// The same of newcomers, of whom one may come while the place of the one before is not free yet.
const PEAK_NEWCOMERS: [usize; 3] = [16, 64, 128];
/// Connections with which there is too much of everything: each asks again as soon as it is answered. Refused at once,
/// they ask for several times the peak and leave no time to answer anybody; so who comes again too early has to wait.
const TOO_MANY_CONNECTIONS: usize = 3_000;

/// Counts answers by kind. A refusal without a word when to come again is none.
const SCRIPT: &str = r#"
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init() good, refused, rude, other = 0, 0, 0, 0 end
function response(status, headers)
  if status == 200 then good = good + 1
  elseif status == 429 or status == 503 then
    if headers["retry-after"] or headers["Retry-After"] then refused = refused + 1 else rude = rude + 1 end
  else other = other + 1 end
end
function done(summary)
  local sums = { good = 0, refused = 0, rude = 0, other = 0 }
  for _, thread in ipairs(threads) do for name, sum in pairs(sums) do sums[name] = sum + thread:get(name) end end
  io.write(string.format("COUNTS %d %d %d %d %d\n", summary.duration, sums.good, sums.refused, sums.rude, sums.other))
end
"#;

/// Who asks: over a connection that stays, or over a new one each time.
#[derive(Clone, Copy, Debug)]
enum Callers {
    Staying,
    New,
}

/// Asks over so many connections, each again as soon as it is answered.
fn load(url: &str, callers: Callers, connections: usize, seconds: usize) -> Rates {
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("count.lua");
    std::fs::write(&script, SCRIPT).expect("writes");
    let header = match callers {
        Callers::Staying => "",
        Callers::New => "-H 'Connection: close'",
    };
    let wrk = format!("ulimit -n 8192; exec wrk {header} -t1 -c{connections} -d{seconds}s --timeout 15s -s {} '{url}'", script.display());
    let output = Command::new("/bin/sh").args(["-c", &wrk]).output().expect("sh runs");
    let said = text(&output.stdout);
    assert!(output.status.success(), "wrk is needed: {said}{}", text(&output.stderr));
    let line = said.lines().find_map(|line| line.strip_prefix("COUNTS ")).unwrap_or_else(|| panic!("{said}"));
    let counts: Vec<f64> = line.split(' ').map(|number| number.parse().expect("a number")).collect();
    let [duration_us, good, refused, rude, other] = counts[..] else { panic!("{line}") };
    assert_eq!((rude, other), (0.0, 0.0), "every answer is 200, or 429 or 503 with Retry-After: {said}");
    assert!(!said.contains("Socket errors"), "no connection is cut: {said}");
    Rates { good: good / duration_us * 1e6, refused: refused / duration_us * 1e6 }
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).expect("few"))
}

/// How long each `health/live` took, asked 20 times a second on a connection of its own, until `end`.
async fn watch(url: String, end: Instant) -> Vec<Duration> {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let mut took = Vec::new();
    while Instant::now() < end {
        let began = Instant::now();
        let answer = client.get(&url).send().await.expect("live answers");
        assert_eq!(answer.status(), 200);
        took.push(began.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    took
}

/// A system that has something to answer with.
async fn system(folder: &Path) -> (TestServer, Service) {
    let t = TestServer::start().await;
    for n in 0..20 {
        t.decoration("here").at(52.52, 13.4 + f64::from(n) * 0.0001).insert().await;
    }
    let service = Service::start(&url_of(&t.db().options()), &folder.join("log"), &["prlimit", "--nofile=8192"], &[]);
    service.ready().await;
    (t, service)
}

async fn loaded(service: &Service, callers: Callers, connections: usize, seconds: usize) -> Rates {
    let url = service.at(PATH);
    tokio::task::spawn_blocking(move || load(&url, callers, connections, seconds)).await.expect("loads")
}

/// With how many connections it answers most.
async fn best_connections(service: &Service, callers: Callers) -> usize {
    let (mut best, mut most) = (0, 0.0);
    let few_enough = match callers {
        Callers::Staying => PEAK_CONNECTIONS,
        Callers::New => PEAK_NEWCOMERS,
    };
    for connections in few_enough {
        let rates = loaded(service, callers, connections, rounds(1, 10)).await;
        assert_eq!(rates.refused, 0.0, "{connections} connections are no overload");
        if rates.good > most {
            (best, most) = (connections, rates.good);
        }
    }
    best
}

fn p99(mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    took[(took.len() * 99 / 100).saturating_sub(1)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_times_the_peak_is_refused_politely_and_the_rest_is_done() {
    let seconds = rounds(2, 60);
    let mut proof = Proof::of("P10", "seconds of more than it can bear");
    let folder = tempfile::tempdir().expect("a folder");
    let (_t, service) = system(folder.path()).await;
    let best = best_connections(&service, Callers::Staying).await;
    // In turns, so that both meet the same machine.
    let turns = rounds(1, 3);
    let share = 1.0 / number(turns);
    let (mut peak, mut over, mut live) = (0.0, Rates::default(), Vec::new());
    for _ in 0..turns {
        peak += loaded(&service, Callers::Staying, best, rounds(1, 10)).await.good * share;
        let end = Instant::now() + Duration::from_secs((seconds / turns) as u64);
        let (rates, took) =
            tokio::join!(loaded(&service, Callers::Staying, TOO_MANY_CONNECTIONS, seconds / turns), watch(service.at("/health/live"), end));
        over.good += rates.good * share;
        over.refused += rates.refused * share;
        live.extend(took);
    }
    let p99 = p99(live);
    proof.tried(seconds);
    let text = format!(
        "peak {peak:.0}/s; over {TOO_MANY_CONNECTIONS} connections {:.0}/s answered, {:.0}/s refused; live p99 {p99:.0?}",
        over.good, over.refused
    );
    println!("{text}");
    proof.measured(text);
    assert!(over.refused > 0.0 && over.good > 0.0, "{over:?}");
    // The first request of each is refused at once; after that, at most one in the 2 s it was told to stay away.
    let most_refused = number(TOO_MANY_CONNECTIONS) * (0.5 + 1.0 / number(seconds / turns));
    assert!(over.refused <= most_refused, "{over:?}, {most_refused:.0}/s at most");
    // Times are measured at full numbers alone, on cores of their own.
    if seconds == 60 {
        assert!(over.good >= 0.8 * peak, "{over:.0?}, peak {peak:.0}/s");
        assert!(p99 < Duration::from_millis(100), "{p99:?}");
    }
    let after = loaded(&service, Callers::Staying, 16, 1).await;
    assert!(after.refused == 0.0 && after.good > 0.0, "it is as before: {after:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_times_the_peak_of_newcomers_is_refused_politely_and_the_rest_is_done() {
    let seconds = rounds(2, 60);
    let mut proof = Proof::of("P10", "seconds of three times as many newcomers as it can bear");
    let folder = tempfile::tempdir().expect("a folder");
    let (t, service) = system(folder.path()).await;
    pin_database(&t.sql).await;
    let best = best_connections(&service, Callers::New).await;
    let turns = rounds(1, 3);
    let share = 1.0 / number(turns);
    let lasting = Duration::from_secs((seconds / turns) as u64);
    let (mut peak, mut offered, mut over, mut live) = (0.0, 0.0, Rates::default(), Vec::new());
    for _ in 0..turns {
        let now = loaded(&service, Callers::New, best, rounds(1, 10)).await.good;
        let end = Instant::now() + lasting;
        // A little more, because a moment's callers may come a moment late.
        let ((rate, rates), took) =
            tokio::join!(arrive(service.address, PATH, 3.05 * now, lasting), watch(service.at("/health/live"), end));
        peak += now * share;
        offered += rate * share;
        over.good += rates.good * share;
        over.refused += rates.refused * share;
        live.extend(took);
    }
    let p99 = p99(live);
    proof.tried(seconds);
    let text = format!(
        "peak over new connections {peak:.0}/s; of {offered:.0}/s that came {:.0}/s were answered, {:.0}/s refused; live p99 {p99:.0?}",
        over.good, over.refused
    );
    println!("{text}");
    proof.measured(text);
    assert!(over.good > 0.0, "{over:?}");
    // Beside other tests, the peak may be a bad moment's, and three times that no overload.
    if seconds == 60 {
        assert!(over.refused > 0.0, "{over:?}");
        assert!(offered >= 3.0 * peak, "{offered:.0}/s, peak {peak:.0}/s");
        assert!(over.good >= 0.8 * peak, "{over:.0?}, peak {peak:.0}/s");
        assert!(p99 < Duration::from_millis(100), "{p99:?}");
    }
    // So many at once are too many in any moment.
    let at_once = loaded(&service, Callers::New, TOO_MANY_CONNECTIONS, seconds / turns).await;
    assert!(at_once.refused > 0.0 && at_once.good > 0.0, "{at_once:?}");
    let after = loaded(&service, Callers::New, 16, 1).await;
    assert!(after.refused == 0.0 && after.good > 0.0, "it is as before: {after:?}");
}
