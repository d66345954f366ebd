//! The query as a whole: what is missing, unknown, repeated, and several faults at once.

use super::api::{Parameter, Route, served};
use super::corpus::bad_values;

/// A value of a parameter that deserves this status.
fn bad(parameter: &Parameter, status: u16) -> Option<String> {
    // No invalid UTF-8: a name cannot always be told from a value then.
    bad_values(parameter)
        .into_iter()
        .filter(|(value, _)| !value.contains("%FF"))
        .rfind(|(value, answer)| *answer == status && value.len() < 100)
        .map(|(value, _)| value)
}

fn sorted(names: impl IntoIterator<Item = impl Into<String>>) -> Vec<String> {
    let mut names: Vec<String> = names.into_iter().map(Into::into).collect();
    names.sort();
    names
}

/// Whether a parameter depends on others, so that it cannot be judged when they are unreadable.
fn all_but_cursor(route: &Route) -> impl Iterator<Item = &Parameter> {
    // A cursor's seal is checked once the filters it is bound to are known.
    route.query.iter().filter(|parameter| parameter.name != "cursor")
}

#[tokio::test]
async fn an_unknown_parameter_is_refused_on_every_route() {
    let (t, routes) = served().await;
    for route in routes {
        for (unknown, field) in [
            ("unknown=1", "unknown"),
            ("LIMIT=1", "LIMIT"),
            ("lat%5B%5D=1", "lat[]"),
            ("=1", ""),
            ("access_token=x", "access_token"),
            ("%20limit=1", " limit"),
            ("a%00=1", "a\0"),
        ] {
            let (name, value) = unknown.split_once('=').expect("a pair");
            let answer = t.get(&route.with(&[(name, value)])).await;
            assert_eq!(answer.faulty_fields(400), [field], "{} {unknown}", route.template);
            assert!(route.statuses.contains(&400), "{}: 400 is not in the document", route.template);
        }
    }
}

#[tokio::test]
async fn a_repeated_parameter_is_refused_even_when_both_are_equal_or_one_is_escaped() {
    let (t, routes) = served().await;
    for route in routes {
        for parameter in all_but_cursor(&route) {
            let base = route.with(&[(&parameter.name, &parameter.example)]);
            let first = parameter.name.chars().next().expect("a name");
            let escaped = parameter.name.replacen(first, &format!("%{:02x}", u32::from(first)), 1);
            for again in [&parameter.name, &escaped] {
                let answer = t.get(&format!("{base}&{again}={}", parameter.example)).await;
                assert_eq!(answer.faulty_fields(400), [parameter.name.as_str()], "{} {again}", route.template);
            }
        }
    }
}

#[tokio::test]
async fn every_missing_parameter_is_named_at_once() {
    let (t, routes) = served().await;
    for route in routes {
        let required: Vec<&str> =
            route.query.iter().filter(|parameter| parameter.required).map(|parameter| parameter.name.as_str()).collect();
        let answer = t.get(&route.path).await;
        if required.is_empty() {
            answer.ok();
        } else {
            assert_eq!(answer.faulty_fields(400), sorted(required.clone()), "{}", route.template);
        }
        for missing in &required {
            let path = route.with(&[(missing, "")]).replace(&format!("&{missing}="), "").replace(&format!("{missing}="), "");
            let answer = t.get(path.trim_end_matches('?')).await;
            assert_eq!(answer.faulty_fields(400), [*missing], "{path}");
        }
    }
}

#[tokio::test]
async fn empty_pairs_are_nothing() {
    let (t, routes) = served().await;
    for route in routes {
        let path = route.with(&[]);
        t.get(&format!("{}&&", path.replace('&', "&&").replace('?', "?&"))).await.ok();
    }
}

#[tokio::test]
async fn all_unreadable_parameters_are_named_at_once() {
    let (t, routes) = served().await;
    for route in routes {
        let parameters: Vec<(&Parameter, String)> =
            route.query.iter().filter_map(|parameter| Some((parameter, bad(parameter, 400)?))).collect();
        let mut given: Vec<(&str, &str)> = parameters.iter().map(|(parameter, value)| (parameter.name.as_str(), value.as_str())).collect();
        given.push(("zzz", "1"));
        let answer = t.get(&route.with(&given)).await;
        assert_eq!(answer.faulty_fields(400), sorted(given.iter().map(|(name, _)| *name)), "{}", route.template);
    }
}

#[tokio::test]
async fn all_parameters_out_of_their_domain_are_named_at_once() {
    let (t, routes) = served().await;
    for route in routes {
        let parameters: Vec<(&Parameter, String)> =
            all_but_cursor(&route).filter_map(|parameter| Some((parameter, bad(parameter, 422)?))).collect();
        if parameters.is_empty() {
            continue;
        }
        let given: Vec<(&str, &str)> = parameters.iter().map(|(parameter, value)| (parameter.name.as_str(), value.as_str())).collect();
        let answer = t.get(&route.with(&given)).await;
        assert_eq!(answer.faulty_fields(route.status(422)), sorted(given.iter().map(|(name, _)| *name)), "{}", route.template);
    }
}

/// One unreadable fault makes it 400, and the other kind is named all the same.
#[tokio::test]
async fn faults_of_both_kinds_are_named_together() {
    let (t, routes) = served().await;
    let mut wrong = Vec::new();
    for route in routes {
        for unreadable in all_but_cursor(&route) {
            for out_of_domain in all_but_cursor(&route).filter(|other| other.name != unreadable.name) {
                let (Some(first), Some(second)) = (bad(unreadable, 400), bad(out_of_domain, 422)) else { continue };
                let answer = t.get(&route.with(&[(&unreadable.name, &first), (&out_of_domain.name, &second)])).await;
                let fields = answer.faulty_fields(400);
                if fields != sorted([&unreadable.name, &out_of_domain.name]) {
                    wrong.push(format!("{} {}={first}&{}={second}: named {fields:?}", route.template, unreadable.name, out_of_domain.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
