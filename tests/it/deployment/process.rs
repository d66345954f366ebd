//! `health`, as a container asks, and what systemd hears.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use ar_supervisor::commands::STOPS_WITHIN;

use crate::commands::{Running, program, run, text};
use crate::support::{OwnCluster, SECRET, eventually, free_address};

fn free_port() -> String {
    free_address().port().to_string()
}

/// Exit status of `health`, and what it said.
async fn health(arguments: &'static [&'static str], port: &str) -> (Option<i32>, String) {
    let port = port.to_owned();
    let asked = move || run(&[&["health"], arguments].concat(), &[("SERVER_PORT", &port)]);
    let output = tokio::task::spawn_blocking(asked).await.expect("it is asked");
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn health_tells_by_its_status_whether_the_server_lives_and_is_ready() {
    let port = free_port();
    let (status, said) = health(&[], &port).await;
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains(&format!("nothing listens at 127.0.0.1:{port}")), "{said}");

    let cluster = OwnCluster::start().await;
    let url = crate::commands::url_of(&cluster.options());
    cluster.stop("fast").await;
    let variables = [("DATABASE_URL", url.as_str()), ("JWT_SECRET", SECRET), ("SERVER_PORT", &port), ("SERVER_HOST", "127.0.0.1")];
    let mut server = Running(program().arg("serve").envs(variables).spawn().expect("the program runs"));
    eventually("it lives without its database", async || (health(&[], &port).await.0 == Some(0)).then_some(())).await;
    let (status, said) = health(&["--ready"], &port).await;
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("503") && said.contains("starting"), "what the server says is passed on: {said}");
    cluster.start_again().await;
    eventually("it is ready with its database", async || (health(&["--ready"], &port).await.0 == Some(0)).then_some(())).await;
    server.signal("-TERM");
    assert_eq!(server.end(), Some(0));
}

#[test]
fn systemd_hears_when_the_port_is_open_that_it_runs_and_that_it_stops() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("notify");
    let systemd = UnixDatagram::bind(&socket).expect("a socket");
    systemd.set_read_timeout(Some(STOPS_WITHIN)).expect("a limit");
    let hears = || {
        let mut message = [0; 4096];
        let length = systemd.recv(&mut message).expect("a message in time");
        text(&message[..length])
    };
    let port = free_port();
    let mut program = program();
    program.arg("serve").env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", Duration::from_millis(300).as_micros().to_string());
    // Nothing listens there: it lives all the same, and says so.
    program.env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nowhere").env("JWT_SECRET", SECRET);
    let mut server = Running(program.env("SERVER_HOST", "127.0.0.1").env("SERVER_PORT", &port).spawn().expect("the program runs"));

    let ready = hears();
    assert!(ready.starts_with("READY=1\nSTATUS=waiting for the database"), "{ready}");
    std::net::TcpStream::connect(format!("127.0.0.1:{port}")).expect("the port is open by then");
    for _ in 0..3 {
        assert_eq!(hears().trim(), "WATCHDOG=1");
    }
    server.signal("-TERM");
    let mut last = hears();
    while last.trim() == "WATCHDOG=1" {
        last = hears();
    }
    assert!(last.starts_with("STOPPING=1\n"), "{last}");
    assert_eq!(server.end(), Some(0));
}
