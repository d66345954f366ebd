//! Import and export over HTTP.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{content, content_with};
use crate::support::{Account, Answer, RawConnection, TestServer, eventually, rounds};

async fn import(t: &TestServer, admin: &Account, query: &str, kind: &str, body: impl Into<reqwest::Body>) -> Answer {
    let request = admin.request(t, Method::POST, &format!("/api/v1/decorations/import{query}"));
    Answer::of(request.header("content-type", kind).body(body)).await
}

async fn export(t: &TestServer, admin: &Account, format: &str) -> Answer {
    admin.get(t, &format!("/api/v1/decorations/export?format={format}")).await.ok()
}

const FORMATS: [(&str, &str); 3] = [("ndjson", "application/x-ndjson"), ("geojson", "application/geo+json"), ("csv", "text/csv")];

/// Everything of every decoration but when and by whom it was made.
async fn contents(t: &TestServer) -> Vec<Value> {
    let rows = "SELECT to_jsonb(d) - 'created_at' - 'updated_at' - 'created_by' - 'version' FROM ar.decorations d WHERE deleted_at IS NULL ORDER BY id";
    sqlx::query_scalar(rows).fetch_all(&t.sql).await.expect("reads")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_good_rows_are_in_and_each_bad_one_is_named_with_row_and_field() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let rows = rounds(5_000, 100_000);
    let bad = |number: usize| number.is_multiple_of(100);
    let mut body = String::new();
    for number in 1..=rows {
        let mut row = content_with(
            "place",
            json!({"external_id": format!("m-{number}"), "lat": 10.0 + f64::from(u32::try_from(number).expect("small")) / 1e5}),
        );
        if bad(number) {
            match number / 100 % 4 {
                0 => row["lat"] = json!(95),
                1 => row["radius_meters"] = json!("far"),
                2 => row["scale_z"] = json!(1.001),
                _ => drop(row.as_object_mut().expect("an object").remove("category")),
            }
        }
        body.push_str(&row.to_string());
        body.push('\n');
    }
    let expected: Vec<(u64, &str)> = (1..=rows)
        .filter(|number| bad(*number))
        .map(|number| (number as u64, ["lat", "radius_meters", "scale_z", "category"][number / 100 % 4]))
        .collect();
    let first = import(&t, &admin, "", "application/x-ndjson", body.clone()).await.ok().json();
    let named = |report: &Value| -> Vec<(u64, String)> {
        let errors = report["errors"].as_array().expect("errors");
        errors.iter().map(|error| (error["row"].as_u64().expect("a row"), error["field"].as_str().expect("a field").to_owned())).collect()
    };
    let as_named: Vec<(u64, String)> = expected.iter().map(|(row, field)| (*row, (*field).to_owned())).collect();
    assert_eq!(
        (first["created"].as_u64(), first["rejected"].as_u64()),
        (Some((rows - expected.len()) as u64), Some(expected.len() as u64))
    );
    assert_eq!(named(&first), as_named);
    let second = import(&t, &admin, "", "application/x-ndjson", body).await.ok().json();
    assert_eq!((&second["created"], &second["updated"], &second["unchanged"]), (&json!(0), &json!(0), &first["created"]));
    assert_eq!(named(&second), as_named);
    println!("{rows} rows, {} bad ones named", expected.len());
    let made_by: i64 = sqlx::query_scalar("SELECT count(*) FROM ar.decorations WHERE created_by = $1")
        .bind(admin.id)
        .fetch_one(&t.sql)
        .await
        .expect("counts");
    assert_eq!(Some(made_by.unsigned_abs()), first["created"].as_u64());
    let acts: (i64, i64) =
        sqlx::query_as("SELECT count(*), sum((detail->>'created')::int)::bigint FROM ar.audit_log WHERE action = 'decoration.import'")
            .fetch_one(&t.sql)
            .await
            .expect("reads");
    assert_eq!(acts.1.unsigned_abs(), first["created"].as_u64().expect("a number"), "every batch is written down: {acts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_into_an_empty_system_gives_the_same_decorations() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let odd = [
        content_with(
            "quote \" comma , semicolon ;",
            json!({"description": "line one\nline \"two\", and\ttab's end", "external_id": "é-1"}),
        ),
        content_with("emoji 🎨 and \u{202e}turned", json!({"external_id": " m 2 ", "file_size_bytes": i64::MAX, "is_active": false})),
        content_with(
            "=HYPERLINK(\"x\")",
            json!({"lat": 0.000_000_01, "lng": -0.000_000_01, "height_offset": -999.99, "scale_x": 0.01, "rotation_y": 359.99}),
        ),
        content_with("null", json!({"lat": 90, "lng": 55, "low_res_url": "https://cdn.example.com/a?b=c&d=e,f", "category": "true"})),
        content_with("-0", json!({"lat": -33.123_456_78, "lng": 179.999_999_99, "scale_y": 999.99})),
    ];
    for one in &odd {
        assert_eq!(admin.send(&t, Method::POST, "/api/v1/decorations", one.clone()).await.status, 201, "{one}");
    }
    // More than one page.
    let many: String = (0..2_100).map(|i| content_with("many", json!({"lat": f64::from(i) / 100.0})).to_string() + "\n").collect();
    import(&t, &admin, "", "application/x-ndjson", many).await.ok();
    let deleted = admin.send(&t, Method::POST, "/api/v1/decorations", content("deleted")).await.json();
    assert_eq!(admin.ask(&t, Method::DELETE, &super::path_of(&deleted)).await.status, 204);
    let expected = contents(&t).await;
    assert_eq!(expected.len(), 2_105);
    for (format, kind) in FORMATS {
        let exported = export(&t, &admin, format).await;
        assert!(exported.header("content-type").is_some_and(|sent| sent.starts_with(kind)), "{format}");
        assert_eq!(exported.header("content-disposition"), Some(format!("attachment; filename=\"decorations.{format}\"").as_str()));
        let empty = TestServer::start().await;
        let importer = empty.admin().await;
        let report = import(&empty, &importer, "", kind, exported.body.clone()).await.ok().json();
        assert_eq!(
            (&report["created"], &report["rejected"], &report["warnings"]),
            (&json!(2_105), &json!(0), &json!([])),
            "{format}: {report}"
        );
        assert_eq!(contents(&empty).await, expected, "{format}");
        // And where it came from, nothing changes.
        let back = import(&t, &admin, "", kind, exported.body).await.ok().json();
        assert_eq!((&back["unchanged"], &back["updated"]), (&json!(2_105), &json!(0)), "{format}");
    }
}

