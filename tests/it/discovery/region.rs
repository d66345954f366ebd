//! `GET /decorations/region`: what a word means, and what is inside.

use ar_supervisor::regions::Kind;

use crate::support::{TestServer, geodesic, position};

#[tokio::test]
async fn a_word_is_a_code_else_a_country_else_a_region_else_a_label_whatever_its_case() {
    let t = TestServer::start().await;
    // All of them are called "de" by somebody; each has a decoration of its own.
    t.new_region("DE", "Germany").boxes(&[[10.0, 0.0, 11.0, 1.0]]).insert().await;
    t.new_region("XX", "DE").boxes(&[[20.0, 0.0, 21.0, 1.0]]).insert().await;
    t.new_region("XX-1", "Ääland").kind(Kind::Admin1).within("XX").boxes(&[[30.0, 0.0, 31.0, 1.0]]).insert().await;
    t.new_region("AA", "Ääland").boxes(&[[40.0, 0.0, 41.0, 1.0]]).insert().await;
    t.new_region("XX-2", "Only here").kind(Kind::Custom).boxes(&[[50.0, 0.0, 51.0, 1.0]]).insert().await;
    t.edge("Only here").at(60.5, 0.5).insert().await;
    t.edge("eu-central").at(70.5, 0.5).insert().await;
    for lat in [10, 20, 30, 40, 50, 60, 70] {
        t.decoration(&lat.to_string()).at(f64::from(lat) + 0.5, 0.5).insert().await;
    }
    for (word, expected) in [
        ("DE", "10"),
        ("de", "10"),
        ("Germany", "10"),
        ("gERMANY", "10"),
        ("xx-1", "30"),
        ("ÄÄLAND", "40"),
        ("ääland", "40"),
        ("only here", "50"),
        ("EU-Central", "70"),
    ] {
        assert_eq!(t.region(word).await.ok().names(), [expected], "{word}");
    }
    t.region("Atlantis").await.problem(404, "unknown_region");
    t.region("german").await.problem(404, "unknown_region");
}

#[tokio::test]
async fn an_ambiguous_name_is_answered_with_its_codes() {
    let t = TestServer::start().await;
    for (code, kind) in [("ES-CR", Kind::Admin1), ("AR-X", Kind::Admin1), ("CO-COR", Kind::Custom)] {
        t.new_region(code, "Córdoba").kind(kind).insert().await;
    }
    let problem = t.region("CÓRDOBA").await.problem(409, "ambiguous_region");
    assert_eq!(problem["codes"], serde_json::json!(["AR-X", "CO-COR", "ES-CR"]));
    assert!(t.region("AR-X").await.ok().names().is_empty());
    t.new_region("CB", "Córdoba").boxes(&[[5.0, 5.0, 6.0, 6.0]]).insert().await;
    t.decoration("in the country").at(5.5, 5.5).insert().await;
    assert_eq!(t.region("córdoba").await.ok().names(), ["in the country"], "a country comes before its namesakes");
}

#[tokio::test]
async fn what_is_on_a_border_is_inside_and_what_is_in_a_notch_is_not() {
    let t = TestServer::start().await;
    t.new_region("U", "Notched")
        .polygon(&[(0.0, 0.0), (3.0, 0.0), (3.0, 3.0), (2.0, 3.0), (2.0, 1.0), (1.0, 1.0), (1.0, 3.0), (0.0, 3.0)])
        .insert()
        .await;
    for (name, lat, lng) in
        [("edge", 0.0, 1.5), ("corner", 3.0, 3.0), ("inside", 2.0, 0.5), ("notch", 2.0, 1.5), ("outside", -0.000_000_01, 1.5)]
    {
        t.decoration(name).at(lat, lng).insert().await;
    }
    let mut names = t.region("u").await.ok().names();
    names.sort();
    assert_eq!(names, ["corner", "edge", "inside"]);
}

/// The 49th parallel is not a great circle: 10° wide, that one runs 0.11° north of it.
#[tokio::test]
async fn a_border_is_straight_on_the_map() {
    let t = TestServer::start().await;
    t.new_region("P", "Parallel").boxes(&[[40.0, 0.0, 49.0, 10.0]]).insert().await;
    t.decoration("north of the parallel").at(49.05, 5.0).insert().await;
    t.decoration("on the parallel").at(49.0, 5.0).insert().await;
    assert_eq!(t.region("P").await.ok().names(), ["on the parallel"]);
}

