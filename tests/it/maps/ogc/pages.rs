//! The pages for people: by `Accept` or `f`, without a script, with everything escaped, and leading on.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use sha2::{Digest, Sha256};

use super::{COLLECTIONS, items, with_some_of_all};
use crate::support::{Answer, TestServer};

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

async fn page(t: &TestServer, path: &str) -> Answer {
    let answer = Answer::of(t.request(Method::GET, path).header("accept", BROWSER)).await.ok();
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
    answer
}

/// What is between two texts, the first time.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let rest = text.split_once(from).unwrap_or_else(|| panic!("{from} is not there")).1;
    rest.split_once(to).unwrap_or_else(|| panic!("{to} is not there")).0
}

fn paths() -> Vec<String> {
    let mut paths = vec!["/ogc".to_owned(), "/ogc/conformance".to_owned(), "/ogc/collections".to_owned()];
    for collection in COLLECTIONS {
        paths.push(format!("/ogc/collections/{collection}"));
        paths.push(format!("/ogc/collections/{collection}/items"));
        let first = if collection == "decoration_cells" { 33_554_431 } else { 1 };
        paths.push(format!("/ogc/collections/{collection}/items/{first}"));
    }
    paths
}

#[tokio::test]
async fn every_address_is_a_page_for_those_who_like_pages() {
    let t = with_some_of_all().await;
    for path in paths() {
        let answer = page(&t, &path).await;
        let html = answer.text();
        assert_eq!(t.get(&format!("{path}?f=html")).await.ok().header("content-type"), Some("text/html; charset=utf-8"), "{path}");
        let as_json = Answer::of(t.request(Method::GET, &format!("{path}?f=json")).header("accept", BROWSER)).await.ok();
        assert!(as_json.header("content-type").is_some_and(|kind| kind.ends_with("json")), "{path}");
        assert!(
            answer.headers.get_all("vary").iter().any(|vary| vary.to_str().is_ok_and(|vary| vary.eq_ignore_ascii_case("accept"))),
            "{path}"
        );
        assert!(html.starts_with("<!doctype html>\n<html lang=\"en\">"), "{path}");
        assert!(!html.contains("<script") && !html.contains(" src=") && !html.contains(" style="), "{path}");
        assert_eq!(html.matches("<h1>").count(), 1, "{path}");
        assert!(!between(&html, "<title>", "</title>").is_empty());
        for field in html.split("<input ").skip(1).chain(html.split("<select ").skip(1)) {
            let id = between(field, "id=\"", "\"");
            assert!(html.contains(&format!("<label for=\"{id}\">")), "{path}: {id} has a label");
        }
        // The policy names the one style there is.
        let style = between(&html, "<style>", "</style>");
        let policy = answer.header("content-security-policy").expect("a policy");
        let hash = STANDARD.encode(Sha256::digest(style.as_bytes()));
        assert!(policy.contains(&format!("style-src 'sha256-{hash}'")) && policy.contains("default-src 'none'"), "{policy}");
    }
}

#[tokio::test]
async fn every_link_of_every_page_leads_somewhere() {
    let t = with_some_of_all().await;
    for path in paths() {
        let html = page(&t, &path).await.text();
        let targets = html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
        // The empty icon keeps browsers from asking for one.
        let targets: Vec<&str> = targets.filter(|target| *target != "data:,").collect();
        assert!(targets.len() >= 3, "{path}");
        for target in targets {
            let target = target.replace("&amp;", "&");
            let target = target.strip_prefix(&t.url("")).unwrap_or(&target);
            assert!(target.starts_with('/'), "{path}: {target}");
            let answer = Answer::of(t.request(Method::GET, target).header("accept", BROWSER)).await;
            assert!(matches!(answer.status, 200 | 303), "{path}: {target}: {}", answer.status);
        }
    }
}

#[tokio::test]
async fn what_people_wrote_is_text() {
    let t = with_some_of_all().await;
    t.decoration("\"><script>alert(1)</script>").at(1.0, 1.0).category("a&b").insert().await;
    let html = page(&t, "/ogc/collections/decorations/items?category=%22%3E%3Cscript%3E&name=%27%22%3Cimg%3E").await.text();
    assert!(html.contains("value=\"&quot;&gt;&lt;script&gt;\"") && html.contains("value=\"&#39;&quot;&lt;img&gt;\""), "{html}");
    let html = page(&t, "/ogc/collections/decorations/items").await.text();
    assert!(
        html.contains("&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;") && html.contains("Žižkov – 東京 &lt;b&gt;&amp;&quot;"),
        "{html}"
    );
    assert!(!html.contains("<script") && !html.contains("<b>"), "{html}");
}

#[tokio::test]
async fn the_form_asks_for_what_is_filled_in_and_the_pages_go_on() {
    let t = with_some_of_all().await;
    // As a browser sends it: every field, most of them empty.
    let html = page(&t, &items("decorations", "bbox=170,-20,-170,0&datetime=&id=&name=&category=&asset_type=&limit=1&f=html")).await.text();
    assert!(html.contains("fiji") && !html.contains("dateline"), "{html}");
    assert!(
        html.contains("value=\"170,-20,-170,0\"") && html.contains("name=\"limit\" type=\"number\" min=\"1\" max=\"10000\" value=\"1\""),
        "{html}"
    );
    let next = between(&html, "<a rel=\"next\" href=\"", "\"").replace("&amp;", "&");
    let html = page(&t, next.strip_prefix(&t.url("")).expect("an address of ours")).await.text();
    assert!(html.contains("dateline") && !html.contains("fiji") && !html.contains("rel=\"next\" href"), "{html}");
    let first = between(&html, "<a rel=\"first\" href=\"", "\"").replace("&amp;", "&");
    assert!(page(&t, first.strip_prefix(&t.url("")).expect("ours")).await.text().contains("fiji"));
    let html = page(&t, &items("decorations", "asset_type=image&f=html")).await.text();
    assert!(html.contains("<option selected>image</option>") && html.contains("1 feature matches"), "{html}");
    let html = page(&t, &items("decorations", "resultType=hits")).await.text();
    assert!(html.contains("3 features match") && !html.contains("<table>"), "{html}");
}
