//! Rules, alerts and the dashboard name only what a page really has: every expression in them is parsed as `PromQL`, and
//! each series that it asks for is looked for in the page of a server that did something of everything. And Prometheus's
//! own tool checks what it can.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use promql_parser::label::MatchOp;
use promql_parser::parser::{Expr, VectorSelector, parse};
use serde_json::Value;

use super::{Page, traffic, watched};
use crate::support::{Process, TestServer, eventually};

/// What Prometheus itself makes.
const OF_PROMETHEUS: [&str; 2] = ["up", "ALERTS"];

fn docker(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docker").join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(docker(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The rules of a file, alerts or recordings.
fn rules_of(path: &str) -> Vec<Value> {
    let file: Value = yaml_serde::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let groups = file["groups"].as_array().expect("groups").clone();
    groups.iter().flat_map(|group| group["rules"].as_array().expect("rules").clone()).collect()
}

fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value[member].as_str().unwrap_or_else(|| panic!("{member} in {value}"))
}

/// Every `expr` anywhere in a document.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("expr").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| expressions(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

/// All series that an expression asks for.
fn selectors(expression: &Expr, found: &mut Vec<VectorSelector>) {
    match expression {
        Expr::VectorSelector(selector) => found.push(selector.clone()),
        Expr::MatrixSelector(matrix) => found.push(matrix.vs.clone()),
        Expr::Aggregate(aggregate) => {
            selectors(&aggregate.expr, found);
            aggregate.param.iter().for_each(|parameter| selectors(parameter, found));
        }
        Expr::Binary(binary) => [&binary.lhs, &binary.rhs].into_iter().for_each(|side| selectors(side, found)),
        Expr::Unary(unary) => selectors(&unary.expr, found),
        Expr::Paren(paren) => selectors(&paren.expr, found),
        Expr::Subquery(subquery) => selectors(&subquery.expr, found),
        Expr::Call(call) => call.args.args.iter().for_each(|argument| selectors(argument, found)),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => {}
        Expr::Extension(_) => panic!("not of PromQL"),
    }
}

