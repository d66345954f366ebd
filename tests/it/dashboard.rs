//! The admin page as it is served: whole, under a strict policy, and out of nothing but its own files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use reqwest::Url;

use crate::support::{Answer, Config, TestServer};

/// All of the page's own files, by their path below `/dashboard/`.
fn files() -> BTreeMap<String, String> {
    fn walk(folder: &Path, prefix: &str, files: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(folder).expect("the page's folder") {
            let entry = entry.expect("an entry");
            let path = format!("{prefix}{}", entry.file_name().to_str().expect("a plain name"));
            if entry.file_type().expect("a type").is_dir() {
                walk(&entry.path(), &format!("{path}/"), files);
            } else {
                files.insert(path, std::fs::read_to_string(entry.path()).expect("text"));
            }
        }
    }
    let mut files = BTreeMap::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dashboard/page"), "", &mut files);
    files
}

/// What a page or a module loads, or takes types of: what stands in quotes after these.
fn references(text: &str) -> impl Iterator<Item = &str> {
    const BEFORE: [&str; 6] = ["<link rel=\"stylesheet\" href=", "<link rel=\"icon\" href=", "src=", "from ", "import(", "new URL("];
    BEFORE.into_iter().flat_map(move |before| {
        let quoted = text.split(before).skip(1).filter_map(|rest| {
            let quote = rest.chars().next().filter(|first| ['"', '\''].contains(first))?;
            rest[1..].split_once(quote).map(|(reference, _)| reference)
        });
        quoted.filter(|reference| reference.contains('.'))
    })
}

#[tokio::test]
async fn every_file_is_served_and_used_and_nothing_else_is_loaded() {
    let t = TestServer::start().await;
    let root = Url::parse(&t.url("/dashboard/")).expect("an address");
    let files = files();
    let (mut waiting, mut seen) = (vec![root.clone()], BTreeSet::new());
    while let Some(url) = waiting.pop() {
        assert_eq!(url.origin(), root.origin(), "{url} is somewhere else");
        if !seen.insert(url.path().to_owned()) {
            continue;
        }
        let answer = t.get(url.path()).await;
        assert_eq!(answer.status, 200, "{url}");
        if !url.path().contains("/lib/") {
            waiting.extend(references(&answer.text()).map(|reference| url.join(reference).expect("an address")));
        }
    }
    let used = |file: &str| seen.contains(&format!("/dashboard/{file}"));
    let unused: Vec<_> = files.keys().filter(|file| *file != "index.html" && !used(file)).collect();
    assert_eq!(unused, Vec::<&String>::new());
    assert!(seen.iter().filter(|path| path.contains("/lib/")).count() >= 5, "{seen:?}");
}

#[tokio::test]
async fn the_policy_lets_nothing_in_from_elsewhere_and_no_inline_code() {
    let t = TestServer::start().await;
    for path in ["/dashboard/", "/dashboard/app.js", "/dashboard/css/theme.css", "/dashboard/lib/maplibre-gl-worker.mjs"] {
        let answer = t.get(path).await.ok();
        let policy = answer.header("content-security-policy").expect("a policy");
        let allowed: BTreeMap<&str, &str> = policy.split(';').filter_map(|directive| directive.trim().split_once(' ')).collect();
        assert_eq!(allowed["default-src"], "'none'", "{path}");
        for directive in ["script-src", "style-src", "connect-src", "worker-src"] {
            assert_eq!(allowed[directive], "'self'", "{path}: {directive}");
        }
        for directive in ["base-uri", "form-action", "frame-ancestors"] {
            assert_eq!(allowed[directive], "'none'", "{path}: {directive}");
        }
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
    }
    for (file, text) in files() {
        let elsewhere = text
            .replace("http://www.w3.org/2000/svg", "")
            .lines()
            .any(|line| ["'http://", "'https://", "\"http://", "\"https://", "url(", "@import"].iter().any(|mark| line.contains(mark)));
        assert!(!elsewhere, "{file} refers to elsewhere");
        assert!(!text.contains("innerHTML") && !text.contains("insertAdjacentHTML"), "{file} makes markup out of text");
    }
    let html = t.get("/dashboard/").await.ok().text();
    assert!(!html.contains("style=") && !html.contains("<style") && !html.contains("onclick"), "{html}");
}

#[tokio::test]
async fn a_file_that_the_browser_has_is_not_sent_again() {
    let t = TestServer::start().await;
    for path in ["/dashboard/", "/dashboard/app.js", "/dashboard/lib/maplibre-gl.mjs"] {
        let first = t.get(path).await.ok();
        assert_eq!(first.header("cache-control"), Some("no-cache"));
        let tag = first.header("etag").expect("a tag");
        let again = |tag: String| Answer::of(t.request(reqwest::Method::GET, path).header("if-none-match", tag));
        let kept = again(tag.to_owned()).await;
        assert_eq!((kept.status, kept.text()), (304, String::new()), "{path}");
        assert_eq!(kept.header("etag"), Some(tag));
        assert_eq!(again("\"another\"".to_owned()).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn what_is_no_file_of_the_page_is_not_there() {
    let t = TestServer::start().await;
    for path in ["nothing.js", "lib/nothing.mjs", "..%2fmod.rs", "%2e%2e/mod.rs", "lib/..%2f..%2fpackage.json", "css", "index.html%00"] {
        assert_eq!(t.get(&format!("/dashboard/{path}")).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn the_limits_of_a_server_in_use_let_the_page_load_at_once_and_again() {
    let t = TestServer::start_with(Config::of("RATE_LIMIT", "public=50/s,tiles=300/s")).await;
    for _ in 0..2 {
        let asked = files().into_keys().map(|file| Answer::of(t.request(reqwest::Method::GET, &format!("/dashboard/{file}"))));
        let statuses: Vec<u16> = futures_util::future::join_all(asked).await.into_iter().map(|answer| answer.status).collect();
        assert!(statuses.len() > 50 && statuses.iter().all(|status| *status == 200), "{statuses:?}");
    }
}
