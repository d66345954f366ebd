//! `GET /sync/status/{edge_server_id}`: every figure against the table, and the digests against another implementation.

use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::routes::{Pair, pairs, run};
use crate::support::{Account, Answer, TestServer, position};

/// The digest of a set as the contract has it.
fn digest(set: impl IntoIterator<Item = (Uuid, i64)>) -> String {
    let of = |(id, number): (Uuid, i64)| {
        let hash = Sha256::new().chain_update(id.as_bytes()).chain_update(number.to_be_bytes()).finalize();
        u64::from_be_bytes(hash[..8].try_into().expect("eight bytes"))
    };
    format!("{:016x}", set.into_iter().map(of).fold(0, |all, one| all ^ one))
}

fn sum(set: &[(Uuid, i64)]) -> Value {
    json!({"count": set.len(), "digest": digest(set.iter().copied())})
}

async fn status(t: &TestServer, admin: &Account, edge: Uuid, query: &str) -> Answer {
    admin.get(t, &format!("/api/v1/sync/status/{edge}{query}")).await
}

/// An edge with pairs in every state: 40 synced, 10 pending, 6 outdated, 3 failed, and removals of each sort.
async fn mixed(t: &TestServer) -> Uuid {
    let edge = t.edge("eu").insert().await;
    t.decoration("").insert_at_each(&vec![position(0.0, 0.0); 64]).await;
    run(
        t,
        &format!(
            "INSERT INTO ar.decoration_sync (edge_server_id, decoration_id, sync_status) SELECT '{edge}', id, 'pending' FROM ar.decorations;
             CREATE TEMPORARY TABLE numbered AS SELECT decoration_id, row_number() OVER (ORDER BY md5(decoration_id::text)) AS n FROM ar.decoration_sync;
             UPDATE ar.decoration_sync s SET synced_version = sync_version, sync_status = 'synced', last_sync_at = '2026-11-26T10:00:00Z'
             FROM numbered d WHERE d.decoration_id = s.decoration_id AND n <= 50;
             UPDATE ar.decoration_sync s SET last_sync_at = '2026-11-26T11:00:00Z' FROM numbered d WHERE d.decoration_id = s.decoration_id AND n = 1;
             UPDATE ar.decoration_sync s SET sync_version = nextval('ar.sync_version_seq'), sync_status = 'outdated',
                 wanted = CASE WHEN n > 48 THEN 'remove' ELSE 'put' END
             FROM numbered d WHERE d.decoration_id = s.decoration_id AND n BETWEEN 41 AND 50;
             UPDATE ar.decoration_sync s SET wanted = 'remove' FROM numbered d WHERE d.decoration_id = s.decoration_id AND n = 64;
             UPDATE ar.decoration_sync s SET sync_status = 'failed', attempts = 5, error_message = 'no room for ' || n
             FROM numbered d WHERE d.decoration_id = s.decoration_id AND n IN (47, 48, 63);
             UPDATE ar.decoration_sync s SET attempts = 2, error_message = 'busy', next_attempt_at = '2027-01-01T00:00:00Z'
             FROM numbered d WHERE d.decoration_id = s.decoration_id AND n = 60;
             DROP TABLE numbered;"
        ),
    )
    .await;
    edge
}