#[tokio::test]
async fn a_region_up_to_minus_180_holds_what_is_stored_at_180() {
    let t = TestServer::start().await;
    t.new_region("W", "West of the line").boxes(&[[0.0, -180.0, 10.0, -179.0]]).insert().await;
    t.new_region("E", "East of the line").boxes(&[[0.0, 179.0, 10.0, 180.0]]).insert().await;
    t.new_region("B", "Both").boxes(&[[0.0, 179.0, 10.0, 180.0], [0.0, -180.0, 10.0, -179.0]]).insert().await;
    // Touches the meridian along a line and, higher up, in one point.
    t.new_region("T", "Touches twice")
        .polygon(&[(-180.0, 0.0), (-178.0, 0.0), (-178.0, 12.0), (-180.0, 9.0), (-179.0, 6.0), (-180.0, 4.0)])
        .insert()
        .await;
    for (name, lat, lng) in [
        ("on the line", 2.0, 180.0),
        ("higher up", 9.0, -180.0),
        ("between", 5.0, 180.0),
        ("beyond", 11.0, 180.0),
        ("west", 2.0, -179.5),
        ("east", 2.0, 179.5),
    ] {
        t.decoration(name).at(lat, lng).insert().await;
    }
    for (region, expected) in [
        ("W", vec!["between", "higher up", "on the line", "west"]),
        ("E", vec!["between", "east", "higher up", "on the line"]),
        ("B", vec!["between", "east", "higher up", "on the line", "west"]),
        ("T", vec!["higher up", "on the line", "west"]),
    ] {
        let mut names = t.region(region).await.ok().names();
        names.sort();
        assert_eq!(names, expected, "{region}");
    }
}

#[tokio::test]
async fn a_region_that_touches_a_pole_holds_it() {
    let t = TestServer::start().await;
    t.new_region("AQ", "Antarctic slice").boxes(&[[-90.0, 100.0, -80.0, 110.0]]).insert().await;
    t.new_region("NP", "Arctic tip").polygon(&[(20.0, 90.0), (10.0, 80.0), (30.0, 80.0)]).insert().await;
    t.decoration("south pole").at(-90.0, 0.0).insert().await;
    t.decoration("north pole").at(90.0, 0.0).insert().await;
    assert_eq!(t.region("AQ").await.ok().names(), ["south pole"]);
    assert_eq!(t.region("NP").await.ok().names(), ["north pole"]);
}

#[tokio::test]
async fn a_region_of_many_vertices_is_searched_like_a_simple_one() {
    let t = TestServer::start().await;
    let ring: Vec<(f64, f64)> = (0..5_000)
        .map(|corner| {
            let angle = f64::from(corner) / 5_000.0 * std::f64::consts::TAU;
            let reach = if corner % 2 == 0 { 10.0 } else { 9.5 };
            (reach * angle.cos(), reach * angle.sin())
        })
        .collect();
    t.new_region("STAR", "Star").kind(Kind::Custom).polygon(&ring).insert().await;
    let parts: i64 = sqlx::query_scalar("SELECT count(*) FROM ar.region_parts").fetch_one(&t.sql).await.expect("counts");
    assert!(parts > 30, "{parts} parts");
    // A point on the cut between two parts lies in both, and still comes once.
    let grid: Vec<_> = (-12..=12).flat_map(|lat| (-12..=12).map(move |lng| position(f64::from(lat), f64::from(lng)))).collect();
    t.decoration("grid").insert_at_each(&grid).await;
    let answer = t.region("star").await.ok();
    let inside = (-12..=12_i32)
        .flat_map(|lat| (-12..=12_i32).map(move |lng| lat * lat + lng * lng))
        .filter(|square| f64::from(*square).sqrt() < 9.5)
        .count();
    let on_rim = answer.items().len() - inside;
    assert!(on_rim <= 12, "{on_rim} more than the {inside} that are surely inside");
    let mut ids = answer.texts("id");
    ids.dedup();
    assert_eq!(ids.len(), answer.items().len());
}

