//! `ar-supervisor migrate`

use std::process::ExitCode;

use super::Outcome;
use crate::config::Environment;
use crate::db;

pub(super) async fn run(environment: &Environment) -> Outcome {
    let config = environment.database()?;
    let migrated = db::migrate(&config.primary).await?;
    match (migrated.migrations, migrated.sql_layer) {
        (0, false) => println!("The schema is up to date."),
        (0, true) => println!("The SQL layer (schema gis) was made anew."),
        (n, _) => println!("{n} migrations applied, and the SQL layer (schema gis) made anew."),
    }
    Ok(ExitCode::SUCCESS)
}
