//! P1: a write that was answered survives any crash. Fifty writers keep a ledger while the service and its database are
//! killed by turns; afterwards nothing of it is lost, and of no write there is only a half.

use std::time::Duration;

use sqlx::postgres::PgPoolOptions;

use super::admin_of;
use crate::commands::url_of;
use crate::support::{
    Config, Ledger, OwnCluster, Proof, Random, RegisteredEdge, Scene, Service, TestServer, edge_body, eventually, half_applied, rounds,
};
use crate::sync::wrong_pairs;

const WRITERS: usize = 50;
/// Writes that are answered between two kills, at least.
const BETWEEN: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_kill_loses_what_was_answered_or_leaves_half_of_a_write() {
    let mut random = Random::seeded("kills");
    let mut proof = Proof::of("P1", "kills of service and database under 50 writers").seeded(random.seed());
    let cluster = OwnCluster::start().await;
    cluster.wait_for_its_log().await;
    let admin = admin_of(cluster.options()).await;
    {
        // So that a write has rows for edges in its transaction, too.
        let t = TestServer::on(cluster.options(), Config::default()).await;
        for n in 0..3_u8 {
            RegisteredEdge::create(&t, &admin, edge_body("e", 10.0, f64::from(n) * 0.03)).await;
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let mut service = Service::start(&url_of(&cluster.options()), &log, &[], &[("DATABASE_MAX_CONNECTIONS", "24")]);
    service.ready().await;
    let scene = Scene {
        addresses: vec![service.address],
        token: admin.access_token.clone(),
        lng_deg: (-0.05, 0.11),
        pause: Duration::from_millis(20),
    };
    let ledger = Ledger::default();
    let writers = ledger.write(&scene, WRITERS, &mut random);
    let mut by_kind = [0; 3];
    for _ in 0..rounds(3, 200) {
        let enough = ledger.acknowledged() + BETWEEN;
        eventually("writers write", async || (ledger.acknowledged() >= enough).then_some(())).await;
        tokio::time::sleep(Duration::from_millis(u64::try_from(random.below(150)).expect("small"))).await;
        let kind = if by_kind.contains(&0) { by_kind.iter().position(|count| *count == 0).expect("there is one") } else { random.below(3) };
        match kind {
            0 => {
                service.kill();
                service.start_again();
            }
            1 => {
                cluster.kill().await;
                cluster.start_again().await;
            }
            _ => {
                cluster.stop("immediate").await;
                cluster.start_again().await;
            }
        }
        by_kind[kind] += 1;
        service.ready().await;
        proof.tried(1);
    }
    ledger.end();
    let mut asked = 0;
    for writer in writers {
        asked += writer.await.expect("a writer's ledger is in order");
    }
    let sql = PgPoolOptions::new().max_connections(1).connect_lazy_with(cluster.options());
    let (decorations, lost) = ledger.compare(&sql).await;
    let mut halves = half_applied(&sql).await;
    halves.extend(wrong_pairs(&sql).await.into_iter().map(|pair| format!("{pair:?}")));
    let [service_kills, database_kills, database_stops] = by_kind;
    proof.failed(lost.len() + halves.len() + service.panics().len());
    proof.measured(format!(
        "{service_kills} × service, {} × database; {} of {asked} writes answered, {decorations} decorations; {} lost, {} half-applied",
        database_kills + database_stops,
        ledger.acknowledged(),
        lost.len(),
        halves.len()
    ));
    assert!(lost.is_empty() && halves.is_empty(), "lost: {lost:#?}; half-applied: {halves:#?}");
    assert_eq!(service.panics(), [""; 0]);
}
