//! The simulation, against the service as it is: it sees what clients see, leaves nothing, and says what is wrong.

use std::time::Duration;

use ar_supervisor::commands::simulate::{self, Count, Settings, Silent, SimulateError};
use tokio_util::sync::CancellationToken;

use crate::support::{Account, Config, PASSWORD, TestServer, eventually};

const EDGES: u32 = 4;
const PHONES: usize = 30;
/// Most of them; a few start outside all areas.
const MOST_PHONES: i64 = 24;

fn settings(t: &TestServer, admin: &Account) -> Settings {
    Settings {
        url: t.url(""),
        email: admin.email.clone(),
        password: PASSWORD.into(),
        edges: 4,
        devices: PHONES,
        duration: Some(Duration::from_secs(3)),
        every: Duration::from_millis(500),
        adopt: false,
        churn_pct_per_minute: 0.0,
        seed: 7,
        keep: false,
        content_dir: None,
    }
}

/// A server with decorations in and around two towns.
async fn server_with_towns() -> TestServer {
    server_with_towns_and(Config::default()).await
}

async fn server_with_towns_and(config: Config) -> TestServer {
    let t = TestServer::start_with(config).await;
    for (n, (lat, lng)) in [(52.52, 13.40), (52.52, 13.50), (52.45, 13.38), (-16.80, 179.98), (-16.80, -179.95)].into_iter().enumerate() {
        for m in 0..3 {
            let step = f64::from(m) * 0.01;
            t.decoration(&format!("place {n} {m}")).at(lat + step, lng + step / 2.0).insert().await;
        }
    }
    t
}

