//! Features: what narrows a list, how it goes on, and what never appears.

use reqwest::Method;
use serde_json::{Value, json};

use super::{COLLECTIONS, all_pages, features, items, link, path_of, properties, with_some_of_all};
use crate::support::{Answer, Random, TestServer, position};

/// Names of the decorations in a box: west, south, east, north.
async fn in_box(t: &TestServer, collection: &str, [west, south, east, north]: [f64; 4]) -> Vec<String> {
    let mut names = properties(&t.get(&items(collection, &format!("bbox={west},{south},{east},{north}"))).await.ok(), "name");
    names.sort();
    names
}

#[tokio::test]
async fn features_are_geo_json_with_numbers_for_their_names() {
    let t = with_some_of_all().await;
    let answer = t.get(&items("decorations", "")).await.ok();
    assert_eq!(answer.header("content-type"), Some("application/geo+json"));
    let found = features(&answer);
    assert_eq!(
        properties(&answer, "name"),
        ["Žižkov – 東京 <b>&\"", "fiji", "dateline"],
        "in the order of their numbers, without what is not shown"
    );
    assert_eq!(found[0]["geometry"], json!({"type": "Point", "coordinates": [14.45, 50.08]}));
    assert_eq!(found[0]["properties"]["h3_r5"].as_str().map(str::len), Some(15));
    assert_eq!(answer.json()["numberMatched"], 3, "known, because this is all of it");
    let moment = answer.json()["timeStamp"].as_str().expect("a time").to_owned();
    assert!(moment.ends_with('Z'), "{moment}");
    for feature in found {
        let number = feature["id"].as_i64().expect("a whole number");
        let stored: i64 = sqlx::query_scalar("SELECT gid FROM ar.decorations WHERE id = $1::uuid")
            .bind(feature["properties"]["id"].as_str())
            .fetch_one(&t.sql)
            .await
            .expect("is there");
        assert_eq!(number, stored);
        let alone = t.get(&format!("/ogc/collections/decorations/items/{number}")).await.ok();
        assert_eq!(alone.header("content-type"), Some("application/geo+json"));
        let mut alone_json = alone.json();
        for rel in ["self", "alternate", "collection"] {
            t.get(&path_of(&t, &link(&alone, rel).expect("a link"))).await.ok();
        }
        alone_json.as_object_mut().expect("an object").remove("links");
        assert_eq!(alone_json, feature);
    }
    let regions = features(&t.get(&items("regions", "code=FJ")).await.ok());
    assert_eq!(regions[0]["geometry"]["type"], "MultiPolygon");
    let cells = features(&t.get(&items("decoration_cells", "resolution=5")).await.ok());
    assert_eq!(cells.iter().map(|cell| cell["properties"]["n"].as_i64().expect("a count")).sum::<i64>(), 3);
    let number = cells[0]["id"].as_i64().expect("a number");
    assert!(number < 1 << 53, "JavaScript can hold {number}");
    let alone = t.get(&format!("/ogc/collections/decoration_cells/items/{number}")).await.ok().json();
    assert_eq!(alone["properties"], cells[0]["properties"]);
}

#[tokio::test]
async fn a_feature_that_is_not_shown_is_not_there() {
    let t = with_some_of_all().await;
    let hidden: Vec<i64> =
        sqlx::query_scalar("SELECT gid FROM ar.decorations WHERE name IN ('hidden', 'gone')").fetch_all(&t.sql).await.expect("reads");
    assert_eq!(hidden.len(), 2);
    for id in hidden
        .iter()
        .map(i64::to_string)
        .chain(["0", "-1", "007", "9223372036854775807", "9223372036854775808", "1.0", "x"].map(str::to_owned))
    {
        for collection in COLLECTIONS {
            if collection == "decorations" || !hidden.iter().any(|number| number.to_string() == id) {
                t.get(&format!("/ogc/collections/{collection}/items/{id}")).await.problem(404, "unknown_feature");
            }
        }
    }
}

