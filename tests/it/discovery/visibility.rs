//! Who is shown: active decorations only, and never who made them.

use serde_json::Value;

use crate::support::{Answer, TestServer};

/// Every public list that finds what lies in the square degree at 0, 0.
async fn all_lists(t: &TestServer, filters: &str) -> Vec<(&'static str, Answer)> {
    let mut answers = Vec::new();
    for list in [
        "nearby?lat=0.5&lng=0.5&radius=1000",
        "bounds?min_lat=0&min_lng=0&max_lat=1&max_lng=1",
        "region?region=SQ",
        "region?region=by-circle",
        "region?region=by-polygon",
    ] {
        answers.push((list, t.get(&format!("/api/v1/decorations/{list}{filters}")).await.ok()));
    }
    answers
}

async fn with_regions() -> TestServer {
    let t = TestServer::start().await;
    t.new_region("SQ", "Square").insert().await;
    t.edge("by-circle").at(0.5, 0.5).insert().await;
    t.edge("by-polygon").at(0.5, 0.5).area("MULTIPOLYGON(((0 0,1 0,1 1,0 1,0 0)))").insert().await;
    t
}

#[tokio::test]
async fn inactive_and_deleted_ones_are_invisible_everywhere() {
    let t = with_regions().await;
    t.decoration("shown").at(0.5, 0.5).insert().await;
    t.decoration("inactive").at(0.5, 0.5).inactive().insert().await;
    t.decoration("deleted").at(0.5, 0.5).deleted().insert().await;
    for (list, answer) in all_lists(&t, "").await {
        assert_eq!(answer.names(), ["shown"], "{list}");
    }
    t.fold_counts().await;
    for resolution in 0..=9 {
        let counts =
            t.get(&format!("/api/v1/decorations/clusters?min_lat=0&min_lng=0&max_lat=1&max_lng=1&resolution={resolution}")).await.ok();
        assert_eq!(counts.numbers("count"), [1.0], "at resolution {resolution}");
    }
}

#[tokio::test]
async fn nobody_is_told_who_made_it_or_where_it_was_imported_from() {
    let t = with_regions().await;
    t.decoration("secretive").at(0.5, 0.5).external_id("legacy-4711").insert().await;
    for (list, answer) in all_lists(&t, "").await {
        for secret in ["created_by", "external_id", "legacy-4711"] {
            assert!(!answer.text().contains(secret), "{secret} in {list}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn filters_narrow_every_list() {
    let t = with_regions().await;
    for (name, category, asset_type) in
        [("a", "art", "image"), ("b", "art", "animation"), ("c", "Art", "image"), ("d", "news % _", "3d_model")]
    {
        t.decoration(name).at(0.5, 0.5).category(category).asset_type(asset_type).insert().await;
    }
    let cases: [(&str, &[&str]); 6] = [
        ("&category=art", &["a", "b"]),
        ("&asset_type=image", &["a", "c"]),
        ("&category=art&asset_type=image", &["a"]),
        ("&category=news+%25+_", &["d"]),
        ("&category=%25", &[]),
        ("&category=art'--", &[]),
    ];
    for (filters, expected) in cases {
        for (list, answer) in all_lists(&t, filters).await {
            let mut names = answer.names();
            names.sort();
            assert_eq!(names, expected, "{list}{filters}");
        }
        t.fold_counts().await;
        for resolution in [0, 5, 6, 9] {
            let path = format!("/api/v1/decorations/clusters?min_lat=0&min_lng=0&max_lat=1&max_lng=1&resolution={resolution}{filters}");
            let counted: f64 = t.get(&path).await.ok().numbers("count").iter().sum();
            let expected = f64::from(u32::try_from(expected.len()).expect("small"));
            assert_eq!(counted, expected, "{path}");
        }
    }
}

#[tokio::test]
async fn an_item_has_every_member_of_the_contract() {
    let t = with_regions().await;
    let id = t.decoration("whole").at(37.775_938_73, -122.417_953_12).insert().await;
    let item = t.nearby(37.775_938_73, -122.417_953_12, 1.0).await.items().remove(0);
    let expected = serde_json::json!({
        "id": id, "name": "whole", "description": null, "category": "art", "lat": 37.775_938_73, "lng": -122.417_953_12,
        "radius_meters": 100, "height_offset": 0.0, "low_res_url": null, "medium_res_url": null, "high_res_url": null,
        "scale_x": 1.0, "scale_y": 1.0, "scale_z": 1.0, "rotation_x": 0.0, "rotation_y": 0.0, "rotation_z": 0.0,
        "asset_type": "3d_model", "file_size_bytes": null, "is_active": true, "version": 1,
        "h3": {"r5": "85283083fffffff", "r7": "872830828ffffff", "r9": "8928308280fffff"},
        "distance_meters": 0.0, "bearing_degrees": 0.0, "in_range": true, "lod": "high", "asset_url": null,
    });
    let mut item = item.as_object().expect("an object").clone();
    for time in ["created_at", "updated_at"] {
        let text = item.remove(time).and_then(|time| time.as_str().map(str::to_owned)).expect("a time");
        assert!(text.ends_with('Z') && text.contains('T'), "{text} is RFC 3339 in UTC");
    }
    assert_eq!(Value::from(item), expected);
}
