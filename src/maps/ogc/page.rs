//! The same for people: plain HTML, made here, with nothing loaded from anywhere and no script.

use serde_json::Value as Json;
use url::form_urlencoded;

use super::ROOT;
use super::collection::{Collection, Column, Kind};
use super::feature::{Feature, Shape, Value};
use super::metadata::{About, CONFORMS_TO, Link};
use super::query::MAX_LIMIT;
use crate::http::escaped;

/// The one style; the policy of the pages names it by its hash.
pub(super) const STYLE: &str = include_str!("page.css");
/// Name of the service.
pub(super) const SERVICE: &str = "ar-supervisor: OGC API – Features";
/// What it has.
pub(super) const ABOUT: &str = "What is public of the supervisor of a distributed augmented-reality system, for maps and GIS tools: decorations, edge servers and the areas they serve, regions.";

/// The landing page.
pub(super) fn landing(links: &[Link]) -> String {
    let about = format!("<p>{}</p><h2>Links</h2>{}", escaped(ABOUT), list_of(links));
    let tools = "<h2>With GIS tools</h2><p>QGIS takes this page's address as a connection of <b>WFS / OGC API – Features</b>; GDAL takes it after <code>OAPIF:</code>.</p>";
    page("OGC API – Features", &[], &format!("{about}{tools}"))
}

/// What of the standard is kept.
pub(super) fn conformance(links: &[Link]) -> String {
    let classes = CONFORMS_TO.iter().map(|class| format!("<li><code>{class}</code></li>")).collect::<Vec<_>>().concat();
    page(
        "Conformance",
        &[],
        &format!("<p>OGC API – Features, Part 1: Core, 1.0. What of it is kept:</p><ul>{classes}</ul><h2>Links</h2>{}", list_of(links)),
    )
}

/// The collections.
pub(super) fn collections(collections: &[About], links: &[Link]) -> String {
    let rows = collections.iter().map(|about| {
        let (id, title) = (escaped(about.id), escaped(about.title));
        let path = format!("{ROOT}/collections/{id}");
        format!("<tr><th scope=\"row\"><a href=\"{path}\">{title}</a></th><td>{}</td><td><a href=\"{path}/items\" aria-label=\"Features of {title}\">Features</a></td></tr>", escaped(about.description))
    });
    let rows: String = rows.collect();
    let head = "<thead><tr><th scope=\"col\">Collection</th><th scope=\"col\">What it has</th><th scope=\"col\">Features</th></tr></thead>";
    page("Collections", &[], &format!("{}<h2>Links</h2>{}", wide("Collections", &format!("{head}<tbody>{rows}</tbody>")), list_of(links)))
}

/// One collection.
pub(super) fn collection(collection: &Collection, about: &About) -> String {
    let extent = about.extent.as_ref().map_or("There are no features now.".to_owned(), |extent| {
        let [[west, south, east, north]] = extent.spatial.bbox;
        format!("Longitudes {west} to {east}, latitudes {south} to {north}.")
    });
    let rows = collection.columns.iter().map(|column| {
        let asked = if column.filterable { "yes" } else { "" };
        format!(
            "<tr><th scope=\"row\"><code>{}</code></th><td>{}</td><td>{asked}</td><td>{}</td></tr>",
            column.name,
            escaped(&kind_of(column)),
            escaped(column.description)
        )
    });
    let rows: String = rows.collect();
    let head = "<thead><tr><th scope=\"col\">Property</th><th scope=\"col\">Type</th><th scope=\"col\">Narrows lists</th><th scope=\"col\">Meaning</th></tr></thead>";
    let body = format!(
        "<p>{}</p><p>{}</p><p><a href=\"{}\">Look at the features</a></p><h2>Properties</h2>{}<h2>Links</h2>{}",
        escaped(collection.description),
        escaped(&extent),
        collection.path("/items"),
        wide("Properties", &format!("{head}<tbody>{rows}</tbody>")),
        list_of(&about.links)
    );
    page(collection.title, &[COLLECTIONS_CRUMB], &body)
}

/// What a page of features shows.
pub(super) struct Shown<'a> {
    pub(super) features: &'a [Feature],
    /// How many match, where that is known.
    pub(super) matched: Option<i64>,
    /// The query that asked for it.
    pub(super) query: &'a str,
    pub(super) limit: i64,
    /// Where the list begins, unless it is here.
    pub(super) first: Option<String>,
    pub(super) links: &'a [Link],
}