#[tokio::test]
async fn an_empty_system_exports_an_empty_file_that_can_be_imported() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    for (format, kind) in FORMATS {
        let exported = export(&t, &admin, format).await;
        let report = import(&t, &admin, "", kind, exported.body).await.ok().json();
        assert_eq!((&report["created"], &report["rejected"]), (&json!(0), &json!(0)), "{format}: {report}");
    }
    assert_eq!(admin.get(&t, "/api/v1/decorations/export").await.ok().header("content-type"), Some("application/x-ndjson"));
}

#[tokio::test]
async fn a_dry_run_tells_and_changes_nothing() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let rows = format!("{}\n{{}}\n", content("gate"));
    let report = import(&t, &admin, "?dry_run=true", "application/x-ndjson", rows).await.ok().json();
    assert_eq!((&report["created"], &report["rejected"]), (&json!(1), &json!(1)));
    assert_eq!(contents(&t).await, Vec::<Value>::new());
    let acts: i64 = sqlx::query_scalar("SELECT count(*) FROM ar.audit_log").fetch_one(&t.sql).await.expect("counts");
    assert_eq!(acts, 0);
}

#[tokio::test]
async fn another_kind_of_body_is_refused_and_an_unreadable_one_is_reported() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    for kind in ["text/plain", "application/xml", "application/x-www-form-urlencoded", ""] {
        import(&t, &admin, "", kind, "x").await.problem(415, "unsupported_media_type");
    }
    let encoded =
        admin.request(&t, Method::POST, "/api/v1/decorations/import").header("content-type", "text/csv").header("content-encoding", "gzip");
    Answer::of(encoded.body("x")).await.problem(415, "unsupported_media_type");
    // The kind of body is wrong before the query is.
    import(&t, &admin, "?surprise=1", "text/plain", "x").await.problem(415, "unsupported_media_type");
    assert_eq!(import(&t, &admin, "?surprise=1", "text/csv", "x").await.faulty_fields(400), ["surprise"]);
    for (kind, body) in [
        ("application/geo+json", &b"{\"type\":\"Feature\"}"[..]),
        ("application/geo+json", b"[]"),
        ("application/geo+json", b"{\"type\":\"FeatureCollection\",\"features\":[{\"type\""),
        ("application/x-ndjson", b"{\"name\":\n\xff\xfe\n[]\nnull\n"),
        ("text/csv", b"name,name\n1,2\n"),
        ("text/csv", b"name\n\xff\n"),
    ] {
        let report = import(&t, &admin, "", kind, body.to_vec()).await.ok().json();
        assert!(report["rejected"].as_u64() >= Some(1) && report["created"] == 0, "{kind}: {report}");
        assert!(report["errors"].as_array().is_some_and(|errors| errors.iter().all(|error| error["row"].as_u64() >= Some(1))), "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_committed_stays_when_the_sender_leaves() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let rows: String = (0..1_500).map(|i| content_with("row", json!({"external_id": format!("m-{i}")})).to_string() + "\n").collect();
    let mut connection = RawConnection::open(t.address).await;
    let head = format!(
        "POST /api/v1/decorations/import HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n",
        admin.access_token,
        rows.len() + 1_000
    );
    connection.send(&head).await;
    connection.send(&rows).await;
    eventually("a thousand are committed while the rest is awaited", async || {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM ar.decorations").fetch_one(&t.sql).await.expect("counts");
        (count == 1_000).then_some(())
    })
    .await;
    drop(connection);
    // What was whole is worth keeping as well; nothing is left open.
    eventually("the import ends with its sender", async || {
        let open: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'",
        )
        .fetch_one(&t.sql)
        .await
        .expect("counts");
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM ar.decorations").fetch_one(&t.sql).await.expect("counts");
        (open == 0 && count == 1_500).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_may_take_longer_than_a_request() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    // 12 s, with something to read every second: beyond the 10 s of other requests.
    let row = content("slow").to_string() + "\n";
    let pieces = futures_util::stream::unfold(0, move |sent| {
        let row = row.clone();
        async move {
            if sent == 12 {
                return None;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some((Ok::<_, std::io::Error>(row), sent + 1))
        }
    });
    let report = import(&t, &admin, "", "application/x-ndjson", reqwest::Body::wrap_stream(pieces)).await.ok().json();
    assert_eq!(report["created"], 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_does_not_end_is_given_up() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let good = "name,category,lat,lng,radius_meters,asset_type\ngate,art,1,2,3,image\n";
    for (kind, head) in [
        ("text/csv", format!("{good}\"not closed,")),
        ("application/geo+json", "{\"type\":\"FeatureCollection\",\"features\":[{\"type\":\"Feature\",\"x\":\"".to_owned()),
    ] {
        // 100 MiB come, and are not kept.
        let pieces = futures_util::stream::iter(
            (0..1600).map(move |i| Ok::<_, std::io::Error>(if i == 0 { head.clone() } else { "x".repeat(65_536) })),
        );
        let request = admin.request(&t, Method::POST, "/api/v1/decorations/import").header("content-type", kind);
        // The answer comes before all is sent, and then nobody takes the rest.
        let Ok(answer) = request.body(reqwest::Body::wrap_stream(pieces)).send().await else { continue };
        let report: Value = answer.json().await.expect("a report");
        assert!(report["errors"][0]["detail"].as_str().is_some_and(|detail| detail.contains("1 MiB")), "{report}");
    }
    assert_eq!(t.nearby(1.0, 2.0, 10.0).await.names(), ["gate"], "the good row before it is in");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_an_import_with_its_report() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let row = content("slow").to_string() + "\n";
    let lifecycle = t.lifecycle.clone();
    let pieces = futures_util::stream::unfold(0, move |sent: u32| {
        let (row, lifecycle) = (row.clone(), lifecycle.clone());
        async move {
            if sent == 3 {
                lifecycle.stop();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            // It would never end by itself.
            Some((Ok::<_, std::io::Error>(row), sent + 1))
        }
    });
    let report = import(&t, &admin, "", "application/x-ndjson", reqwest::Body::wrap_stream(pieces)).await.ok().json();
    assert!(report["created"].as_u64() >= Some(1), "{report}");
    assert!(report["errors"][0]["detail"].as_str().is_some_and(|detail| detail.contains("stopping")), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_waits_for_an_edit_of_the_same_decoration() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let row = content_with("gate", json!({"external_id": "m-1"}));
    import(&t, &admin, "", "application/x-ndjson", row.to_string()).await.ok();
    let mut editor = t.sql.begin().await.expect("begins");
    sqlx::query("UPDATE ar.decorations SET name = 'arch'").execute(&mut *editor).await.expect("locks");
    let rows = format!("{row}\n{}\n", content("another"));
    let importing = import(&t, &admin, "", "application/x-ndjson", rows);
    // Longer than requests wait for a lock.
    let editing = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        editor.commit().await.expect("commits");
    };
    let (answer, ()) = tokio::join!(importing, editing);
    let report = answer.ok().json();
    assert_eq!((&report["created"], &report["updated"], &report["rejected"]), (&json!(1), &json!(1), &json!(0)), "{report}");
}

#[tokio::test]
async fn rows_that_mean_one_decoration_by_two_names_are_applied_in_their_order() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let made = admin.send(&t, Method::POST, "/api/v1/decorations", content_with("a", json!({"external_id": "m-1"}))).await.json();
    let by_id = content_with("b", json!({"id": made["id"]}));
    let by_external_id = content_with("c", json!({"external_id": "m-1"}));
    let report = import(&t, &admin, "", "application/x-ndjson", format!("{by_id}\n{by_external_id}\n")).await.ok().json();
    assert_eq!((&report["updated"], &report["rejected"]), (&json!(2), &json!(0)), "{report}");
    let now = admin.get(&t, &super::path_of(&made)).await.ok().json();
    assert_eq!((&now["name"], &now["version"], &now["external_id"]), (&json!("c"), &json!(3), &json!("m-1")));
}

#[tokio::test]
async fn a_features_identity_and_place_are_taken_as_they_are_or_refused() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let feature = |id: Value, more: Value, coordinates: Value| {
        let mut properties = json!({"name": "f", "category": "art", "radius_meters": 5, "asset_type": "image"});
        for (name, value) in more.as_object().expect("an object") {
            properties[name] = value.clone();
        }
        json!({"type": "Feature", "id": id, "geometry": {"type": "Point", "coordinates": coordinates}, "properties": properties})
    };
    let (a, b) = ("01890000-0000-7000-8000-00000000000a", "01890000-0000-7000-8000-00000000000b");
    let features = json!([
        feature(json!("zz"), json!({}), json!([1, 2])),
        feature(json!(17), json!({"external_id": null}), json!([1, 2])),
        feature(json!(a), json!({"id": a}), json!([1, 2])),
        feature(json!(b), json!({"id": a}), json!([1, 2])),
        feature(json!("x"), json!({"external_id": "y"}), json!([1, 2])),
        feature(json!("up"), json!({}), json!([1, 2, 3])),
    ]);
    // As some editors write it, with a mark of byte order before it.
    let collection = format!("\u{feff}{}", json!({"type": "FeatureCollection", "features": features}));
    let report = import(&t, &admin, "", "application/geo+json", collection.clone()).await.ok().json();
    let rejected: Vec<u64> =
        report["errors"].as_array().expect("errors").iter().map(|error| error["row"].as_u64().expect("a row")).collect();
    assert_eq!((&report["created"], rejected), (&json!(4), vec![4, 5]), "{report}");
    assert_eq!(report["warnings"], json!(["unknown columns were ignored: geometry.coordinates[2]"]));
    let again = import(&t, &admin, "", "application/geo+json", collection).await.ok().json();
    assert_eq!((&again["created"], &again["unchanged"]), (&json!(0), &json!(4)), "each is known again: {again}");
}

/// What one row frees another may take, wherever a batch is cut.
#[tokio::test]
async fn an_external_id_can_change_hands_within_an_import() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let mut made = Vec::new();
    for external_id in ["1", "2"] {
        made.push(admin.send(&t, Method::POST, "/api/v1/decorations", content_with("a", json!({"external_id": external_id}))).await.json());
    }
    let first = content_with("a", json!({"id": made[0]["id"], "external_id": "3"}));
    let second = content_with("a", json!({"id": made[1]["id"], "external_id": "1"}));
    let report = import(&t, &admin, "", "application/x-ndjson", format!("{first}\n{second}\n")).await.ok().json();
    assert_eq!((&report["updated"], &report["rejected"]), (&json!(2), &json!(0)), "{report}");
}

#[tokio::test]
async fn an_external_id_is_kept_when_it_is_left_out_and_goes_when_it_is_null() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let made = admin.send(&t, Method::POST, "/api/v1/decorations", content_with("a", json!({"external_id": "m-1"}))).await.json();
    let now = async || admin.get(&t, &super::path_of(&made)).await.ok().json()["external_id"].clone();
    let left_out = content_with("a", json!({"id": made["id"]}));
    let report = import(&t, &admin, "", "application/x-ndjson", left_out.to_string()).await.ok().json();
    assert_eq!((&report["unchanged"], now().await), (&json!(1), json!("m-1")));
    let null = content_with("a", json!({"id": made["id"], "external_id": null}));
    let report = import(&t, &admin, "", "application/x-ndjson", null.to_string()).await.ok().json();
    assert_eq!((&report["updated"], now().await), (&json!(1), Value::Null));
}

#[tokio::test]
async fn a_mistyped_header_is_named_even_when_no_row_is_good() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let report = import(&t, &admin, "", "text/csv", "name,category,lat,lng,radius_meters,asset_typ\na,b,1,2,3,image\n").await.ok().json();
    assert_eq!((&report["rejected"], &report["warnings"]), (&json!(1), &json!(["unknown columns were ignored: asset_typ"])), "{report}");
    let report = import(&t, &admin, "", "text/csv", "{\"name\":1}").await.ok().json();
    assert_eq!(report["warnings"], json!(["the input has no rows"]), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_of_the_same_rows_at_once_make_each_once() {
    let t = TestServer::start().await;
    let admin = t.admin().await;
    let rows: String = (0..500).map(|i| content_with("row", json!({"external_id": format!("m-{i}")})).to_string() + "\n").collect();
    // Some have to come back: two at once are enough for the connections that there are.
    let importing = (0..4).map(async |_| {
        loop {
            let answer = import(&t, &admin, "", "application/x-ndjson", rows.clone()).await;
            if answer.status == 200 {
                return answer.json();
            }
            answer.problem(503, "imports_busy");
            assert!(answer.header("retry-after").is_some());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let reports: Vec<Value> = futures_util::future::join_all(importing).await;
    let sum = |name: &str| reports.iter().map(|report| report[name].as_u64().expect("a number")).sum::<u64>();
    assert_eq!((sum("created"), sum("created") + sum("unchanged") + sum("rejected")), (500, 2_000), "{reports:?}");
    assert_eq!(contents(&t).await.len(), 500);
}
