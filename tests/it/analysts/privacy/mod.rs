//! P24: analysts cannot isolate anyone.
//!
//! The proof is that nothing an analyst reads depends on anybody who is not in a crowd: worlds are made that differ only
//! in people who are fewer than ten in their place, and every question is asked in all of them. Two different answers, to
//! whatever question, would tell the worlds apart, and so tell of those people. Besides, no answer may contain a secret.
//! A view that leaks, made in the tests, must be caught by the same.

mod attacks;
mod questions;
mod worlds;

use std::collections::BTreeSet;

use sqlx::{AssertSqlSafe, PgConnection, Row, ValueRef};

use self::attacks::ATTACKS;
use self::questions::Questions;
use self::worlds::{Variant, World};
use super::analyst;
use crate::support::{Proof, Random, rounds};

/// What a question is answered, as text: sorted lines, or the error.
async fn answer(connection: &mut PgConnection, question: &str) -> Result<Vec<String>, String> {
    let message = |error: sqlx::Error| error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned());
    let rows = sqlx::raw_sql(AssertSqlSafe(question.to_owned())).fetch_all(connection).await.map_err(message)?;
    let line = |row: &sqlx::postgres::PgRow| {
        let value = |n: usize| {
            let value = row.try_get_raw(n).expect("a column");
            if value.is_null() { "NULL".to_owned() } else { value.as_str().expect("a text").to_owned() }
        };
        (0..row.len()).map(value).collect::<Vec<_>>().join(" | ")
    };
    let mut lines: Vec<String> = rows.iter().map(line).collect();
    lines.sort_unstable();
    Ok(lines)
}

/// Worlds that an analyst must not be able to tell apart, and what is found.
struct Trial {
    worlds: Vec<(World, PgConnection)>,
    asked: usize,
    answered: usize,
    leaks: BTreeSet<String>,
}

impl Trial {
    async fn of(variants: &[Variant], prepare: &str) -> Self {
        let base = worlds::base_time();
        let mut made = Vec::new();
        for &variant in variants {
            let world = World::make(variant, base, prepare).await;
            let connection = analyst(&world.db).await;
            made.push((world, connection));
        }
        Self { worlds: made, asked: 0, answered: 0, leaks: BTreeSet::new() }
    }

    /// Asks it everywhere. What physical facts are told (`compare` is false) is only searched for secrets.
    async fn ask(&mut self, question: &str, compare: bool) {
        self.asked += 1;
        let mut first: Option<Result<Vec<String>, String>> = None;
        for (world, connection) in &mut self.worlds {
            // Each world's database has a name of its own.
            let answer = answer(connection, question).await.map_err(|error| error.replace(&world.name, "here"));
            self.answered += usize::from(answer.is_ok());
            let text = match &answer {
                Ok(lines) => lines.join("\n"),
                Err(error) => error.clone(),
            };
            // What the question itself says is no secret.
            if let Some(secret) = world.secrets.iter().find(|secret| text.contains(secret.as_str()) && !question.contains(secret.as_str()))
            {
                self.leaks.insert(format!("{secret} is in the answer to: {question}"));
            }
            match &first {
                Some(expected) if compare && *expected != answer => {
                    self.leaks.insert(format!("{:?} answers otherwise: {question}\n  {expected:?}\n  {answer:?}", world.variant));
                }
                Some(_) => {}
                None => first = Some(answer),
            }
        }
    }
}

#[tokio::test]
async fn no_question_tells_worlds_apart_that_differ_in_less_than_a_crowd() {
    let mut trial = Trial::of(&[Variant::Plain, Variant::Shuffled, Variant::OneMore], "").await;
    let random = Random::seeded("privacy");
    let mut proof = Proof::of("P24", "random questions in three worlds").seeded(random.seed());
    let mut questions = Questions::over(&mut trial.worlds[0].1, random).await;
    let (known, count) = (trial.worlds[0].0.known.clone(), rounds(150, 1_000));
    for _ in 0..count {
        let (question, compare) = questions.next(&known);
        trial.ask(&question, compare).await;
    }
    proof.tried(count);
    proof.failed(trial.leaks.len());
    println!("P24: {count} questions in three worlds, {} of {} answered", trial.answered, trial.asked * 3);
    assert!(trial.leaks.is_empty(), "{:#?}", trial.leaks);
    // Questions that mostly fail would show nothing.
    assert!(trial.answered * 10 > trial.asked * 3 * 7, "{} of {} answered", trial.answered, trial.asked * 3);
}

/// Statistics, catalogs and other sessions, with the same numbers of people in both worlds.
#[tokio::test]
async fn nothing_beside_the_views_tells_where_anybody_is() {
    let mut trial = Trial::of(&[Variant::Plain, Variant::Shuffled], "").await;
    let cells = trial.worlds[0].0.known.cells.clone();
    let mut proof = Proof::of("P24", "attacks beside the views");
    // The service at work: a device is locked by name, in a statement that says where it is.
    let mut at_work = Vec::new();
    for (world, _) in &trial.worlds {
        let mut owner = world.db.connect().await;
        let device = world.secrets.iter().find(|secret| secret.starts_with("phone-")).expect("somebody is there");
        let work = format!("BEGIN; SELECT FROM ar.device_connections WHERE device_id = '{device}' FOR UPDATE");
        sqlx::raw_sql(AssertSqlSafe(work)).execute(&mut owner).await.expect("locks");
        at_work.push(owner);
    }
    for &(attack, compare) in ATTACKS {
        trial.ask(&attack.replace("{small}", &cells[0].to_string()), compare).await;
    }
    proof.tried(ATTACKS.len());
    proof.failed(trial.leaks.len());
    assert!(trial.leaks.is_empty(), "{:#?}", trial.leaks);
}

