//! Identifiers in paths: what is malformed is simply not there.

use super::api::served;

#[tokio::test]
async fn a_malformed_identifier_is_not_found() {
    let (t, routes) = served().await;
    let mut tried = 0;
    for route in routes {
        for parameter in &route.in_path {
            for value in [
                "%00",
                "a%00b",
                "%0A",
                "%7F",
                "nope",
                "%20",
                "%20DE",
                "DE%20",
                "'",
                "%25",
                "_",
                "..",
                "%2E%2E",
                "%2F",
                "DE%2FBY",
                "%F0%9F%8E%A8",
                "%C2%80",
                &"x".repeat(10_000),
                "null",
                "-1",
                "*",
            ] {
                let path = route.template.replace(&format!("{{{}}}", parameter.name), value);
                // A client follows dots by itself, and here they lead to what there is.
                if ["/..", "/%2E%2E"].iter().any(|dots| path.ends_with(dots)) && path.matches('/').count() == 2 {
                    continue;
                }
                let answer = t.get(&path).await;
                assert_eq!(
                    (answer.status, answer.header("content-type")),
                    (404, Some("application/problem+json")),
                    "{path}: {}",
                    answer.text()
                );
                tried += 1;
            }
            for value in ["%FF", "%C3%28", "%ED%A0%80"] {
                let path = route.template.replace(&format!("{{{}}}", parameter.name), value);
                let answer = t.get(&path).await;
                // Cannot be read at all, or is no identifier: both are in the contract, a 500 is not.
                assert!([400, 404].contains(&answer.status), "{path}: {}", answer.status);
                assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
            }
        }
    }
    assert!(tried > 0, "some route has an identifier in its path");
}