#[tokio::test]
async fn counts_and_digests_are_those_of_the_books() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let edge = mixed(&t).await;
    // Somebody else's books.
    let other = t.edge("eu").insert().await;
    run(&t, &format!("INSERT INTO ar.decoration_sync (edge_server_id, decoration_id, sync_status) SELECT '{other}', id, 'pending' FROM ar.decorations"))
        .await;
    let answer = status(&t, &admin, edge, "").await.ok().json();
    assert_eq!(answer["edge_server_id"], json!(edge));
    assert_eq!(answer["counts"], json!({"pending": 13, "synced": 40, "failed": 3, "outdated": 8}));
    let books = pairs(&t, edge).await;
    let held: Vec<_> = books.iter().filter_map(|pair| Some((pair.decoration_id, pair.synced_version?))).collect();
    let wanted: Vec<_> = books.iter().filter(|pair| pair.wanted == "put").map(|pair| (pair.decoration_id, pair.sync_version)).collect();
    assert_eq!((held.len(), wanted.len()), (50, 61));
    assert_eq!(answer["held"], sum(&held));
    assert_eq!(answer["wanted"], sum(&wanted));
    assert_eq!(answer["last_sync_at"], "2026-11-26T11:00:00Z");
    assert_eq!(answer["resending"], false);

    // An edge that is to hold nothing.
    let empty = t.edge("eu").insert().await;
    let answer = status(&t, &admin, empty, "").await.ok().json();
    let nothing = json!({"count": 0, "digest": "0000000000000000"});
    assert_eq!((&answer["held"], &answer["wanted"]), (&nothing, &nothing));
    assert_eq!((&answer["items"], &answer["next_cursor"], &answer["last_sync_at"]), (&json!([]), &Value::Null, &Value::Null));

    // All delivered: one set.
    run(
        &t,
        &format!("UPDATE ar.decoration_sync SET synced_version = sync_version, sync_status = 'synced' WHERE edge_server_id = '{other}'"),
    )
    .await;
    let answer = status(&t, &admin, other, "").await.ok().json();
    assert_eq!(answer["held"]["count"], 64);
    assert_eq!(answer["held"], answer["wanted"]);
}

#[tokio::test]
async fn items_say_why_something_is_not_there() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let edge = mixed(&t).await;
    let failed = status(&t, &admin, edge, "?status=failed").await.ok().items();
    assert_eq!(failed.len(), 3);
    let books: Vec<Pair> = pairs(&t, edge).await.into_iter().filter(|pair| pair.sync_status == "failed").collect();
    let as_told = |pair: &Pair| {
        json!({"decoration_id": pair.decoration_id, "wanted": pair.wanted, "sync_status": "failed", "sync_version": pair.sync_version,
               "synced_version": pair.synced_version, "attempts": 5, "next_attempt_at": null, "error_message": pair.error_message,
               "last_sync_at": pair.synced_version.map(|_| "2026-11-26T10:00:00Z")})
    };
    assert_eq!(failed, books.iter().map(as_told).collect::<Vec<_>>());
    assert!(failed.iter().all(|item| item["error_message"].as_str().is_some_and(|text| text.starts_with("no room for "))));
    let pending = status(&t, &admin, edge, "?status=pending").await.ok().items();
    let waiting: Vec<&Value> = pending.iter().filter(|item| item["attempts"] == 2).collect();
    assert_eq!((&waiting[0]["next_attempt_at"], &waiting[0]["error_message"]), (&json!("2027-01-01T00:00:00Z"), &json!("busy")));
}

#[tokio::test]
async fn pages_go_through_all_of_it_once_in_the_order_of_the_ids() {
    let mut t = TestServer::start().await;
    let admin = t.admin().await;
    let edge = mixed(&t).await;
    t.act_as(&admin);
    let books = pairs(&t, edge).await;
    for (filter, count) in [("", 64), ("&status=synced", 40), ("&status=pending", 13), ("&status=outdated", 8), ("&status=failed", 3)] {
        let pages = t.all_pages(&format!("/api/v1/sync/status/{edge}?limit=5{filter}")).await;
        assert_eq!(pages.len(), usize::div_ceil(count, 5), "{filter}");
        assert!(pages.iter().all(|page| page.json()["counts"]["synced"] == 40), "the counts are of all");
        let ids: Vec<String> = pages.iter().flat_map(|page| page.texts("decoration_id")).collect();
        let status = filter.strip_prefix("&status=");
        let expected: Vec<String> = books
            .iter()
            .filter(|pair| status.is_none_or(|status| pair.sync_status == status))
            .map(|pair| pair.decoration_id.to_string())
            .collect();
        assert_eq!(ids, expected, "{filter}");
    }
    // A cursor is good for the list it was made for.
    let cursor = status(&t, &admin, edge, "?limit=5&status=synced").await.ok().next_cursor().expect("more");
    let other = t.edge("eu").insert().await;
    for (edge, query) in [(edge, "limit=5"), (edge, "status=pending"), (other, "status=synced")] {
        let answer = status(&t, &admin, edge, &format!("?{query}&cursor={cursor}")).await;
        assert_eq!(answer.faulty_fields(400), ["cursor"]);
    }
    status(&t, &admin, edge, &format!("?limit=7&status=synced&cursor={cursor}")).await.ok();
}

