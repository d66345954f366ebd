//! The service's statements, word for word: read from the committed `.sqlx` folder, where the build checks
//! them, so that a bench can never measure another text than the service runs.

use std::path::Path;

use serde::Deserialize;

use super::Outcome;

#[derive(Deserialize)]
struct Checked {
    query: String,
}

/// The one checked statement that calls a function, such as `gis.decorations_near(`.
///
/// # Errors
/// When there is none, or more than one.
pub(crate) fn calling(function: &str) -> Outcome<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx"))? {
        let checked: Checked = serde_json::from_slice(&std::fs::read(entry?.path())?)?;
        if checked.query.contains(function) {
            found.push(checked.query);
        }
    }
    match <[String; 1]>::try_from(found) {
        Ok([query]) => Ok(query),
        Err(found) => Err(format!("{} statements in .sqlx call {function}, not one", found.len()).into()),
    }
}

/// The specification's `GetNearbyDecorations`, on the specification's table: latitude and longitude in
/// degrees, radius in kilometres. Word for word but for `LEAST(1, …)`: without it, rounding takes the sum
/// past 1 for a row close to the viewer, and the statement fails with "input is out of range".
pub(crate) const SPECIFIED_NEARBY: &str = "SELECT * FROM spec.ar_decorations
WHERE is_active = true
  AND (6371 * acos(LEAST(1, cos(radians($1)) * cos(radians(lat)) *
      cos(radians(lng) - radians($2)) + sin(radians($1)) *
      sin(radians(lat))))) <= $3
ORDER BY created_at DESC";