/// A page of features, with the form to ask for others.
pub(super) fn items(collection: &Collection, shown: &Shown<'_>) -> String {
    let Shown { features, matched, query, limit, first, links } = shown;
    let columns = collection.columns.iter().map(|column| format!("<th scope=\"col\">{}</th>", column.name)).collect::<Vec<_>>().concat();
    let rows = features.iter().map(|feature| {
        let id = collection.key.feature(feature.key);
        let cells = collection.columns.iter().zip(&feature.values).map(|(column, value)| cell(column, value));
        let href = collection.path(&format!("/items/{id}"));
        let (place, cells) = (place(&feature.shape), cells.collect::<String>());
        format!("<tr><th scope=\"row\"><a href=\"{href}\">{id}</a></th><td>{place}</td>{cells}</tr>")
    });
    let rows: String = rows.collect();
    let table = if features.is_empty() {
        String::new()
    } else {
        let head = format!("<thead><tr><th scope=\"col\">Feature</th><th scope=\"col\">Where</th>{columns}</tr></thead>");
        wide("Features", &format!("{head}<tbody>{rows}</tbody>"))
    };
    let next = links.iter().find(|link| link.rel == "next").map(|link| ("next", link.href.as_str(), "Next page"));
    let paging = [first.as_deref().map(|href| ("first", href, "First page")), next].into_iter().flatten();
    let paging = paging.map(|(rel, href, name)| format!("<a rel=\"{rel}\" href=\"{}\">{name}</a>", escaped(href)));
    let heading = match (matched, features.len()) {
        (Some(1), _) => "1 feature matches".to_owned(),
        (Some(matched), _) => format!("{matched} features match"),
        (None, 1) => "1 feature".to_owned(),
        (None, count) => format!("{count} features"),
    };
    let body = format!(
        "{}<h2>{heading}</h2>{table}<p>{}</p><h2>Links</h2>{}",
        form(collection, query, *limit),
        paging.collect::<Vec<_>>().join(" · "),
        list_of(links)
    );
    page(&format!("Features: {}", collection.title), &[COLLECTIONS_CRUMB, (&collection.path(""), collection.title)], &body)
}

/// One feature.
pub(super) fn item(collection: &Collection, feature: &Feature, links: &[Link]) -> String {
    let rows = collection
        .columns
        .iter()
        .zip(&feature.values)
        .map(|(column, value)| format!("<tr><th scope=\"row\">{}</th>{}</tr>", column.name, cell(column, value)));
    let rows: String = rows.collect();
    let geometry = serde_json::to_string(&feature.shape).expect("a shape can be written");
    let body = format!(
        "{}<h2>Where</h2><p>{}</p><pre tabindex=\"0\" role=\"region\" aria-label=\"Geometry as GeoJSON\">{}</pre><h2>Links</h2>{}",
        wide("Properties", &format!("<tbody>{rows}</tbody>")),
        place(&feature.shape),
        escaped(&geometry),
        list_of(links)
    );
    let title = format!("{} {}", collection.title, collection.key.feature(feature.key));
    page(&title, &[COLLECTIONS_CRUMB, (&collection.path(""), collection.title), (&collection.path("/items"), "Features")], &body)
}

const COLLECTIONS_CRUMB: (&str, &str) = ("/ogc/collections", "Collections");

/// The frame of every page: where one is, and what is there.
fn page(title: &str, above: &[(&str, &str)], body: &str) -> String {
    let crumbs =
        [(ROOT, "OGC API – Features")].iter().chain(above).map(|(href, name)| format!("<li><a href=\"{href}\">{}</a></li>", escaped(name)));
    let (title, crumbs) = (escaped(title), crumbs.collect::<String>());
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
<meta name=\"color-scheme\" content=\"light dark\"><link rel=\"icon\" href=\"data:,\"><title>{title} · ar-supervisor</title><style>{STYLE}</style></head>\
<body><header><nav aria-label=\"Where you are\"><ol>{crumbs}</ol></nav><h1>{title}</h1></header><main>{body}</main></body></html>\n"
    )
}

/// A table that scrolls in a box of its own, which the keyboard reaches.
fn wide(label: &str, table: &str) -> String {
    format!("<div class=\"wide\" role=\"region\" aria-label=\"{label}\" tabindex=\"0\"><table>{table}</table></div>")
}