/// Everything that is answered here without a token is answered elsewhere without one.
#[tokio::test]
async fn nothing_private_ever_appears() {
    let t = with_some_of_all().await;
    let public = [
        (
            "decorations",
            "id name description category radius_meters height_offset low_res_url medium_res_url high_res_url scale_x scale_y scale_z rotation_x rotation_y rotation_z asset_type file_size_bytes version h3_r5 h3_r7 h3_r9 created_at updated_at",
        ),
        ("edges", "id name region api_url websocket_url service_radius_km health_status draining"),
        ("coverage", "id name region health_status"),
        ("regions", "code name kind parent_code"),
        ("decoration_cells", "cell resolution n"),
    ];
    for (collection, names) in public {
        let answer = t.get(&items(collection, "")).await.ok();
        let found = features(&answer);
        assert!(!found.is_empty(), "{collection}");
        for feature in found {
            let mut given: Vec<&str> = feature["properties"].as_object().expect("properties").keys().map(String::as_str).collect();
            let mut expected: Vec<&str> = names.split(' ').collect();
            given.sort_unstable();
            expected.sort_unstable();
            assert_eq!(given, expected, "{collection}");
        }
        let page = t.get(&items(collection, "f=html")).await.ok().text();
        for secret in ["private-7", "hidden", "gone", "Maker", "example.org\">", "cpu_usage", "created_by", "external_id"] {
            assert!(!answer.text().contains(secret) && !page.contains(secret), "{collection}: {secret}");
        }
    }
    // What a column has cannot be found out by asking for it, either.
    for (collection, name) in
        [("decorations", "external_id"), ("decorations", "created_by"), ("edges", "cpu_usage"), ("edges", "current_connections")]
    {
        assert_eq!(t.get(&items(collection, &format!("{name}=1"))).await.faulty_fields(400), [name]);
    }
}

