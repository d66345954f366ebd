//! Random mixtures of good and bad: never a 500, never an answer without its form.

use super::api::{Parameter, served};
use super::corpus::{bad_values, good_values};
use crate::support::{Proof, Random, query_count};

fn value(random: &mut Random, parameter: &Parameter) -> String {
    let good = good_values(parameter);
    match random.below(10) {
        0 => random.one_of(&bad_values(parameter)).0.clone(),
        1..=5 if !good.is_empty() => random.one_of(&good).clone(),
        _ if parameter.kind() == "number" => {
            random.between(parameter.limit("minimum").expect("a range"), parameter.limit("maximum").expect("a range")).to_string()
        }
        // Raw bytes, each escaped.
        9 => (0..random.below(20)).fold(String::new(), |bytes, _| bytes + &format!("%{:02X}", random.below(256))),
        _ => parameter.example.clone(),
    }
}

#[tokio::test]
async fn no_mixture_of_inputs_is_our_fault() {
    let (t, routes) = served().await;
    let mut random = Random::seeded("mixtures");
    let mut seen = std::collections::BTreeMap::<u16, usize>::new();
    let mut proof = Proof::of("P13", "mixtures of good and bad input").seeded(random.seed());
    for _ in 0..query_count(10_000) {
        proof.tried(1);
        let route = random.one_of(&routes).clone();
        let mut given = Vec::new();
        for parameter in &route.query {
            // A required one is left out now and then.
            let rare = random.below(if parameter.required { 50 } else { 3 }) == 0;
            if rare != parameter.required {
                given.push(format!("{}={}", parameter.name, value(&mut random, parameter)));
            }
        }
        let path = format!("{}?{}", route.path, given.join("&"));
        let answer = t.get(&path).await;
        *seen.entry(answer.status).or_default() += 1;
        assert!(route.statuses.contains(&answer.status), "{path}: {} is not in the document", answer.status);
        match answer.status {
            200 if route.template.ends_with("/export") => {}
            200 if answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html")) => {}
            303 => assert!(answer.header("location").is_some(), "{path}"),
            200 if answer.header("content-type") == Some("application/vnd.mapbox-vector-tile") => {}
            200 => assert!(answer.json().is_object(), "{path}"),
            400 | 422 if answer.text().contains("\"errors\"") => drop(answer.faulty_fields(answer.status)),
            422 if answer.text().contains("too_many_points") => drop(answer.problem(422, "too_many_points")),
            422 => drop(answer.problem(422, "too_many_cells")),
            404 => drop(answer.problem(404, "unknown_region")),
            status => panic!("{path}: {status} {}", answer.text()),
        }
    }
    println!("answers by status: {seen:?}");
    assert!(seen.get(&200).is_some_and(|count| *count > 0), "some of it is good: {seen:?}");
}
