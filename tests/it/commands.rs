//! The program itself, as a user runs it: its commands, what they print and how they end.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use ar_supervisor::geo::{Cells, LatLng};
use uuid::Uuid;

use crate::support::{Account, OwnCluster, SECRET, TestDb, TestServer, eventually, free_address};

pub(crate) fn program() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_ar-supervisor"));
    program.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LOG_FORMAT", "pretty").stdin(Stdio::null());
    // Several run at once.
    program.env("METRICS_PORT", "0");
    program
}

pub(crate) fn url_of(options: &sqlx::postgres::PgConnectOptions) -> String {
    let socket = options.get_socket().expect("a Unix socket").display();
    format!("postgres:///{}?host={socket}&user=ar_supervisor", options.get_database().expect("a database"))
}

pub(crate) fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    program().args(arguments).envs(variables.iter().copied()).output().expect("the program runs")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A running `dev` or `serve`; killed when dropped, if it still runs.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.0.id().to_string()]).status().expect("kill runs");
        assert!(status.success());
    }

    pub(crate) fn end(&mut self) -> Option<i32> {
        self.0.wait().expect("the program ends").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.try_wait().ok().flatten().is_none() {
            self.0.kill().expect("killed");
            self.0.wait().expect("waited for");
        }
    }
}

/// Starts `dev` in a folder, with a wish for metrics, and gives what it printed up to its last line of greeting.
fn dev(data_dir: &Path, metrics_port: &str) -> (Running, String) {
    let mut program = program();
    program.args(["dev", "--demo", "small", "--data-dir"]).arg(data_dir).env("SERVER_PORT", "0").stdout(Stdio::piped()).process_group(0);
    program.env("METRICS_PORT", metrics_port);
    let mut child = program.spawn().expect("the program runs");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut printed = String::new();
    for line in lines.by_ref() {
        let line = line.expect("text");
        printed.push_str(&line);
        printed.push('\n');
        if line.starts_with("Ctrl-C") {
            break;
        }
    }
    (Running(child), printed)
}

/// The addresses of the curl lines in what was printed.
fn curl_addresses(printed: &str) -> Vec<String> {
    printed
        .lines()
        .filter(|line| line.trim().starts_with("curl") && !line.contains("--json"))
        .filter_map(|line| Some(line.rsplit_once(" '")?.1.trim_end_matches('\'').to_owned()))
        .collect()
}

