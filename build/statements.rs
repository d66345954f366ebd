//! The names of the SQL statements. One is named after the function that runs it, `devices::store::write_locations`, by
//! reading the sources here: so no call site has to say its name, and none can forget to. `src/telemetry/statements.rs`
//! includes the table, and has the test that no statement of `.sqlx/` is without a name.
//!
//! Read are tokens, not syntax: statements also stand inside other macros, and in macros of our own that put one together
//! (`query_users!("SELECT", "WHERE id = $1", id)`), which are expanded as far as the text goes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::Lit;

/// Sqlx's macros, with the place of the statement among their arguments.
const MACROS: [(&str, usize); 3] = [("query", 0), ("query_scalar", 0), ("query_as", 1)];
/// Its functions that take a statement first.
const FUNCTIONS: [&str; 4] = ["query", "query_scalar", "query_as", "raw_sql"];

/// Writes the table that `src/telemetry/statements.rs` includes.
pub(crate) fn write() {
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=src");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it")).join("statements.rs");
    let table = table(&statements(Path::new("src")));
    // Left alone when nothing changed, so that nothing is built for it.
    if std::fs::read_to_string(&out).ok().as_deref() != Some(&table) {
        std::fs::write(&out, table).expect("the build's own folder can be written");
    }
}

/// Sorted by length and text, as they are looked for.
fn table(statements: &BTreeMap<String, String>) -> String {
    let mut rows: Vec<_> = statements.iter().collect();
    rows.sort_by_key(|(text, _)| (text.len(), *text));
    let rows = rows.iter().map(|(text, name)| format!("    ({text:?}, {name:?}),\n")).collect::<Vec<_>>().concat();
    format!(
        "/// Text and name of every statement, by length and text.\nstatic STATEMENTS: [(&str, &str); {}] = [\n{rows}];\n",
        statements.len()
    )
}

/// Names of all statements by their text. One that stands in several places has the name of the first.
fn statements(src: &Path) -> BTreeMap<String, String> {
    let mut files = Vec::new();
    collect(src, &mut files);
    files.sort();
    let texts: Vec<_> =
        files.iter().map(|path| (module(src, path), std::fs::read_to_string(path).expect("a source can be read"))).collect();
    // The others hold no statement, and reading them all would take half a second.
    let holds = |text: &str| text.contains("sqlx::") || text.contains("query_");
    let sources: Vec<(Vec<String>, TokenStream)> = texts
        .into_iter()
        .filter(|(_, text)| holds(text))
        // What cannot be read is the compiler's to complain of.
        .map(|(module, text)| (module, text.parse().unwrap_or_default()))
        .collect();
    let mut found = Found::default();
    for (_, tokens) in &sources {
        found.define(tokens.clone());
    }
    for (module, tokens) in sources {
        found.walk(tokens, &module, None);
    }
    found.names
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).expect("the sources can be listed");
    for path in entries.map(|entry| entry.expect("the sources can be listed").path()) {
        if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        } else if path.is_dir() && path.file_name().is_none_or(|name| name != "node_modules") {
            collect(&path, files);
        }
    }
}

/// `src/devices/store.rs` is `devices::store`, `src/sync/mod.rs` is `sync`.
fn module(src: &Path, path: &Path) -> Vec<String> {
    let inside = path.strip_prefix(src).unwrap_or(path).with_extension("");
    let parts = inside.iter().map(|part| part.to_string_lossy().into_owned());
    parts.filter(|part| !["mod", "lib", "main"].contains(&part.as_str())).collect()
}

/// A part of a statement's text: itself, or the argument of the macro that it stands in.
#[derive(Clone)]
enum Part {
    Text(String),
    Argument(usize),
}

#[derive(Default)]
struct Found {
    /// The text of the statement in each macro of our own.
    macros: HashMap<String, Vec<Part>>,
    names: BTreeMap<String, String>,
    taken: HashSet<String>,
}

