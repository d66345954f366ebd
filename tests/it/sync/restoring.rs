//! After a backup was restored, and what `doctor` finds in the books.

use uuid::Uuid;

use super::books::every_pair_is_right;
use crate::commands::{run, text, url_of};
use crate::support::{RegisteredEdge, SECRET, TestServer, edge_body};

async fn epoch(t: &TestServer) -> String {
    sqlx::query_scalar("SELECT value FROM ar.meta WHERE key = 'epoch'").fetch_one(&t.sql).await.expect("reads")
}

/// What doctor prints, asked so.
async fn doctor(t: &TestServer, arguments: &'static [&'static str]) -> String {
    let url = url_of(&t.db().options());
    let asking = tokio::task::spawn_blocking(move || {
        let arguments: Vec<&str> = ["doctor"].into_iter().chain(arguments.iter().copied()).collect();
        text(&run(&arguments, &[("DATABASE_URL", &url), ("JWT_SECRET", SECRET)]).stdout)
    });
    asking.await.expect("doctor ends")
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restore_there_is_a_new_epoch_and_no_session() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let edge = RegisteredEdge::create(&t, &admin, edge_body("Berlin", 52.5, 13.4)).await;
    // A session from before the backup was taken, of an instance that is no more.
    let session = "INSERT INTO ar.edge_sessions (edge_server_id, key_id, session_id, instance_id, generation, lease_until)
        SELECT edge_server_id, id, gen_random_uuid(), gen_random_uuid(), 1, now() + interval '1 hour' FROM ar.edge_keys";
    sqlx::raw_sql(session).execute(&t.sql).await.expect("is there");
    let before = epoch(&t).await;
    assert!(!doctor(&t, &[]).await.contains("epoch"), "nothing happens unasked");
    assert_eq!(epoch(&t).await, before);

    let said = doctor(&t, &["--after-restore"]).await;
    let now = epoch(&t).await;
    assert!(now != before && now.parse::<Uuid>().is_ok(), "{now}");
    assert!(said.contains(&format!("ok    restored: the epoch is {now} from now on")), "{said}");
    let sessions: i64 = sqlx::query_scalar("SELECT count(*) FROM ar.edge_sessions").fetch_one(&t.sql).await.expect("counts");
    assert_eq!(sessions, 0);
    // What edges should hold did not change by it.
    every_pair_is_right(&t.sql).await;
    let (_, welcome) = edge.connect(&t).await;
    assert_eq!(welcome["epoch"], now);
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_compares_what_edges_should_hold_with_their_rows() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let inside = t.decoration("inside").at(52.5, 13.4).insert().await;
    t.decoration("outside").at(0.0, 0.0).insert().await;
    RegisteredEdge::create(&t, &admin, edge_body("Berlin", 52.5, 13.4)).await;
    let right = doctor(&t, &[]).await;
    assert!(
        right.contains("ok    sync: 1 pairs of edge and decoration are as they should be, on 2 decorations, with a margin of 500 m"),
        "{right}"
    );
    sqlx::raw_sql("DELETE FROM ar.decoration_sync").execute(&t.sql).await.expect("goes wrong");
    for arguments in [&[][..], &["--all"][..]] {
        let wrong = doctor(&t, arguments).await;
        assert!(
            wrong.contains(&format!("FAULT sync: what edges should hold is not marked for 1 of 2 decorations, such as {inside}")),
            "{wrong}"
        );
    }
    sqlx::raw_sql("UPDATE ar.edge_servers SET covered_margin_m = 400").execute(&t.sql).await.expect("goes wrong");
    sqlx::query(
        "INSERT INTO ar.decoration_sync (edge_server_id, decoration_id, sync_status) SELECT id, $1, 'pending' FROM ar.edge_servers",
    )
    .bind(inside)
    .execute(&t.sql)
    .await
    .expect("comes back");
    let uneven = doctor(&t, &[]).await;
    assert!(uneven.contains("FAULT sync: 1 edges are not covered, or not marked, for the margin of 500 m"), "{uneven}");
}
