//! The document as a page: plain HTML, made here, with nothing loaded from anywhere. Readers without JavaScript, on a
//! phone or in the dark see all of it.

use serde_json::Value;

use super::fields::fields;
use super::markdown::{html, inline};
use crate::http::escaped;

const STYLE: &str = include_str!("page.css");

/// The whole page.
pub(super) fn page(document: &Value) -> String {
    let channels = channels(document);
    let contents: String = channels.iter().map(|channel| contents_of(document, channel)).collect();
    let sections: String = channels.iter().map(|channel| section(document, channel)).collect();
    let title = escaped(text(&document["info"]["title"]));
    let servers: String = document["servers"].as_object().into_iter().flatten().map(|(_, server)| server_row(server)).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
<meta name=\"color-scheme\" content=\"light dark\"><title>{title}</title><style>{STYLE}</style></head>\
<body><header><p><a href=\"/docs/\">HTTP interface</a> · <a href=\"{path}\">AsyncAPI {asyncapi} document</a></p><h1>{title}</h1><p>Version {version}</p></header>\
<nav aria-label=\"Contents\">{contents}</nav><main>{about}<h2>Addresses</h2><table><tbody>{servers}</tbody></table>{sections}</main></body></html>\n",
        path = super::DOCUMENT_PATH,
        asyncapi = escaped(text(&document["asyncapi"])),
        version = escaped(text(&document["info"]["version"])),
        about = html(text(&document["info"]["description"])),
    )
}

/// A channel with what goes over it.
struct Channel<'d> {
    name: &'d str,
    value: &'d Value,
    operations: Vec<&'d Value>,
}

/// The channels in the order of their operations, with what comes in before what goes out.
fn channels(document: &Value) -> Vec<Channel<'_>> {
    let mut channels: Vec<Channel<'_>> = Vec::new();
    for operation in document["operations"].as_object().into_iter().flat_map(|operations| operations.values()) {
        let name = text(&operation["channel"]["$ref"]).rsplit('/').next().unwrap_or_default();
        if let Some(channel) = channels.iter_mut().find(|channel| channel.name == name) {
            channel.operations.push(operation);
        } else {
            channels.push(Channel { name, value: &document["channels"][name], operations: vec![operation] });
        }
    }
    channels
}

fn contents_of(document: &Value, channel: &Channel<'_>) -> String {
    let (name, address) = (escaped(channel.name), escaped(text(&channel.value["address"])));
    let links = channel.operations.iter().map(|operation| {
        let links = messages(document, operation).map(|message| {
            let message = escaped(text(&message["name"]));
            format!("<a href=\"#{name}-{message}\"><code>{message}</code></a> ")
        });
        format!("<li>{}: {}</li>", escaped(text(&operation["title"])), links.collect::<String>())
    });
    format!("<p><a href=\"#{name}\"><code>{address}</code></a></p><ul>{}</ul>", links.collect::<String>())
}

fn section(document: &Value, channel: &Channel<'_>) -> String {
    let value = channel.value;
    let ways: String = channel.operations.iter().map(|operation| way(document, channel.name, operation)).collect();
    format!(
        "<section id=\"{}\"><h2>{} <code>{}</code></h2>{}<h3>Who may open it</h3><ul>{}</ul>{ways}</section>",
        escaped(channel.name),
        escaped(text(&value["title"])),
        escaped(text(&value["address"])),
        html(text(&value["description"])),
        credentials(document, channel),
    )
}

/// What opens a channel: any one of these.
fn credentials(document: &Value, channel: &Channel<'_>) -> String {
    let references = channel.operations.first().and_then(|operation| operation["security"].as_array());
    let schemes = references.into_iter().flatten().filter_map(|reference| resolve(document, reference));
    schemes.map(|scheme| format!("<li>{}</li>", inline(text(&scheme["description"])))).collect::<Vec<_>>().concat()
}

/// The messages of one direction.
fn way(document: &Value, channel: &str, operation: &Value) -> String {
    let messages = messages(document, operation).map(|message| article(document, channel, message)).collect::<String>();
    format!("<h3>{}</h3><p>{}</p>{messages}", escaped(text(&operation["title"])), inline(text(&operation["summary"])))
}

fn messages<'d>(document: &'d Value, operation: &'d Value) -> impl Iterator<Item = &'d Value> {
    operation["messages"].as_array().into_iter().flatten().filter_map(|reference| resolve(document, reference))
}

fn article(document: &Value, channel: &str, message: &Value) -> String {
    let name = escaped(text(&message["name"]));
    let rows = fields(document, &message["payload"]["properties"]["data"]).into_iter().map(|field| {
        let optional = if field.required { "" } else { " <small>optional</small>" };
        format!(
            "<tr><td><code>{}</code>{optional}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escaped(&field.path),
            escaped(&field.kind),
            inline(&field.bounds),
            inline(field.description),
        )
    });
    let rows: String = rows.collect();
    let examples = message["examples"].as_array().into_iter().flatten();
    let examples: Vec<_> = examples.map(|example| format!("<pre>{}</pre>", escaped(&written(&example["payload"])))).collect();
    format!(
        "<article id=\"{channel}-{name}\"><h4><code>{name}</code></h4><p>{}</p>\
<table class=\"fields\"><thead><tr><th>In <code>data</code></th><th>Type</th><th>Bounds</th><th>Meaning</th></tr></thead><tbody>{rows}</tbody></table>\
{}</article>",
        inline(text(&message["summary"])),
        examples.concat(),
        channel = escaped(channel),
    )
}

/// A message as it is read best: what it is first, then what it says.
fn written(message: &Value) -> String {
    let members = ["type", "seq", "data"].into_iter().filter_map(|name| {
        let value = message.get(name)?;
        Some(format!("  \"{name}\": {}", format!("{value:#}").replace('\n', "\n  ")))
    });
    format!("{{\n{}\n}}", members.collect::<Vec<_>>().join(",\n"))
}

fn server_row(server: &Value) -> String {
    let host = text(&server["variables"]["host"]["default"]);
    format!(
        "<tr><td><code>{}://{}</code></td><td>{}</td></tr>",
        escaped(text(&server["protocol"])),
        escaped(host),
        inline(text(&server["description"]))
    )
}

/// What a reference within the document stands for.
pub(super) fn resolve<'d>(document: &'d Value, reference: &Value) -> Option<&'d Value> {
    document.pointer(reference["$ref"].as_str()?.strip_prefix('#')?)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