impl Found {
    /// Learns the macros that put statements together; those defined earlier may stand in later ones.
    fn define(&mut self, tokens: TokenStream) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        for window in tokens.windows(4) {
            let [TokenTree::Ident(word), TokenTree::Punct(_), TokenTree::Ident(name), TokenTree::Group(rules)] = window else { continue };
            if word != "macro_rules" {
                continue;
            }
            // The first rule: `(pattern) => { body }`.
            let groups: Vec<_> = rules.stream().into_iter().filter_map(|token| group(&token)).collect();
            let [pattern, body, ..] = groups.as_slice() else { continue };
            let parameters: Vec<_> = arguments(pattern.clone()).iter().map(|chunk| parameter(chunk)).collect();
            if let Some(parts) = self.first_call(body.clone(), &parameters) {
                self.macros.insert(name.to_string(), parts);
            }
        }
    }

    /// The statement of the first call in a macro's body.
    fn first_call(&self, tokens: TokenStream, parameters: &[Option<String>]) -> Option<Vec<Part>> {
        let tokens: Vec<_> = tokens.into_iter().collect();
        (0..tokens.len()).find_map(|at| self.call(&tokens, at, parameters).or_else(|| self.first_call(group(&tokens[at])?, parameters)))
    }

    /// The statement of the call that begins here, if one does.
    fn call(&self, tokens: &[TokenTree], at: usize, parameters: &[Option<String>]) -> Option<Vec<Part>> {
        let TokenTree::Ident(name) = &tokens[at] else { return None };
        let name = name.to_string();
        if is(tokens.get(at + 1), '!') {
            let given = arguments(group(tokens.get(at + 2)?)?);
            if let Some((_, place)) = MACROS.iter().find(|(known, _)| *known == name) {
                return parts(given.get(*place)?, parameters);
            }
            let expand = |part: &Part| match part {
                Part::Text(_) => Some(vec![part.clone()]),
                Part::Argument(number) => parts(given.get(*number)?, parameters),
            };
            let expanded: Option<Vec<_>> = self.macros.get(&name)?.iter().map(expand).collect();
            return expanded.map(|parts| parts.concat());
        }
        let of_sqlx = at >= 3 && matches!(&tokens[at - 3], TokenTree::Ident(crate_name) if crate_name == "sqlx");
        if of_sqlx && FUNCTIONS.contains(&name.as_str()) {
            return parts(arguments(group(tokens.get(at + 1)?)?).first()?, parameters);
        }
        None
    }

    /// Names the statements of a piece of source.
    fn walk(&mut self, tokens: TokenStream, module: &[String], function: Option<&str>) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            if is(tokens.get(at), '#')
                && tokens.get(at + 1).is_some_and(|attribute| attribute.to_string().replace(' ', "") == "[cfg(test)]")
            {
                at = end_of_item(&tokens, at);
                continue;
            }
            if let (TokenTree::Ident(word), Some(TokenTree::Ident(name))) = (&tokens[at], tokens.get(at + 1)) {
                let end = end_of_item(&tokens, at);
                let body = tokens.get(end - 1).and_then(group);
                if word == "fn" {
                    if let Some(body) = body {
                        self.walk(body, module, Some(&name.to_string()));
                    }
                    at = end;
                    continue;
                }
                if word == "mod" {
                    let inside = [module, &[name.to_string()]].concat();
                    if let Some(body) = body {
                        self.walk(body, &inside, None);
                    }
                    at = end;
                    continue;
                }
            }
            if matches!(&tokens[at], TokenTree::Ident(word) if word == "macro_rules") {
                at += 4;
                continue;
            }
            if let Some(text) = self.call(&tokens, at, &[]).and_then(text) {
                self.name(text, module, function);
            }
            if let Some(inside) = group(&tokens[at]) {
                self.walk(inside, module, function);
            }
            at += 1;
        }
    }

    fn name(&mut self, text: String, module: &[String], function: Option<&str>) {
        let name = module.iter().map(String::as_str).chain(function).collect::<Vec<_>>().join("::");
        if self.names.contains_key(&text) {
            return;
        }
        let numbered = (2..).map(|number| format!("{name}#{number}"));
        let free = std::iter::once(name.clone()).chain(numbered).find(|name| !self.taken.contains(name)).expect("numbers do not end");
        self.taken.insert(free.clone());
        self.names.insert(text, free);
    }
}

fn is(token: Option<&TokenTree>, sign: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == sign)
}

fn group(token: &TokenTree) -> Option<TokenStream> {
    if let TokenTree::Group(group) = token { Some(group.stream()) } else { None }
}

/// Where an item ends that begins here: after its braces, or its semicolon.
fn end_of_item(tokens: &[TokenTree], at: usize) -> usize {
    let ends = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        token => is(Some(token), ';'),
    };
    tokens[at..].iter().position(ends).map_or(tokens.len(), |end| at + end + 1)
}

/// What stands between commas.
fn arguments(tokens: TokenStream) -> Vec<Vec<TokenTree>> {
    let tokens: Vec<_> = tokens.into_iter().collect();
    tokens.split(|token| is(Some(token), ',')).map(<[_]>::to_vec).collect()
}

/// The name in `$name:literal`.
fn parameter(tokens: &[TokenTree]) -> Option<String> {
    let [sign, TokenTree::Ident(name), ..] = tokens else { return None };
    is(Some(sign), '$').then(|| name.to_string())
}

/// The parts of a text: literals and a macro's parameters, with `+` between them.
fn parts(tokens: &[TokenTree], parameters: &[Option<String>]) -> Option<Vec<Part>> {
    let part = |tokens: &[TokenTree]| match tokens {
        [TokenTree::Literal(literal)] => match Lit::new(literal.clone()) {
            Lit::Str(text) => Some(Part::Text(text.value())),
            _ => None,
        },
        // A repetition may follow: `$after $(, $argument)*`.
        [sign, TokenTree::Ident(name), rest @ ..] if is(Some(sign), '$') && (rest.is_empty() || is(rest.first(), '$')) => {
            parameters.iter().position(|parameter| parameter.as_deref() == Some(&name.to_string())).map(Part::Argument)
        }
        _ => None,
    };
    tokens.split(|token| is(Some(token), '+')).map(part).collect()
}

/// The whole text, if every part of it is known.
fn text(parts: Vec<Part>) -> Option<String> {
    parts.into_iter().map(|part| if let Part::Text(text) = part { Some(text) } else { None }).collect()
}