/// Random questions alone find what somebody adds without a thought.
#[tokio::test]
async fn random_questions_find_a_view_that_leaks() {
    let leak = "CREATE VIEW gis.edge_load AS SELECT edge_server_id, current_connections FROM ar.edge_load; GRANT SELECT ON gis.edge_load TO ar_analyst";
    let mut trial = Trial::of(&[Variant::Plain, Variant::Shuffled], leak).await;
    let mut questions = Questions::over(&mut trial.worlds[0].1, Random::seeded("leak")).await;
    let known = trial.worlds[0].0.known.clone();
    while trial.leaks.is_empty() && trial.asked < 1_000 {
        let (question, compare) = questions.next(&known);
        trial.ask(&question, compare).await;
    }
    println!("found after {} questions", trial.asked);
    assert!(trial.leaks.iter().all(|leak| leak.contains("gis.edge_load")) && !trial.leaks.is_empty(), "{:?}", trial.leaks);
}

/// A sum of published cells less a sum of some of them is nothing, or a crowd.
#[tokio::test]
async fn differences_of_sums_are_nothing_or_a_crowd() {
    let mut trial = Trial::of(&[Variant::Plain], "").await;
    let mut random = Random::seeded("differences");
    let mut proof = Proof::of("P24", "differences of sums").seeded(random.seed());
    let known = trial.worlds[0].0.known.clone();
    let (_, connection) = &mut trial.worlds[0];
    let (mut crowds, count) = (0, rounds(60, 400));
    for _ in 0..count {
        let some: Vec<String> = known.cells.iter().filter(|_| random.below(3) > 0).map(i64::to_string).collect();
        let fewer: Vec<String> = some.iter().filter(|_| random.below(4) > 0).cloned().chain(["0".to_owned()]).collect();
        let (bucket, resolution) = (random.below(known.buckets.len()), random.below(6));
        let bucket = known.buckets[bucket].to_rfc3339();
        // Sums of coarser cells less the cells in them but some; or of one set of cells less a part of it.
        let coarse = "SELECT coalesce(sum(s.users), 0) FROM gis.device_density_sums s";
        let fine = "SELECT coalesce(sum(users), 0) FROM gis.device_density";
        let question = if random.below(2) == 0 {
            format!(
                "SELECT ({fine} WHERE bucket_start = '{bucket}' AND cell IN ({}, 0)) - ({fine} WHERE bucket_start = '{bucket}' AND cell IN ({}))",
                some.join(", "),
                fewer.join(", ")
            )
        } else {
            format!(
                "SELECT ({coarse} WHERE s.bucket_start = '{bucket}' AND s.resolution = {resolution})
                      - ({fine} WHERE bucket_start = '{bucket}' AND cell IN ({}))",
                fewer.join(", ")
            )
        };
        let difference: i64 = answer(connection, &question).await.expect("answers")[0].parse().expect("a number");
        assert!(difference == 0 || difference >= 10, "{difference}: {question}");
        crowds += usize::from(difference >= 10);
        proof.tried(1);
    }
    assert!(crowds * 4 > count, "{crowds} of {count} differences were of anybody at all");
}

/// The checker itself: each of these is what somebody might write in good faith.
#[tokio::test]
async fn views_that_leak_are_caught() {
    let leaks = [
        // A view that suppresses: the plan tells what it removed.
        (
            "CREATE VIEW gis.suppressing AS SELECT bucket_start, h3_r7 AS cell, count(*) AS users FROM ar.device_presence GROUP BY 1, 2 HAVING count(*) >= 10",
            "EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF, COSTS OFF) SELECT * FROM gis.suppressing",
            true,
        ),
        // Sums over everybody, from which the published ones can be subtracted.
        (
            "CREATE VIEW gis.totals AS SELECT gis.h3_parent(h3_r7, 4) AS cell, count(*) AS users FROM ar.device_presence GROUP BY 1",
            "SELECT * FROM gis.totals",
            true,
        ),
        (
            "CREATE VIEW gis.exact_load AS SELECT edge_server_id, current_connections FROM ar.edge_load",
            "SELECT * FROM gis.exact_load",
            true,
        ),
        (
            "CREATE VIEW gis.devices AS SELECT ST_AsText(position) AS place FROM ar.device_connections",
            "SELECT min(place) FROM gis.devices",
            false,
        ),
        ("CREATE VIEW gis.seen AS SELECT DISTINCT h3_r7 AS cell FROM ar.device_presence", "SELECT gis.h3_hex(cell) FROM gis.seen", false),
        (
            "CREATE VIEW gis.usage AS SELECT decoration_id, sum(answers) FROM ar.decoration_usage GROUP BY 1",
            "SELECT * FROM gis.usage",
            true,
        ),
        // Statistics of positions, as they were before they were switched off.
        (
            "ALTER TABLE ar.device_connections ALTER COLUMN position SET STATISTICS 100; ANALYZE ar.device_connections",
            "SELECT ST_EstimatedExtent('ar', 'device_connections', 'position')",
            true,
        ),
    ];
    let prepare = leaks.map(|(leak, ..)| leak).join("; ") + "; GRANT SELECT ON ALL TABLES IN SCHEMA gis TO ar_analyst";
    let mut trial = Trial::of(&[Variant::Plain, Variant::Shuffled, Variant::OneMore], &prepare).await;
    for (leak, question, compare) in leaks {
        (trial.answered, trial.leaks) = (0, BTreeSet::new());
        trial.ask(question, compare).await;
        assert_eq!(trial.answered, 3, "{question} is answered");
        assert!(!trial.leaks.is_empty(), "not caught: {leak}");
    }
}