fn list_of(links: &[Link]) -> String {
    let items = links.iter().map(|link| {
        format!("<li><a href=\"{}\">{}</a> <code>{}</code></li>", escaped(&link.href), escaped(&link.title), escaped(link.media_type))
    });
    format!("<ul>{}</ul>", items.collect::<String>())
}

/// A field for everything that narrows a list, as it was filled in.
fn form(collection: &Collection, query: &str, limit: i64) -> String {
    let given: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let value = |name: &str| given.iter().find(|(given, _)| given == name).map_or_else(String::new, |(_, value)| escaped(value));
    let field = |name: &str, label: &str, hint: &str| {
        format!(
            "<div><label for=\"{name}\">{label}</label><input id=\"{name}\" name=\"{name}\" value=\"{}\" placeholder=\"{hint}\"></div>",
            value(name)
        )
    };
    let mut fields = vec![field("bbox", "Box (W, S, E, N)", "5.8,47.2,15.1,55.1")];
    fields.extend(collection.time_column.map(|time| field("datetime", &format!("Time ({time})"), "2026-01-01T00:00:00Z/..")));
    fields.extend(collection.filters().map(|column| {
        let words: &[&str] = match column.kind {
            Kind::Word(words) => words,
            Kind::Boolean => &["true", "false"],
            _ => &[],
        };
        let name = column.name;
        if words.is_empty() {
            return field(name, name, "");
        }
        let chosen = value(name);
        let option = |word: &&str| format!("<option{}>{word}</option>", if **word == chosen { " selected" } else { "" });
        let options = words.iter().map(option).collect::<Vec<_>>().concat();
        format!("<div><label for=\"{name}\">{name}</label><select id=\"{name}\" name=\"{name}\"><option value=\"\">any</option>{options}</select></div>")
    }));
    let fields = fields.concat();
    format!(
        "<form action=\"{}\">{fields}<div><label for=\"limit\">Features of a page</label><input id=\"limit\" name=\"limit\" type=\"number\" min=\"1\" max=\"{MAX_LIMIT}\" value=\"{limit}\"></div>\
<div><button name=\"f\" value=\"html\">Show</button></div></form>",
        collection.path("/items")
    )
}

fn kind_of(column: &Column) -> String {
    let kind = match column.kind {
        Kind::Id => "UUID".to_owned(),
        Kind::Text(max_chars) => format!("text of at most {max_chars} characters"),
        Kind::Word(words) => words.join(", "),
        Kind::Integer(least, i64::MAX) => format!("whole number from {least} on"),
        Kind::Integer(least, most) => format!("whole number from {least} to {most}"),
        Kind::Decimal => "number".to_owned(),
        Kind::Boolean => "true, false".to_owned(),
        Kind::Time => "time".to_owned(),
        Kind::Cell => "H3 cell".to_owned(),
    };
    if column.nullable { format!("{kind}; may be missing") } else { kind }
}

fn cell(column: &Column, value: &Value) -> String {
    let text = match serde_json::to_value(value).expect("a value can be written") {
        Json::Null => String::new(),
        Json::String(text) => text,
        other => other.to_string(),
    };
    let is_number = matches!(column.kind, Kind::Integer(..) | Kind::Decimal);
    format!("<td{}>{}</td>", if is_number { " class=\"number\"" } else { "" }, escaped(&text))
}

/// Where a feature is, in a few words.
fn place(shape: &Shape) -> String {
    match shape {
        Shape::Point(point) => format!("{}, {}", point.x(), point.y()),
        Shape::Area(area) => {
            let corners: usize =
                area.0.iter().flat_map(|part| std::iter::once(part.exterior()).chain(part.interiors())).map(|ring| ring.0.len()).sum();
            let parts = area.0.len();
            format!("{parts} part{}, {corners} corners", if parts == 1 { "" } else { "s" })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::collections::COLLECTIONS;

    /// Addresses of pages are put together of them without a look at their letters.
    #[test]
    fn names_of_collections_and_columns_are_plain_words() {
        for collection in &COLLECTIONS {
            let names = collection.columns.iter().map(|column| column.name).chain([collection.id]);
            for name in names {
                assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{name}");
            }
        }
    }
}