async fn count(t: &TestServer, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&t.sql).await.expect("counts")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edges_are_healthy_phones_are_assigned_and_nothing_is_left() {
    let t = server_with_towns().await;
    let admin = t.admin().await;
    let (stop, settings) = (CancellationToken::new(), Settings { duration: None, ..settings(&t, &admin) });
    let running = tokio::spawn({
        let stop = stop.clone();
        async move { simulate::run(settings, &stop, &mut Silent).await }
    });
    eventually("all edges are healthy", async || {
        count(&t, "SELECT count(*) FROM ar.edge_servers WHERE health_status = 'healthy' AND region = 'simulation'")
            .await
            .eq(&(i64::from(EDGES)))
            .then_some(())
    })
    .await;
    eventually("all phones inside an area have an edge", async || {
        count(&t, "SELECT count(*) FROM ar.device_connections WHERE edge_server_id IS NOT NULL").await.ge(&MOST_PHONES).then_some(())
    })
    .await;
    // What stands there the phone may not have heard yet; who asks again has.
    sqlx::raw_sql(
        "CREATE TABLE public.assigned AS SELECT device_id, last_ping FROM ar.device_connections WHERE edge_server_id IS NOT NULL",
    )
    .execute(&t.sql)
    .await
    .expect("notes");
    eventually("they ask again", async || {
        let again = "SELECT count(*) FROM public.assigned a JOIN ar.device_connections d USING (device_id) WHERE d.last_ping > a.last_ping";
        count(&t, again).await.ge(&MOST_PHONES).then_some(())
    })
    .await;
    stop.cancel();
    let summary = running.await.expect("ends").expect("began");
    assert!(summary.is_good(), "{summary}");
    let snapshot = summary.snapshot();
    assert_eq!(snapshot.most_edges_connected(), i64::from(EDGES));
    assert!(snapshot.count(Count::Puts) > 0 && snapshot.count(Count::Checkpoints) > 0, "{summary}");
    assert!(snapshot.most_assigned() >= MOST_PHONES && snapshot.count(Count::Beats) >= u64::from(EDGES), "{summary}");
    assert_eq!(count(&t, "SELECT count(*) FROM ar.edge_servers WHERE deleted_at IS NULL").await, 0);
    assert_eq!(count(&t, "SELECT count(*) FROM ar.device_connections").await, 0);
    assert_eq!(count(&t, "SELECT count(*) FROM ar.users WHERE is_active AND email LIKE 'sim-%'").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edges_that_are_there_are_adopted_and_stay_and_a_seed_can_come_again() {
    let t = server_with_towns().await;
    let admin = t.admin().await;
    for (lat, lng) in [(52.52, 13.40), (-16.80, 179.98)] {
        t.edge("here").at(lat, lng).insert().await;
    }
    for _ in 0..2 {
        let settings = Settings { adopt: true, edges: 10, ..settings(&t, &admin) };
        let summary = simulate::run(settings, &CancellationToken::new(), &mut Silent).await.expect("begins");
        assert!(summary.is_good(), "{summary}");
        assert_eq!((summary.cast().edges, summary.snapshot().most_edges_connected()), (2, 2));
        eventually("the edges are free again", async || count(&t, "SELECT count(*) FROM ar.edge_sessions").await.eq(&0).then_some(()))
            .await;
    }
    assert_eq!(count(&t, "SELECT count(*) FROM ar.edge_servers WHERE deleted_at IS NULL").await, 2);
}

/// Edges that kept their content on a disk are sent nothing again; one whose disk was lost, and one with an old copy,
/// are sent what they lack.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_on_a_disk_is_there_for_the_next_simulation() {
    // Edges that were put in by SQL are found by the comparison of what they should hold.
    let t = server_with_towns_and(Config::of("EDGE_SYNC_INTERVAL", "1s")).await;
    let admin = t.admin().await;
    for (lat, lng) in [(52.52, 13.40), (-16.80, 179.98)] {
        t.edge("here").at(lat, lng).insert().await;
    }
    eventually("it is marked what they should hold", async || {
        count(&t, "SELECT count(DISTINCT edge_server_id) FROM ar.decoration_sync").await.eq(&2).then_some(())
    })
    .await;
    let folder = tempfile::tempdir().expect("a folder");
    let simulated = async || {
        let settings = Settings {
            adopt: true,
            devices: 1,
            content_dir: Some(folder.path().to_owned()),
            duration: Some(Duration::from_secs(1)),
            ..settings(&t, &admin)
        };
        let summary = simulate::run(settings, &CancellationToken::new(), &mut Silent).await.expect("begins");
        assert!(summary.is_good(), "{summary}");
        eventually("the edges are free again", async || count(&t, "SELECT count(*) FROM ar.edge_sessions").await.eq(&0).then_some(()))
            .await;
        summary.snapshot().count(Count::Puts)
    };
    let files = || {
        let mut files: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").map(|file| file.expect("a file").path()).collect();
        files.sort();
        files
    };
    let all = simulated().await;
    assert_eq!((all > 0, files().len()), (true, 2));
    assert_eq!(simulated().await, 0, "it is all there");
    std::fs::remove_file(&files()[0]).expect("removes");
    let lost = simulated().await;
    assert!(lost > 0 && lost < all, "{lost} of {all}");
    let file = files()[1].clone();
    let half: Vec<String> = std::fs::read_to_string(&file).expect("text").lines().map(str::to_owned).collect();
    std::fs::write(&file, half[half.len() / 2..].join("\n") + "\n").expect("writes");
    assert!(simulated().await > 0);
}

#[tokio::test]
async fn what_keeps_it_from_beginning_is_said_and_leaves_nothing() {
    let t = TestServer::start().await;
    let (admin, user) = (t.admin().await, t.user().await);
    let begun = async |change: &dyn Fn(&mut Settings)| {
        let mut settings = settings(&t, &admin);
        change(&mut settings);
        simulate::run(settings, &CancellationToken::new(), &mut Silent).await.expect_err("does not begin")
    };
    let wrong = begun(&|settings| settings.password = "another one than this".into()).await;
    assert!(matches!(wrong, SimulateError::WrongPassword { .. }) && wrong.to_string().contains("admin-password"), "{wrong}");
    let no_admin = begun(&|settings| settings.email.clone_from(&user.email)).await;
    assert!(matches!(no_admin, SimulateError::NotAdmin { .. }), "{no_admin}");
    let nowhere = begun(&|settings| settings.url = "http://127.0.0.1:1".to_owned()).await;
    assert!(matches!(nowhere, SimulateError::Unreachable { .. }) && nowhere.to_string().contains("ar-supervisor dev"), "{nowhere}");
    let empty = begun(&|_| ()).await;
    assert!(matches!(empty, SimulateError::TooFewPlaces { found: 0, wanted: 4 }), "{empty}");
    let nobody = begun(&|settings| settings.adopt = true).await;
    assert!(matches!(nobody, SimulateError::NothingToAdopt { running: 0 }), "{nobody}");
    assert_eq!(count(&t, "SELECT count(*) FROM ar.users WHERE is_active AND email LIKE 'sim-%'").await, 0);
}