#[tokio::test]
async fn pages_follow_each_other_without_a_gap() {
    let t = TestServer::start().await;
    let mut random = Random::seeded("ogc pages");
    let places: Vec<_> = (0..57).map(|_| position(random.between(-80.0, 80.0), random.between(-180.0, 180.0))).collect();
    t.decoration("").insert_at_each(&places).await;
    t.fold_counts().await;
    t.draw_cells().await;
    for (query, expected) in [
        ("limit=10", 57),
        ("limit=19&category=art", 57),
        ("limit=10&bbox=-180,-90,180,90", 57),
        ("limit=57", 57),
        ("limit=20000", 57),
        ("limit=7&category=none", 0),
    ] {
        let pages = all_pages(&t, &items("decorations", query)).await;
        let numbers: Vec<i64> = pages.iter().flat_map(features).map(|feature| feature["id"].as_i64().expect("a number")).collect();
        assert_eq!(numbers.len(), expected, "{query}");
        assert!(numbers.is_sorted_by(|a, b| a < b), "{query}: {numbers:?}");
        for page in &pages {
            let header = page.header("link").expect("links");
            for rel in ["self", "alternate", "collection"] {
                assert!(link(page, rel).is_some_and(|url| header.contains(&format!("<{url}>; rel=\"{rel}\""))), "{header}");
            }
            assert_eq!(link(page, "next").is_some(), header.contains("rel=\"next\""));
            let again = t.get(&path_of(&t, &link(page, "self").expect("a link"))).await.ok();
            assert_eq!(features(&again), features(page), "a page is the same when it is asked for again");
        }
    }
    let all_cells = all_pages(&t, &items("decoration_cells", "limit=40")).await;
    let cells: Vec<i64> = all_cells.iter().flat_map(features).map(|feature| feature["id"].as_i64().expect("a number")).collect();
    let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM gis.decoration_cells").fetch_one(&t.sql).await.expect("counts");
    assert!(all_cells.len() > 3 && cells.is_sorted_by(|a, b| a < b), "{cells:?}");
    assert_eq!(i64::try_from(cells.len()), Ok(stored));
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_list_alone() {
    let t = with_some_of_all().await;
    let next = link(&t.get(&items("decorations", "limit=1&bbox=0,0,180,90")).await.ok(), "next");
    assert_eq!(next, None);
    let next = link(&t.get(&items("decorations", "limit=1")).await.ok(), "next").expect("more");
    let cursor = next.split("cursor=").nth(1).expect("a cursor").to_owned();
    assert_eq!(
        features(&t.get(&items("decorations", &format!("cursor={cursor}&limit=5"))).await.ok()).len(),
        2,
        "another limit is the same list"
    );
    for (collection, query) in [
        ("edges", ""),
        ("decorations", "&category=art"),
        ("decorations", "&bbox=1,2,3,4"),
        ("decorations", "&datetime=2020-01-01T00:00:00Z/.."),
    ] {
        let answer = t.get(&items(collection, &format!("cursor={cursor}{query}"))).await;
        assert_eq!(answer.faulty_fields(400), ["cursor"], "{collection} {query}");
    }
}

#[tokio::test]
async fn a_box_may_cross_the_antimeridian_and_touch_it_from_either_side() {
    let t = TestServer::start().await;
    for (name, lat, lng) in
        [("fiji", -17.0, 179.0), ("samoa", -14.0, -172.0), ("london", 51.5, 0.0), ("dateline", -15.0, 180.0), ("pole", 90.0, 0.0)]
    {
        t.decoration(name).at(lat, lng).insert().await;
    }
    assert_eq!(in_box(&t, "decorations", [178.0, -20.0, -170.0, -10.0]).await, ["dateline", "fiji", "samoa"]);
    assert_eq!(in_box(&t, "decorations", [-180.0, -20.0, -179.0, -10.0]).await, ["dateline"]);
    assert_eq!(in_box(&t, "decorations", [-180.0, -20.0, -180.0, -10.0]).await, ["dateline"]);
    assert_eq!(in_box(&t, "decorations", [179.5, -20.0, 180.0, -10.0]).await, ["dateline"]);
    assert_eq!(in_box(&t, "decorations", [-10.0, 51.5, 10.0, 90.0]).await, ["london", "pole"]);
    assert_eq!(in_box(&t, "decorations", [77.0, 90.0, 77.0, 90.0]).await, ["pole"]);
    assert_eq!(in_box(&t, "decorations", [-180.0, -90.0, 180.0, 90.0]).await.len(), 5);
    assert_eq!(in_box(&t, "decorations", [0.0, 51.5, 0.0, 51.5]).await, ["london"]);
    assert_eq!(in_box(&t, "decorations", [0.000_000_01, 51.5, 1.0, 52.0]).await, Vec::<String>::new());
    let with_heights = t.get(&items("decorations", "bbox=-1,51,-500,1,52,9000")).await.ok();
    assert_eq!(properties(&with_heights, "name"), ["london"]);
}

#[tokio::test]
async fn an_area_is_in_every_box_that_meets_it() {
    let t = TestServer::start().await;
    t.new_region("SQ", "square").boxes(&[[0.0, 0.0, 1.0, 1.0]]).insert().await;
    t.new_region("TR", "triangle").polygon(&[(10.0, 10.0), (20.0, 10.0), (10.0, 20.0)]).insert().await;
    t.new_region("FJ", "viti").boxes(&[[-20.0, 177.0, -16.0, 180.0], [-20.0, -180.0, -16.0, -178.0]]).insert().await;
    t.new_region("EA", "east of the line").boxes(&[[30.0, -180.0, 40.0, -170.0]]).insert().await;
    t.new_region("AQ", "south").boxes(&[[-90.0, 5.0, -80.0, 6.0]]).insert().await;
    for (bbox, expected) in [
        ([0.2, 0.2, 0.3, 0.3], &["square"] as &[_]),
        ([1.0, 1.0, 2.0, 2.0], &["square"]),
        ([0.5, 0.5, 0.5, 0.5], &["square"]),
        ([-5.0, 0.5, 5.0, 0.5], &["square"]),
        ([1.000_001, 0.0, 2.0, 1.0], &[]),
        // In the triangle's box, and not in the triangle.
        ([18.0, 18.0, 19.0, 19.0], &[]),
        ([178.0, -18.0, -179.0, -17.0], &["viti"]),
        ([-180.0, -18.0, -179.0, -17.0], &["viti"]),
        ([180.0, -18.0, 180.0, -17.0], &["viti"]),
        // One meridian in two spellings.
        ([170.0, 33.0, 180.0, 34.0], &["east of the line"]),
        ([180.0, 33.0, 180.0, 34.0], &["east of the line"]),
        // A pole has no longitude.
        ([100.0, -90.0, 110.0, -85.0], &["south"]),
        ([100.0, -89.9, 110.0, -85.0], &[]),
        ([-180.0, -90.0, 180.0, 90.0], &["east of the line", "south", "square", "triangle", "viti"]),
    ] {
        assert_eq!(in_box(&t, "regions", bbox).await, expected, "{bbox:?}");
    }
}

#[tokio::test]
async fn datetime_is_when_something_changed_last() {
    let t = TestServer::start().await;
    for (name, at) in [("a", "2026-01-01T00:00:00Z"), ("b", "2026-02-01T00:00:00Z"), ("c", "2026-03-01T12:30:00.5Z")] {
        t.decoration(name).insert().await;
        let change = sqlx::query("UPDATE ar.decorations SET updated_at = $2::timestamptz WHERE name = $1").bind(name).bind(at);
        change.execute(&t.sql).await.expect("changes");
    }
    for (datetime, expected) in [
        ("2026-02-01T00:00:00Z", "b"),
        ("2026-02-01T01:00:00%2B01:00", "b"),
        ("2026-02-01T00:00:01Z", ""),
        ("2026-01-01T00:00:00Z/2026-02-01T00:00:00Z", "ab"),
        ("2026-01-01T00:00:00.000001Z/2026-03-01T12:30:00.5Z", "bc"),
        ("2026-02-01T00:00:00Z/..", "bc"),
        ("2026-02-01T00:00:00Z/", "bc"),
        ("../2026-02-01T00:00:00Z", "ab"),
        ("/2026-01-01T00:00:00Z", "a"),
        ("2027-01-01T00:00:00Z/..", ""),
    ] {
        let answer = t.get(&items("decorations", &format!("datetime={datetime}"))).await.ok();
        assert_eq!(properties(&answer, "name").concat(), expected, "{datetime}");
    }
    // What has no time matches every time.
    t.edge("eu").insert().await;
    assert_eq!(features(&t.get(&items("edges", "datetime=1999-01-01T00:00:00Z")).await.ok()).len(), 1);
    assert_eq!(t.get(&items("edges", "datetime=yesterday")).await.faulty_fields(400), ["datetime"]);
}

#[tokio::test]
async fn properties_narrow_a_list_by_being_equal() {
    let t = with_some_of_all().await;
    let id: uuid::Uuid = sqlx::query_scalar("SELECT id FROM ar.decorations WHERE name = 'fiji'").fetch_one(&t.sql).await.expect("reads");
    for (collection, query, expected) in [
        ("decorations", "category=news", &["fiji"] as &[&str]),
        ("decorations", "asset_type=image", &["fiji"]),
        ("decorations", "category=news&asset_type=3d_model", &[]),
        ("decorations", "name=%C5%BDi%C5%BEkov+%E2%80%93+%E6%9D%B1%E4%BA%AC+%3Cb%3E%26%22", &["Žižkov – 東京 <b>&\""]),
        ("decorations", "name=FIJI", &[]),
        ("decorations", "name=%25", &[]),
        ("decorations", "name='%20OR%20true--", &[]),
        ("decorations", &format!("id={id}"), &["fiji"]),
        ("decorations", &format!("id={id}&bbox=0,0,1,1"), &[]),
        ("edges", "region=pacific&draining=false", &["edge"]),
        ("edges", "draining=true", &[]),
        ("edges", "health_status=unknown", &["edge", "edge"]),
        ("coverage", "region=eu-central", &["edge"]),
        ("regions", "name=%C4%8Cesko", &["Česko"]),
        ("regions", "kind=country&code=FJ", &["Viti"]),
        ("regions", "parent_code=FJ", &[]),
    ] {
        assert_eq!(properties(&t.get(&items(collection, query)).await.ok(), "name"), expected, "{collection}?{query}");
    }
}

#[tokio::test]
async fn hits_are_counted_when_they_are_asked_for() {
    let t = with_some_of_all().await;
    for (collection, query, expected) in [
        ("decorations", "", 3),
        ("decorations", "&bbox=170,-20,-170,0", 2),
        ("decorations", "&category=news", 1),
        ("edges", "", 2),
        ("regions", "&limit=1", 2),
    ] {
        let page = t.get(&items(collection, &format!("resultType=hits{query}"))).await.ok();
        assert_eq!((page.json()["numberMatched"].as_i64(), features(&page).len()), (Some(expected), 0), "{collection} {query}");
        assert_eq!(link(&page, "next"), None);
    }
    let first = t.get(&items("decorations", "limit=2")).await.ok();
    assert_eq!(first.json().get("numberMatched"), None, "not counted unless asked for");
    let last = t.get(&path_of(&t, &link(&first, "next").expect("more"))).await.ok();
    assert_eq!(last.json().get("numberMatched"), None, "this page is not all of it");
}

#[tokio::test]
async fn what_is_bad_is_400_as_the_standard_has_it() {
    let t = TestServer::start().await;
    for (query, field) in [
        ("bbox=0,0,1,91", "bbox"),
        ("bbox=0,2,1,1", "bbox"),
        ("bbox=1,2,3", "bbox"),
        ("limit=0", "limit"),
        ("limit=ten", "limit"),
        ("datetime=2026-01-02T00:00:00Z/2026-01-01T00:00:00Z", "datetime"),
        ("asset_type=sound", "asset_type"),
        ("name=", "name"),
        ("name=a%00b", "name"),
        ("f=xml", "f"),
        ("bbox-crs=x", "bbox-crs"),
        ("crs=http://www.opengis.net/def/crs/EPSG/0/3857", "crs"),
        ("resultType=all", "resultType"),
    ] {
        assert_eq!(t.get(&items("decorations", query)).await.faulty_fields(400), [field], "{query}");
    }
    let several = t.get(&items("decorations", "bbox=0,0,1,91&limit=x&colour=red&datetime=now")).await;
    assert_eq!(several.faulty_fields(400), ["bbox", "colour", "datetime", "limit"], "all at once");
    for path in ["/ogc?x=1", "/ogc/conformance?limit=1", "/ogc/collections?bbox=1,2,3,4", "/ogc/collections/edges?f=gml", "/ogc/api?f=yaml"]
    {
        assert_eq!(t.get(path).await.problem(400, "invalid_input")["errors"].as_array().map(Vec::len), Some(1), "{path}");
    }
}

/// The same boxes hold the same decorations here and in discovery.
#[tokio::test]
async fn random_boxes_hold_what_discovery_says() {
    let t = TestServer::start().await;
    let mut random = Random::seeded("ogc boxes");
    let seams = [-180.0, 180.0, 0.0, 90.0, -90.0, 179.999_999_99, -179.999_999_99, 89.999_999_99];
    let mut degrees = |most: f64| {
        let seam = *random.one_of(&seams);
        if f64::abs(seam) <= most && random.below(3) == 0 { seam } else { random.between(-most, most) }
    };
    let places: Vec<_> = (0..400).map(|_| position(degrees(90.0), degrees(180.0))).collect();
    t.decoration("").insert_at_each(&places).await;
    for _ in 0..60 {
        let (a, b) = (degrees(90.0), degrees(90.0));
        let (south, north, west, east) = (a.min(b), a.max(b), degrees(180.0), degrees(180.0));
        let mut expected = t.bounds([south, west, north, east]).await.texts("id");
        let mut found =
            properties(&t.get(&items("decorations", &format!("bbox={west},{south},{east},{north}&limit=1000"))).await.ok(), "id");
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "west {west} south {south} east {east} north {north}");
    }
}

#[tokio::test]
async fn heads_are_answered_and_nothing_is_written() {
    let t = with_some_of_all().await;
    for path in ["/ogc".to_owned(), items("edges", "limit=1"), "/ogc/collections/regions".to_owned()] {
        let head = Answer::of(t.request(Method::HEAD, &path)).await.ok();
        assert!(head.body.is_empty() && head.header("link").is_some(), "{path}");
        Answer::of(t.request(Method::POST, &path).json(&Value::Null)).await.problem(405, "method_not_allowed");
    }
}