/// What of an expression is in no page: a name, a label, or the value of a label.
fn missing_of(expression: &str, page: &Page, recorded: &BTreeSet<String>) -> Vec<String> {
    let plain = expression.replace("$__rate_interval", "5m").replace("$instance", ".*");
    let parsed = parse(&plain).unwrap_or_else(|error| panic!("{plain}: {error}"));
    let mut asked = Vec::new();
    selectors(&parsed, &mut asked);
    assert!(!asked.is_empty(), "{expression} asks for nothing");
    let names = page.names();
    let mut missing = Vec::new();
    for selector in asked {
        let name = selector.name.clone().expect("series are named");
        if recorded.contains(&name) || OF_PROMETHEUS.contains(&name.as_str()) {
            continue;
        }
        if !names.contains(&name) {
            missing.push(name);
            continue;
        }
        for matcher in &selector.matchers.matchers {
            // What the page of one instance cannot have.
            if ["job", "instance"].contains(&matcher.name.as_str()) {
                continue;
            }
            let lines = || page.text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
            let label = format!("{}=\"", matcher.name);
            if !lines().any(|line| line.contains(&label)) {
                missing.push(format!("{name}: label {}", matcher.name));
            }
            let pair = format!("{label}{}\"", matcher.value);
            if matcher.op == MatchOp::Equal && !lines().any(|line| line.contains(&pair)) {
                missing.push(format!("{name}: {pair}"));
            }
        }
    }
    missing
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_and_the_dashboard_name_what_there_is() {
    let t = TestServer::start_with(watched()).await;
    let mut page = traffic::some(&t).await;
    // Times of statements are told to the log's layer, which a process has.
    let process = Process::start(&t.db().options(), &[]).await;
    let metrics = process.metrics();
    page.text += &eventually("a statement was timed", async || {
        let text = Page::at(metrics).await.text;
        text.contains("ar_db_statement_seconds_bucket").then_some(text)
    })
    .await;
    let (recording, alerts) = (rules_of("prometheus/recording.yml"), rules_of("prometheus/alerts.yml"));
    let recorded: BTreeSet<String> = recording.iter().map(|rule| text(rule, "record").to_owned()).collect();
    let dashboard: Value = serde_json::from_str(&read("grafana/dashboards/ar-supervisor.json")).expect("JSON");
    let mut asked: Vec<String> = recording.iter().chain(&alerts).map(|rule| text(rule, "expr").to_owned()).collect();
    let rules = asked.len();
    expressions(&dashboard, &mut asked);
    assert!(recording.len() > 10 && alerts.len() > 25 && asked.len() > rules + 80, "{rules} rules, {} in all", asked.len());
    let missing: Vec<String> = asked.iter().flat_map(|expression| missing_of(expression, &page, &recorded)).collect();
    assert!(missing.is_empty(), "in no page: {missing:?}");

    // What is made up is found out, wherever it stands.
    let none = BTreeSet::new();
    for (expression, what) in [
        ("rate(ar_http_requests[5m])", "ar_http_requests"),
        ("sum by (job) (ar_database_reachable) / (1 + max(ar_invented))", "ar_invented"),
        ("histogram_quantile(0.9, sum by (le) (rate(ar_invented_seconds_bucket[5m])))", "ar_invented_seconds_bucket"),
        ("pool:ar_db_connections_in_use:ratio", "pool:ar_db_connections_in_use:ratio"),
        ("ar_fleet_edges{status=\"offline\"}", "ar_fleet_edges: label status"),
        ("ar_fleet_edges{health=\"away\"}", "ar_fleet_edges: health=\"away\""),
    ] {
        assert_eq!(missing_of(expression, &page, &none).first().map(String::as_str), Some(what));
    }
}

#[test]
fn every_alert_says_how_bad_it_is_and_what_to_do_and_is_tested() {
    let tests = read("prometheus/alerts_test.yml");
    for alert in rules_of("prometheus/alerts.yml") {
        let name = text(&alert, "alert");
        assert!(["critical", "warning", "info"].contains(&text(&alert["labels"], "severity")), "{name}");
        let (summary, description) = (text(&alert["annotations"], "summary"), text(&alert["annotations"], "description"));
        assert!(summary.len() > 20 && description.len() > 80, "{name}");
        // Once where it fires, once where it does not.
        let asked = format!("ALERTS{{alertname=\"{name}\", alertstate=\"firing\"}})'\n");
        let after: Vec<&str> = tests.split(&asked).skip(1).collect();
        let fires = after.iter().filter(|rest| rest.trim_start().starts_with("exp_samples")).count();
        assert!(fires > 0 && fires < after.len(), "{name} fires {fires} times of {}", after.len());
    }
}

#[test]
fn the_dashboard_is_laid_out_without_gaps_and_overlaps() {
    let dashboard: Value = serde_json::from_str(&read("grafana/dashboards/ar-supervisor.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let number = |value: &Value| value.as_u64().expect("a number");
    let mut taken = BTreeSet::new();
    let (mut ids, mut height) = (BTreeSet::new(), 0);
    for panel in panels {
        assert!(ids.insert(number(&panel["id"])), "{}", panel["id"]);
        let place = &panel["gridPos"];
        let (x, y, w, h) = (number(&place["x"]), number(&place["y"]), number(&place["w"]), number(&place["h"]));
        assert!(x + w <= 24, "{}", panel["title"]);
        height = height.max(y + h);
        assert!((x..x + w).all(|x| (y..y + h).all(|y| taken.insert((x, y)))), "{} lies over another", panel["title"]);
        assert!(panel["type"] == "row" || panel["datasource"]["uid"] == "prometheus", "{}", panel["title"]);
    }
    let rows: Vec<&str> = panels.iter().filter(|panel| panel["type"] == "row").map(|panel| text(panel, "title")).collect();
    assert_eq!(rows, ["Now", "Traffic", "Database", "Sockets and edge servers", "Sync", "Devices", "Signing in", "Process"]);
    assert!(taken.len() as u64 > height * 22, "{} of {}", taken.len(), height * 24);
    let source: Value = yaml_serde::from_str(&read("grafana/provisioning/datasources/prometheus.yml")).expect("YAML");
    assert_eq!(source["datasources"][0]["uid"], "prometheus");
}

/// Prometheus's own tool: that of the system, or the one that `.ci/install promtool` brings.
fn promtool() -> PathBuf {
    let brought = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../tools/promtool");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("promtool")).chain([brought]).find(|program| program.is_file());
    found.expect("the tests need promtool: .ci/install promtool brings it")
}

fn assert_good(output: &Output) {
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}

#[test]
fn promtool_finds_no_fault_in_rules_and_settings() {
    let promtool = promtool();
    let run = |arguments: &[&str]| {
        let output = Command::new(&promtool).args(arguments).current_dir(docker("prometheus")).output().expect("promtool runs");
        assert_good(&output);
    };
    run(&["check", "rules", "recording.yml", "alerts.yml"]);
    run(&["check", "config", "prometheus.yml"]);
    run(&["test", "rules", "alerts_test.yml"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_finds_no_fault_in_a_page() {
    let promtool = promtool();
    let t = TestServer::start_with(watched()).await;
    let page = traffic::some(&t).await;
    let mut checking = Command::new(promtool);
    checking.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut checking = checking.spawn().expect("promtool runs");
    std::io::Write::write_all(&mut checking.stdin.take().expect("its input"), page.text.as_bytes()).expect("it reads");
    assert_good(&checking.wait_with_output().expect("it ends"));
}
