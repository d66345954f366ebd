//! Paging: every item once, whatever the page size, and cursors that hold only for what they were made for.

use std::collections::HashSet;

use crate::support::{Random, TestServer, position};

/// Lists that find all of the seeded decorations.
const LISTS: [&str; 3] = [
    "/api/v1/decorations/nearby?lat=0.5&lng=0.5&radius=50000",
    "/api/v1/decorations/bounds?min_lat=0&min_lng=0&max_lat=1&max_lng=1",
    "/api/v1/decorations/region?region=sq",
];

async fn seeded(count: usize) -> TestServer {
    let t = TestServer::start().await;
    t.new_region("SQ", "Square").insert().await;
    let mut random = Random::seeded("paging");
    // Many share a place, so that distances tie.
    let places: Vec<_> = (0..count).map(|_| position(0.5 + random.between(0.0, 8.0).round() / 100.0, 0.5)).collect();
    t.decoration("").insert_at_each(&places).await;
    t
}

#[tokio::test]
async fn paging_visits_each_item_once_in_the_order_of_one_large_page() {
    let t = seeded(97).await;
    for list in LISTS {
        let whole = t.get(&format!("{list}&limit=500")).await.ok();
        assert_eq!((whole.items().len(), whole.next_cursor()), (97, None), "{list}");
        for limit in [1, 7, 96, 97] {
            let pages = t.all_pages(&format!("{list}&limit={limit}")).await;
            let ids: Vec<String> = pages.iter().flat_map(|page| page.texts("id")).collect();
            assert_eq!(ids, whole.texts("id"), "{list}&limit={limit}");
            assert!(pages.iter().rev().skip(1).all(|page| page.items().len() == limit), "{list}&limit={limit}");
            assert_eq!(pages.len(), 97_usize.div_ceil(limit), "{list}&limit={limit}");
        }
        if !list.contains("nearby") {
            assert!(whole.texts("id").is_sorted(), "{list} is by id");
        }
    }
}

#[tokio::test]
async fn what_comes_and_goes_between_pages_moves_nothing_else() {
    let t = seeded(60).await;
    for list in LISTS {
        let before: HashSet<String> = t.get(&format!("{list}&limit=500")).await.ok().texts("id").into_iter().collect();
        let first = t.get(&format!("{list}&limit=20")).await.ok();
        let gone = first.texts("id")[3].clone();
        sqlx::query("UPDATE ar.decorations SET is_active = false WHERE id = $1::uuid").bind(&gone).execute(&t.sql).await.expect("hides");
        let mut seen = first.texts("id");
        let mut page = first;
        while let Some(cursor) = page.next_cursor() {
            page = t.get(&format!("{list}&limit=20&cursor={cursor}")).await.ok();
            seen.extend(page.texts("id"));
        }
        let unique: HashSet<String> = seen.iter().cloned().collect();
        assert_eq!((unique.len(), unique), (seen.len(), before), "{list}");
    }
}

#[tokio::test]
async fn a_cursor_holds_only_for_the_list_and_filters_it_was_made_for() {
    let t = seeded(10).await;
    let cursors: Vec<String> = {
        let mut cursors = Vec::new();
        for list in LISTS {
            cursors.push(t.get(&format!("{list}&limit=3")).await.ok().next_cursor().expect("more"));
        }
        cursors
    };
    for (i, list) in LISTS.iter().enumerate() {
        for (j, cursor) in cursors.iter().enumerate() {
            let answer = t.get(&format!("{list}&cursor={cursor}")).await;
            if i == j {
                answer.ok();
            } else {
                assert_eq!(answer.faulty_fields(400), ["cursor"]);
            }
        }
        for other in ["&category=art", "&asset_type=image"] {
            let answer = t.get(&format!("{list}{other}&cursor={}", cursors[i])).await;
            assert_eq!(answer.faulty_fields(400), ["cursor"], "{list}{other}");
        }
        t.get(&format!("{list}&limit=5&cursor={}", cursors[i])).await.ok();
    }
    for other in ["lat=0.5&lng=0.50001&radius=50000", "lat=0.5&lng=0.5&radius=49999"] {
        let answer = t.get(&format!("/api/v1/decorations/nearby?{other}&cursor={}", cursors[0])).await;
        assert_eq!(answer.faulty_fields(400), ["cursor"], "{other}");
    }
}

#[tokio::test]
async fn an_edited_or_endless_cursor_is_refused() {
    let t = seeded(10).await;
    for list in LISTS {
        let cursor = t.get(&format!("{list}&limit=3")).await.ok().next_cursor().expect("more");
        let swapped = |at: usize| {
            let mut edited = cursor.clone().into_bytes();
            edited[at] = if edited[at] == b'A' { b'B' } else { b'A' };
            String::from_utf8(edited).expect("ASCII")
        };
        let mut bad: Vec<String> = (0..cursor.len()).map(swapped).collect();
        bad.extend([format!("{cursor}A"), cursor[1..].to_owned(), cursor[..cursor.len() - 1].to_owned(), cursor.to_ascii_uppercase()]);
        bad.extend([String::new(), "A".repeat(10_240), "%00".to_owned(), "!".to_owned(), "null".to_owned()]);
        for bad in bad {
            let answer = t.get(&format!("{list}&cursor={bad}")).await;
            assert_eq!(answer.faulty_fields(400), ["cursor"], "{bad}");
        }
    }
}

#[tokio::test]
async fn a_cursor_holds_on_another_instance_with_the_same_secret() {
    let t = seeded(10).await;
    let other = TestServer::on(t.db().options(), crate::support::Config::default()).await;
    for list in LISTS {
        let first = t.get(&format!("{list}&limit=4")).await.ok();
        let cursor = first.next_cursor().expect("more");
        let here = t.get(&format!("{list}&limit=500&cursor={cursor}")).await.ok();
        assert_eq!(other.get(&format!("{list}&limit=500&cursor={cursor}")).await.ok().body, here.body, "{list}");
        assert_eq!(here.items().len(), 6, "{list}");
    }
}