#[tokio::test]
async fn a_label_means_the_union_of_circles_and_given_areas_of_active_edges() {
    let t = TestServer::start().await;
    t.edge("pacific").at(0.0, 179.99).radius_km(5.0).insert().await;
    t.edge("Pacific").at(0.0, -179.97).radius_km(5.0).insert().await;
    t.edge("PACIFIC").at(5.0, 5.0).area("MULTIPOLYGON(((10 10,11 10,11 11,10 11,10 10)))").insert().await;
    t.edge("pacific").at(30.0, 30.0).radius_km(500.0).inactive().insert().await;
    let rim = |metres: f64| {
        // North of the first edge: a degree of latitude is 110.574 km at the equator.
        let lat = metres / 110_574.0;
        let (distance_m, _) = geodesic(position(0.0, 179.99), position(lat, 179.99));
        assert!((distance_m - metres).abs() < 2.0, "{distance_m}");
        lat
    };
    t.decoration("in both circles").at(0.0, -179.995).insert().await;
    t.decoration("inside the rim").at(rim(4_995.0), 179.99).insert().await;
    t.decoration("outside the rim, within the polygon around it").at(rim(5_004.0), 179.99).insert().await;
    t.decoration("in the area").at(10.5, 10.5).insert().await;
    t.decoration("at the edge with an area, outside of it").at(5.0, 5.0).insert().await;
    t.decoration("near the inactive one").at(30.0, 30.0).insert().await;
    let mut names = t.region("paCIFic").await.ok().names();
    names.sort();
    assert_eq!(names, ["in both circles", "in the area", "inside the rim"]);
    sqlx::query("UPDATE ar.edge_servers SET deleted_at = now()").execute(&t.sql).await.expect("deletes");
    t.region("pacific").await.problem(404, "unknown_region");
}

#[tokio::test]
async fn a_border_that_is_no_polygon_is_refused() {
    let t = TestServer::start().await;
    let bow_tie = t.new_region("X", "Bow tie").polygon(&[(0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0)]);
    assert!(bow_tie.try_insert().await.is_err());
    let beyond = t.new_region("X", "Beyond the map").boxes(&[[0.0, 179.0, 1.0, 181.0]]);
    assert!(beyond.try_insert().await.is_err());
    assert!(t.new_region("X", "Empty").boxes(&[]).try_insert().await.is_err());
}

#[tokio::test]
async fn pages_of_a_large_region_are_the_same_whichever_way_they_are_found() {
    let t = TestServer::start().await;
    t.new_region("HALF", "Half").kind(Kind::Custom).polygon(&[(0.0, 0.0), (20.0, 0.0), (20.0, 40.0), (0.0, 40.0)]).insert().await;
    // More than are gathered at once; every second one inside, and the others before and after it on the globe.
    let places: Vec<_> = (0..45_000_u32).map(|i| position(f64::from(i % 400) / 10.0, f64::from(i / 400) * 0.178)).collect();
    for piece in places.chunks(15_000) {
        t.decoration("").insert_at_each(piece).await;
    }
    t.fold_counts().await;
    let estimate: i64 = sqlx::query_scalar("SELECT gis.region_estimate('HALF')").fetch_one(&t.sql).await.expect("estimates");
    assert!(estimate > 20_000, "{estimate}: large enough to be paged in the order of the key");
    let gathered: Vec<uuid::Uuid> =
        sqlx::query_scalar("SELECT id FROM gis.decorations_in_region('HALF') ORDER BY id").fetch_all(&t.sql).await.expect("gathers");
    assert!(gathered.len() > 20_000 && gathered.len() < 50_000, "{}", gathered.len());
    let paged: Vec<String> =
        t.all_pages("/api/v1/decorations/region?region=half&limit=1000").await.iter().flat_map(|page| page.texts("id")).collect();
    assert_eq!(paged, gathered.iter().map(ToString::to_string).collect::<Vec<_>>());
    // So rare in the window that the gathering must find them.
    sqlx::query("UPDATE ar.decorations SET category = 'rare' WHERE id = ANY($1)")
        .bind([gathered[0], gathered[gathered.len() - 1]])
        .execute(&t.sql)
        .await
        .expect("updates");
    let rare = t.get("/api/v1/decorations/region?region=half&limit=2&category=rare").await.ok();
    assert_eq!(rare.texts("id"), [gathered[0].to_string(), gathered[gathered.len() - 1].to_string()]);
}
