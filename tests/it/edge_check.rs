//! The check of foreign edges, over real sockets: the reference edge of `examples/` passes it, and edges that are
//! broken on purpose fail where they are broken, and nowhere else.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use ar_supervisor::commands::simulate::{EdgeCheck, Report};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use edge::Content;

#[path = "../../examples/edge.rs"]
#[expect(dead_code, reason = "its main is for `cargo run --example edge`")]
mod edge;

type Heed = fn(&mut Content, &Value) -> Result<Vec<Value>, Box<dyn std::error::Error + Send + Sync>>;

/// Checks the reference edge, which heeds messages in this way.
async fn checked(file: Option<PathBuf>, timeout: Duration, heed: Heed) -> Report {
    let check = EdgeCheck::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.expect("listens");
    let (url, key) = (check.url(), check.key().to_owned());
    let mut content = Content::open(file).expect("opens");
    let stop = CancellationToken::new();
    let checking = check.run(timeout, &stop, |verdict| println!("{verdict}"));
    let (report, ended) = tokio::join!(checking, edge::run(&url, &key, &mut content, heed));
    assert_eq!(ended.expect_err("it is sent away for good").to_string(), "superseded");
    report
}

#[tokio::test]
async fn the_reference_edge_passes_also_with_what_it_had_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("content.json");
    for _ in 0..2 {
        let report = checked(Some(file.clone()), Duration::from_secs(10), Content::heed).await;
        assert!(report.is_good() && report.verdicts.len() > 20, "{report}");
        let kept: Value = serde_json::from_slice(&std::fs::read(&file).expect("is there")).expect("JSON");
        assert!(kept["decorations"].as_object().is_some_and(|decorations| !decorations.is_empty()), "{kept}");
    }
}

#[tokio::test]
async fn an_edge_that_does_not_mind_numbers_fails_where_numbers_count() {
    let report = checked(None, Duration::from_secs(10), |content, message| {
        // It forgets what it knows of whatever is in a batch, so that everything is new.
        for list in ["decorations", "removed"] {
            for id in message["data"][list].as_array().into_iter().flatten().filter_map(|entry| entry["id"].as_str()?.parse().ok()) {
                content.removed.remove(&id);
                content.decorations.entry(id).and_modify(|decoration| decoration["sync_version"] = json!(0));
            }
        }
        content.heed(message)
    })
    .await;
    assert_eq!(report.failed(), ["old number", "old put after removal"], "{report}");
}

#[tokio::test]
async fn an_edge_that_never_acknowledges_fails_whatever_needs_it() {
    let report = checked(None, Duration::from_millis(700), |content, message| {
        let mut answers = content.heed(message)?;
        answers.retain(|answer| answer["type"] != "sync_ack");
        Ok(answers)
    })
    .await;
    let good = ["hello", "beats", "ping", "digests", "inventory", "checkpoint that agrees", "checkpoint that differs", "superseded"];
    for verdict in &report.verdicts {
        assert_eq!(verdict.is_good(), good.contains(&verdict.name), "{verdict}");
    }
    assert!(report.verdicts[2].to_string().contains("no sync_ack of batch 1 in 700ms"), "{}", report.verdicts[2]);
}

#[tokio::test]
async fn an_edge_that_forgets_removals_and_ends_of_snapshots_fails_there_and_nowhere_else() {
    let report = checked(None, Duration::from_secs(10), |content, message| {
        content.removed.clear();
        let mut message = message.clone();
        if message["data"]["snapshot"]["last"] == true {
            message["data"]["snapshot"]["last"] = json!(false);
        }
        content.heed(&message)
    })
    .await;
    assert_eq!(
        report.failed(),
        ["old put after removal", "snapshot", "snapshot, a batch twice", "new epoch", "interrupted snapshot"],
        "{report}"
    );
}

/// As a user runs it: it says where to connect, and ends with the verdicts.
#[tokio::test]
async fn the_command_says_where_to_connect_and_ends_as_the_check_went() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_ar-supervisor"));
    program.args(["simulate", "--check-edge", "--timeout", "10s"]).env_clear().stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = program.spawn().expect("the program runs");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let (mut url, mut key) = (String::new(), String::new());
    while key.is_empty() {
        let line = lines.next_line().await.expect("text").expect("goes on");
        match line.trim().strip_prefix("Authorization: Bearer ") {
            Some(found) => found.clone_into(&mut key),
            None if line.contains("ws://") => line.trim().clone_into(&mut url),
            None => {}
        }
    }
    let mut content = Content::open(None).expect("opens");
    let ended = edge::run(&url, &key, &mut content, Content::heed).await;
    assert_eq!(ended.expect_err("it is sent away for good").to_string(), "superseded");
    let mut said = Vec::new();
    while let Some(line) = lines.next_line().await.expect("text") {
        said.push(line);
    }
    assert!(child.wait().await.expect("ends").success(), "{said:#?}");
    assert!(said[0].starts_with("ok      hello: ") && said.last().is_some_and(|line| line.ends_with("checks passed.")), "{said:#?}");
}
