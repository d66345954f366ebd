//! P10: more than it can bear is refused, quickly and politely, and what it can bear is done all the same.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::commands::{text, url_of};
use crate::support::{Proof, Service, TestServer, rounds};

const PATH: &str = "/api/v1/decorations/nearby?lat=52.52&lng=13.4&radius=2000";
/// Connections with which the peak is looked for.
const PEAK_CONNECTIONS: [usize; 3] = [16, 64, 256];
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

/// Answers a second.
#[derive(Clone, Copy, Debug)]
struct Rates {
    good: f64,
    refused: f64,
}

/// Who asks: over a connection that stays, or over a new one each time, which nobody can hold up.
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_times_the_peak_is_refused_politely_and_the_rest_is_done() {
    let seconds = rounds(2, 60);
    let mut proof = Proof::of("P10", "seconds of more than it can bear");
    let t = TestServer::start().await;
    for n in 0..20 {
        t.decoration("here").at(52.52, 13.4 + f64::from(n) * 0.0001).insert().await;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let service = Service::start(&url_of(&t.db().options()), &folder.path().join("log"), &["prlimit", "--nofile=8192"], &[]);
    service.ready().await;
    let url = service.at(PATH);
    let loaded = |callers, connections, seconds| {
        let url = url.clone();
        async move { tokio::task::spawn_blocking(move || load(&url, callers, connections, seconds)).await.expect("loads") }
    };
    let (mut best, mut most) = (0, 0.0);
    for connections in PEAK_CONNECTIONS {
        let rates = loaded(Callers::Staying, connections, rounds(1, 10)).await;
        assert_eq!(rates.refused, 0.0, "{connections} connections are no overload");
        if rates.good > most {
            (best, most) = (connections, rates.good);
        }
    }
    // In turns, so that both meet the same machine.
    let turns = rounds(1, 3);
    let share = 1.0 / number(turns);
    let (mut peak, mut good, mut refused, mut live) = (0.0, 0.0, 0.0, Vec::new());
    for _ in 0..turns {
        peak += loaded(Callers::Staying, best, rounds(1, 10)).await.good * share;
        let end = Instant::now() + Duration::from_secs((seconds / turns) as u64);
        let (over, took) =
            tokio::join!(loaded(Callers::Staying, TOO_MANY_CONNECTIONS, seconds / turns), watch(service.at("/health/live"), end));
        good += over.good * share;
        refused += over.refused * share;
        live.extend(took);
    }
    live.sort_unstable();
    let p99 = live[live.len() * 99 / 100 - 1];
    proof.tried(seconds);
    assert!(refused > 0.0 && good > 0.0, "{good:.0} and {refused:.0}/s");
    // The first request of each is refused at once; after that, at most one in the 2 s it was told to stay away.
    let most_refused = number(TOO_MANY_CONNECTIONS) * (0.5 + 1.0 / number(seconds / turns));
    assert!(refused <= most_refused, "{refused:.0}/s, {most_refused:.0}/s at most");
    // Callers who leave cannot be held up. Their own peak is less, a connection being work.
    let (mut peak_of_new, mut new) = (0.0, Rates { good: 0.0, refused: 0.0 });
    for _ in 0..turns {
        peak_of_new += loaded(Callers::New, best, rounds(1, 10)).await.good * share;
        let over = loaded(Callers::New, TOO_MANY_CONNECTIONS, seconds / turns).await;
        new.good += over.good * share;
        new.refused += over.refused * share;
    }
    let text = format!(
        "peak {peak:.0}/s; over {TOO_MANY_CONNECTIONS} connections {good:.0}/s answered, {refused:.0}/s refused; live p99 {p99:.0?}; peak over new connections {peak_of_new:.0}/s; over {TOO_MANY_CONNECTIONS} at once {:.0}/s answered, {:.0}/s refused",
        new.good, new.refused
    );
    println!("{text}");
    proof.measured(text);
    assert!(new.refused > 0.0 && new.good > 0.0, "{new:?}");
    // Times are measured at full numbers alone, on cores of their own.
    if seconds == 60 {
        assert!(good >= 0.8 * peak, "{good:.0}/s, peak {peak:.0}/s");
        assert!(p99 < Duration::from_millis(100), "{p99:?}");
        // Callers who cannot be held up offer what is promised.
        assert!(new.good + new.refused >= 3.0 * peak, "offered {:.0}/s, peak {peak:.0}/s", new.good + new.refused);
        assert!(new.good >= 0.8 * peak, "{new:.0?}, peak {peak:.0}/s");
    }
    let after = loaded(Callers::Staying, 16, 1).await;
    assert!(after.refused == 0.0 && after.good > 0.0, "it is as before: {after:?}");
}