fn postmaster(data_dir: &Path) -> Option<String> {
    std::fs::read_to_string(data_dir.join("postgres/postmaster.pid")).ok()?.lines().next().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn dev_starts_from_nothing_keeps_its_data_and_leaves_no_server_behind() {
    let data_dir: PathBuf = std::env::temp_dir().join(format!("ar-supervisor-dev-{}", Uuid::now_v7().simple()));
    // The port of metrics is another server's: dev takes a free one, and says which.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (mut first, printed) = dev(&data_dir, &taken.local_addr().expect("an address").port().to_string());
    let metrics = printed.lines().find_map(|line| line.trim().strip_prefix("for Prometheus")).expect("metrics are told of").trim();
    assert!(reqwest::get(metrics).await.expect("answers").text().await.expect("text").contains("ar_build_info"), "{metrics}");
    assert!(printed.contains("Loaded 3422 decorations, 240 regions and 61 edge servers."), "{printed}");
    assert!(printed.contains("GeoNames"), "the attribution is shown");
    let addresses = curl_addresses(&printed);
    assert_eq!(addresses.len(), 3, "{printed}");
    for address in &addresses {
        let answer = reqwest::get(address).await.expect("answers");
        assert_eq!(answer.status(), 200, "{address}");
        let body: serde_json::Value = answer.json().await.expect("JSON");
        assert!(body["items"].as_array().is_some_and(|items| !items.is_empty()), "{address}: {body}");
    }
    let address = addresses[0].split("/api/").next().expect("an address");
    let told = printed.lines().find_map(|line| line.trim().strip_prefix("the admin")).expect("the admin is named");
    let (email, password) = told.split_once(", password ").expect("a password");
    let login = serde_json::json!({"email": email.trim(), "password": password.split(' ').next()});
    let answer = reqwest::Client::new().post(format!("{address}/api/v1/auth/login")).json(&login).send().await.expect("answers");
    let signed_in: serde_json::Value = answer.json().await.expect("JSON");
    assert_eq!(signed_in["user"]["role"], "admin", "{signed_in}");
    let server = postmaster(&data_dir).expect("PostgreSQL runs");
    first.signal("-INT");
    assert_eq!(first.end(), Some(0));
    assert_eq!(postmaster(&data_dir), None, "PostgreSQL {server} ended with it");

    let (second, printed) = dev(&data_dir, "off");
    assert!(printed.contains("for Prometheus      off"), "{printed}");
    assert!(!printed.contains("Loaded"), "the data was kept: {printed}");
    assert!(postmaster(&data_dir).is_some(), "PostgreSQL runs");
    second.signal("-KILL");
    // The server takes its file away as the last thing it does.
    eventually("PostgreSQL ends with its killed parent", async || postmaster(&data_dir).is_none().then_some(())).await;
    std::fs::remove_dir_all(&data_dir).expect("removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_waits_for_its_database_and_stops_at_a_signal() {
    let cluster = OwnCluster::start().await;
    let url = url_of(&cluster.options());
    cluster.stop("fast").await;
    let port = free_address().port().to_string();
    let child = program()
        .arg("serve")
        .envs([("DATABASE_URL", url.as_str()), ("JWT_SECRET", SECRET), ("SERVER_HOST", "127.0.0.1"), ("SERVER_PORT", &port)])
        .spawn();
    let mut server = Running(child.expect("the program runs"));
    let status = async |path: &str| {
        reqwest::get(format!("http://127.0.0.1:{port}{path}")).await.map(|answer| answer.status().as_u16()).unwrap_or_default()
    };
    eventually("it lives without its database", async || (status("/health/live").await == 200).then_some(())).await;
    assert_eq!(status("/health/ready").await, 503);
    assert_eq!(status("/api/v1/decorations/nearby?lat=1&lng=1").await, 503);
    cluster.start_again().await;
    eventually("it is ready once its database is there", async || (status("/health/ready").await == 200).then_some(())).await;
    assert_eq!(status("/api/v1/decorations/nearby?lat=1&lng=1").await, 200);
    server.signal("-TERM");
    assert_eq!(server.end(), Some(0));
}

#[test]
fn serve_names_every_variable_that_cannot_be_used() {
    let output = run(&["serve"], &[("DB_PORT", "none"), ("SERVER_PORT", "99999"), ("JWT_SECRET", "your-secret-key")]);
    let said = text(&output.stderr);
    assert!(!output.status.success());
    for part in ["DB_PORT", "SERVER_PORT", "JWT_SECRET", "for example"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert!(!said.contains("your-secret-key"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_printed_as_the_server_serves_them() {
    let t = TestServer::start().await;
    for (name, version) in [("openapi", "3.1.0"), ("asyncapi", "3.0.0")] {
        let printed: serde_json::Value = serde_json::from_slice(&run(&[name], &[]).stdout).expect("JSON");
        let served: serde_json::Value = reqwest::get(t.url(&format!("/{name}.json"))).await.expect("answers").json().await.expect("JSON");
        assert_eq!(printed, served);
        assert_eq!(printed[name], version);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_and_import_and_doctor_work_on_a_database_of_ones_own() {
    let db = TestDb::empty().await;
    let url = url_of(&db.options());
    let environment = [("DATABASE_URL", url.as_str()), ("JWT_SECRET", SECRET)];

    let before = run(&["doctor"], &environment);
    assert_eq!(before.status.code(), Some(1), "{}", text(&before.stdout));
    assert!(text(&before.stdout).contains("cure: "), "{}", text(&before.stdout));
    assert!(text(&run(&["migrate"], &environment).stdout).contains("migrations applied"));
    assert_eq!(text(&run(&["migrate"], &environment).stdout), "The schema is up to date.\n");

    let file = std::env::temp_dir().join(format!("ar-supervisor-{}.ndjson", Uuid::now_v7().simple()));
    let good = r#"{"external_id":"a","name":"a","category":"art","lat":52.5,"lng":13.4,"radius_meters":8,"asset_type":"image"}"#;
    std::fs::write(&file, format!("{good}\n{{\"name\":\"b\"}}\n")).expect("written");
    let import = run(&["import", file.to_str().expect("text")], &environment);
    assert_eq!(import.status.code(), Some(2), "rows were rejected: {}", text(&import.stderr));
    assert!(text(&import.stdout).contains("row 2: category: is required (missing)"), "{}", text(&import.stdout));
    assert!(text(&import.stdout).contains("1 created, 0 updated, 0 unchanged, 1 rejected"), "{}", text(&import.stdout));
    std::fs::remove_file(&file).expect("removed");
    let wrong_name = run(&["import", "decorations.xls"], &environment);
    assert!(text(&wrong_name.stderr).contains(".geojson"), "{}", text(&wrong_name.stderr));

    let healthy = run(&["doctor"], &environment);
    assert_eq!(healthy.status.code(), Some(0), "{}", text(&healthy.stdout));
    let elsewhere = Cells::of(LatLng::new(0.0, 0.0).expect("on Earth"));
    let mut connection = db.connect().await;
    sqlx::query("UPDATE ar.decorations SET h3_r9 = $1").bind(elsewhere.r9.to_db()).execute(&mut connection).await.expect("updates");
    sqlx::raw_sql("DROP INDEX ar.decorations_location_gist").execute(&mut connection).await.expect("drops");
    sqlx::raw_sql(
        "INSERT INTO ar.edge_servers (name, region, api_url, websocket_url, location, service_area)
             SELECT 'e', 'r', 'https://e', 'wss://e', p.place, gis.circle_area(p.place, 5000) FROM (SELECT 'SRID=4326;POINT(0 0)'::geography AS place) AS p;
         UPDATE ar.edge_load SET current_connections = 3",
    )
    .execute(&mut connection)
    .await
    .expect("miscounts");
    let sick = text(&run(&["doctor"], &environment).stdout);
    assert!(sick.contains("FAULT stored cells: wrong on 1 of 1") && sick.contains("decorations_location_gist"), "{sick}");
    assert!(sick.contains("FAULT places at edges: counted wrong at 1 edges") && sick.contains("counts 3 devices and has 0"), "{sick}");
    let (_, cure) = sick.split_once("while the service is stopped: ").expect("a cure");
    let cure = cure.lines().next().expect("one line").to_owned();
    sqlx::raw_sql(sqlx::AssertSqlSafe(cure)).execute(&mut connection).await.expect("cures");
    assert!(text(&run(&["doctor"], &environment).stdout).contains("ok    places at edges: 0 devices at 1 edges are counted right"));
    assert!(text(&run(&["doctor", "--repair-cells"], &environment).stdout).contains("repaired on 1 of 1"));
}

#[test]
fn doctor_says_how_to_reach_a_database_that_is_not_there() {
    let output = run(&["doctor"], &[("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing"), ("JWT_SECRET", SECRET)]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot connect to 127.0.0.1:1") && said.contains("cure: "), "{said}");
}

/// Runs with something to read on standard input.
fn run_with_input(arguments: &[&str], variables: &[(&str, &str)], input: &str) -> Output {
    use std::io::Write;
    let mut program = program();
    program.args(arguments).envs(variables.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = program.spawn().expect("the program runs");
    child.stdin.take().expect("its input").write_all(input.as_bytes()).expect("it reads");
    child.wait_with_output().expect("it ends")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_admin_comes_from_the_command_line() {
    let t = TestServer::start().await;
    let url = url_of(&t.db().options());
    let environment = [("DATABASE_URL", url.as_str())];
    let create = |email: &str, more: &[&str], password: &str| {
        let arguments = [&["admin", "create", "--email", email, "--name", "Ada Lovelace"], more].concat();
        run_with_input(&arguments, &environment, password)
    };
    let weak = create("ada@example.org", &[], "password\n");
    assert!(!weak.status.success() && text(&weak.stderr).contains("password has fewer than 12 characters"), "{}", text(&weak.stderr));
    let made = create("ada@example.org", &[], "seven brass gears turn\n");
    assert!(made.status.success(), "{}", text(&made.stderr));
    assert_eq!(text(&made.stdout), "Ada Lovelace <ada@example.org> is an admin.\n");
    let ada = Account::sign_in(&t, "ada@example.org", "seven brass gears turn").await;
    ada.get(&t, "/api/v1/users").await.ok();
    let again = create("ADA@example.org", &[], "nine copper wheels spin\n");
    assert!(!again.status.success() && text(&again.stderr).contains("--existing"), "{}", text(&again.stderr));
    // Whoever lost the password, or disabled himself, gets in again; and what was signed in is not any more.
    assert!(create("ada@example.org", &["--existing"], "nine copper wheels spin\n").status.success());
    eventually("the old session has ended", async || (ada.get(&t, "/api/v1/users").await.status == 401).then_some(())).await;
    Account::sign_in(&t, "ada@example.org", "nine copper wheels spin").await;
    let acts: Vec<(Option<Uuid>, String)> =
        sqlx::query_as("SELECT actor_id, action FROM gis.audit").fetch_all(&t.sql).await.expect("reads");
    assert_eq!(acts, [(None, "user.create_admin".to_owned()), (None, "user.create_admin".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exported_file_is_one_that_import_reads() {
    let t = TestServer::start().await;
    for name in ["a", "b, \"c\""] {
        t.decoration(name).insert().await;
    }
    let url = url_of(&t.db().options());
    let environment = [("DATABASE_URL", url.as_str())];
    let empty = TestDb::create().await;
    let elsewhere = url_of(&empty.options());
    for format in ["ndjson", "geojson", "csv"] {
        let file = std::env::temp_dir().join(format!("ar-supervisor-{}.{format}", Uuid::now_v7().simple()));
        let path = file.to_str().expect("text");
        let exported = run(&["export", "--output", path], &environment);
        assert!(exported.status.success(), "{}", text(&exported.stderr));
        let printed = run(&["export", "--format", format], &environment);
        assert_eq!(text(&printed.stdout), std::fs::read_to_string(&file).expect("reads"), "{format}");
        let imported = run(&["import", path], &[("DATABASE_URL", elsewhere.as_str())]);
        assert!(imported.status.success(), "{}", text(&imported.stdout));
        let expected = if format == "ndjson" {
            "2 created, 0 updated, 0 unchanged, 0 rejected"
        } else {
            "0 created, 0 updated, 2 unchanged, 0 rejected"
        };
        assert!(text(&imported.stdout).contains(expected), "{format}: {}", text(&imported.stdout));
        std::fs::remove_file(&file).expect("removed");
    }
}

/// The shell lines of the README's walk-through, as they stand there; `# → …` is what the lines above it print.
#[tokio::test(flavor = "multi_thread")]
async fn the_readmes_walk_through_goes_as_printed() {
    let data_dir: PathBuf = std::env::temp_dir().join(format!("ar-supervisor-readme-{}", Uuid::now_v7().simple()));
    let (mut server, printed) = dev(&data_dir, "0");
    let told = |label: &str| {
        let line = printed.lines().find_map(|line| line.trim().strip_prefix(label)).unwrap_or_else(|| panic!("{label}: {printed}"));
        line.trim().to_owned()
    };
    let base = told("ar-supervisor is ready at");
    let readme = include_str!("../../README.md");
    let part = readme.split("### Walk through").nth(1).expect("the README walks through");
    let blocks = part.split("```sh\n").skip(1).map(|block| block.split("```").next().expect("an end").to_owned());
    let blocks: Vec<String> = blocks.take_while(|block| !block.starts_with("make")).collect();
    assert!(blocks.len() >= 7, "{blocks:#?}");
    // But for where things are, the lines are run as they are read; each block ends with a line that tells it from the next.
    let script = blocks.join("echo END-OF-BLOCK\n");
    let script = script.replace("http://127.0.0.1:8080", &base).replace("/tmp/quadriga", &format!("{}/quadriga", data_dir.display()));
    let script = script.replace("target/release/ar-supervisor", env!("CARGO_BIN_EXE_ar-supervisor"));
    let lines: Vec<String> = script
        .lines()
        .map(|line| if line.starts_with("export DATABASE_URL=") { told("other commands") } else { line.to_owned() })
        .collect();
    let mut shell = Command::new("bash");
    shell.args(["-e", "-c", &lines.join("\n")]).env("LOG_LEVEL", "warn").stdin(Stdio::null());
    let output = shell.output().expect("bash runs");
    let (said, complained) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}\n{complained}");
    let answers: Vec<&str> = said.split("END-OF-BLOCK\n").collect();
    assert_eq!(answers.len(), blocks.len(), "{said}\n{complained}");
    for (block, answer) in blocks.iter().zip(answers) {
        let expected: Vec<&str> = block.lines().filter_map(|line| line.strip_prefix("# → ")).collect();
        assert!(!expected.is_empty(), "says what to expect: {block}");
        for expected in expected {
            assert!(answer.contains(expected), "{expected:?} after\n{block}\nbut it was\n{answer}\n{complained}");
        }
    }
    server.signal("-INT");
    assert_eq!(server.end(), Some(0));
    std::fs::remove_dir_all(&data_dir).expect("removed");
}
