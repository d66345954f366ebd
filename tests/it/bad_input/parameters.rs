//! Every parameter of every route, one value at a time.

use super::api::served;
use super::corpus::{bad_values, good_values};
use crate::support::Proof;

#[tokio::test]
async fn the_examples_of_the_document_work() {
    let (t, routes) = served().await;
    for route in routes {
        t.get(&route.with(&[])).await.ok();
        for parameter in &route.query {
            if parameter.name != "cursor" {
                t.get(&route.with(&[(&parameter.name, &parameter.example)])).await.ok();
            }
        }
    }
}

#[tokio::test]
async fn every_bad_value_of_every_parameter_is_refused_and_named() {
    let (t, routes) = served().await;
    let mut wrong = Vec::new();
    let mut tries = 0;
    let mut proof = Proof::of("P13", "bad values in every parameter");
    for route in routes {
        for parameter in &route.query {
            for (value, status) in bad_values(parameter) {
                tries += 1;
                let status = route.status(status);
                let answer = t.get(&route.with(&[(&parameter.name, &value)])).await;
                let short: String = value.chars().take(40).collect();
                if answer.status == status {
                    let fields = answer.faulty_fields(status);
                    if fields != [parameter.name.as_str()] {
                        wrong.push(format!("{} {}={short}: named {fields:?}", route.template, parameter.name));
                    }
                    if answer.text().contains("\"missing\"") {
                        wrong.push(format!("{} {}={short}: is given and called missing", route.template, parameter.name));
                    }
                } else {
                    wrong.push(format!("{} {}={short}: {} instead of {status}", route.template, parameter.name, answer.status));
                }
            }
        }
    }
    println!("{tries} tries, {} wrong", wrong.len());
    proof.tried(tries);
    proof.failed(wrong.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn every_good_value_of_every_parameter_is_accepted() {
    let (t, routes) = served().await;
    let mut wrong = Vec::new();
    for route in routes {
        for parameter in &route.query {
            for value in good_values(parameter) {
                let answer = t.get(&route.with(&[(&parameter.name, &value)])).await;
                // A name that nothing has is not found; the box of the examples may be turned over.
                let turned_over = answer.status == 422 && answer.text().contains("out_of_order");
                let goes_elsewhere = answer.status == 303 && route.statuses.contains(&303);
                if !matches!(answer.status, 200 | 404) && !turned_over && !goes_elsewhere {
                    let short: String = value.chars().take(40).collect();
                    wrong.push(format!("{} {}={short}: {} {}", route.template, parameter.name, answer.status, answer.text()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