#[tokio::test]
async fn bad_questions_are_told_what_is_wrong_with_them() {
    let t = TestServer::start().await;
    let (admin, user) = (t.admin().await, t.user().await);
    let edge = t.edge("eu").insert().await;
    assert_eq!(status(&t, &admin, edge, "?status=lost&limit=0").await.faulty_fields(422), ["limit", "status"]);
    assert_eq!(status(&t, &admin, edge, "?status=synced&limit=1001").await.faulty_fields(422), ["limit"]);
    assert_eq!(status(&t, &admin, edge, "?limit=x&surprise=1").await.faulty_fields(400), ["limit", "surprise"]);
    status(&t, &admin, Uuid::now_v7(), "").await.problem(404, "unknown_edge_server");
    admin.get(&t, "/api/v1/sync/status/nonsense").await.problem(404, "unknown_edge_server");
    status(&t, &user, edge, "").await.problem(403, "forbidden");
    assert_eq!(admin.ask(&t, Method::DELETE, &format!("/api/v1/edge-servers/{edge}")).await.status, 204);
    status(&t, &admin, edge, "").await.problem(404, "unknown_edge_server");
}

#[tokio::test]
async fn analysts_see_the_same_and_why_something_is_not_there() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let edge = mixed(&t).await;
    let counts = status(&t, &admin, edge, "").await.ok().json();
    let state: (i64, i64, i64, i64, i64, i64, bool) = sqlx::query_as(
        "SELECT pending, outdated, failed, synced, wanted_count, held_count, oldest_due_at <= now() FROM gis.sync_state WHERE edge_server_id = $1",
    )
    .bind(edge)
    .fetch_one(&t.sql)
    .await
    .expect("a row");
    let number = |value: &Value| value.as_i64().expect("a number");
    let [pending, outdated, failed, synced] = ["pending", "outdated", "failed", "synced"].map(|name| number(&counts["counts"][name]));
    assert_eq!(state, (pending, outdated, failed, synced, number(&counts["wanted"]["count"]), number(&counts["held"]["count"]), true));

    // Those that were marked this minute may be on their way.
    let faults = async || -> Vec<(String, i64)> {
        let faults =
            sqlx::query_as("SELECT reason, count(*) FROM gis.sync_faults WHERE edge_server_id = $1 GROUP BY 1 ORDER BY 1").bind(edge);
        faults.fetch_all(&t.sql).await.expect("reads")
    };
    let expected = |counts: &[(&str, i64)]| counts.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect::<Vec<_>>();
    assert_eq!(faults().await, expected(&[("not_connected", 1), ("refused", 3)]));
    run(&t, "UPDATE ar.decoration_sync SET wanted_at = wanted_at - interval '2 minutes'").await;
    assert_eq!(faults().await, expected(&[("not_connected", 21), ("refused", 3)]));
    run(
        &t,
        &format!(
            "WITH k AS (INSERT INTO ar.edge_keys (edge_server_id, key_hash) VALUES ('{edge}', sha256('{edge}')) RETURNING id)
             INSERT INTO ar.edge_sessions (edge_server_id, session_id, instance_id, generation, lease_until, key_id)
             SELECT '{edge}', gen_random_uuid(), gen_random_uuid(), 1, now() + interval '1 min', id FROM k"
        ),
    )
    .await;
    assert_eq!(faults().await, expected(&[("late", 20), ("refused", 3), ("retrying", 1)]));
}
