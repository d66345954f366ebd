//! The files of `docker/` as the tests look at them, and an environment that remembers what it was asked for.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;

use ar_supervisor::config::{DatabaseConfig, Environment, LogFormat, SECRET_VARIABLES, ServerConfig};
use yaml_serde::Value;

use crate::support::SECRET;

/// A file of the repository.
pub(super) fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All documents of a YAML file, `<<` taken in.
pub(super) fn yaml(path: &str) -> Vec<Value> {
    let text = text(path);
    let documents = yaml_serde::Deserializer::from_str(&text).map(|document| {
        let mut value = <Value as serde::Deserialize>::deserialize(document).unwrap_or_else(|error| panic!("{path}: {error}"));
        value.apply_merge().unwrap_or_else(|error| panic!("{path}: {error}"));
        value
    });
    documents.collect()
}

/// The one document of a kind in the manifests for Kubernetes.
pub(super) fn manifest(file: &str, kind: &str) -> Value {
    let of_kind = |document: &Value| document["kind"].as_str() == Some(kind);
    yaml(&format!("docker/kubernetes/{file}")).into_iter().find(of_kind).unwrap_or_else(|| panic!("a {kind} in {file}"))
}

/// The values of a list of texts.
pub(super) fn texts(value: &Value) -> Vec<&str> {
    value.as_sequence().map(|list| list.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

/// A text of compose.yaml where nobody set a variable: `${NAME:-default}` is its default.
pub(super) fn interpolated(text: &str) -> String {
    match text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
        Some(variable) => variable.split_once(":-").map(|(_, default)| default.to_owned()).unwrap_or_default(),
        None => text.to_owned(),
    }
}

/// `NAME=value` lines.
pub(super) fn assignments<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeMap<String, String> {
    let assignments = lines.map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    assignments.filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// What the service makes of variables.
pub(super) struct Understood {
    pub(super) database: DatabaseConfig,
    pub(super) server: ServerConfig,
    /// Names that it asked for.
    pub(super) asked: BTreeSet<String>,
}

/// Reads variables as the service does, with a secret in each file that they name.
pub(super) fn understood(variables: &BTreeMap<String, String>) -> Understood {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, SECRET).expect("written");
    let asked = Rc::new(RefCell::new(BTreeSet::new()));
    let environment = Environment::from_fn({
        let (asked, variables) = (Rc::clone(&asked), variables.clone());
        move |name| {
            asked.borrow_mut().insert(name.to_owned());
            let value = variables.get(name)?;
            let is_secret = name.strip_suffix("_FILE").is_some_and(|stem| SECRET_VARIABLES.contains(&stem));
            Some(if is_secret { secret.display().to_string() } else { value.clone() })
        }
    });
    let database = environment.database().unwrap_or_else(|error| panic!("{error}"));
    let server = environment.server().unwrap_or_else(|error| panic!("{error}"));
    environment.log(LogFormat::Json).unwrap_or_else(|error| panic!("{error}"));
    let asked = asked.borrow().clone();
    Understood { database, server, asked }
}
