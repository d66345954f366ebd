//! The admin page at `/dashboard`: own ES modules in `page/`, and the libraries that `npm ci` brings, built in. It is
//! served as it is written, without a bundler, and loads nothing from anywhere else. A build without `npm ci` works
//! too, and says at `/dashboard` what is missing. A debug build reads the files anew for each request.

use std::borrow::Cow;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rust_embed::{Embed, EmbeddedFile};

use crate::http::IfNoneMatch;

/// Own files only: no inline scripts or styles, no frames, no forms that leave, and no connections to elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; \
                      worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// A browser needs none of these for the page, and gets none of them.
const PERMISSIONS: &str = "camera=(), geolocation=(), microphone=(), payment=(), usb=()";

#[derive(Embed)]
#[folder = "src/dashboard/page"]
struct Page;

#[derive(Embed)]
#[folder = "src/dashboard/node_modules"]
#[include = "h3-js/dist/browser/h3-js.es.js"]
#[include = "maplibre-gl/dist/maplibre-gl.mjs"]
#[include = "maplibre-gl/dist/maplibre-gl-worker.mjs"]
#[include = "maplibre-gl/dist/maplibre-gl.css"]
#[include = "uplot/dist/uPlot.esm.js"]
#[include = "uplot/dist/uPlot.min.css"]
#[allow_missing = true]
struct Libraries;

/// What `lib/<name>` is.
const LIBRARIES: [(&str, &str); 6] = [
    ("h3.mjs", "h3-js/dist/browser/h3-js.es.js"),
    ("maplibre-gl.mjs", "maplibre-gl/dist/maplibre-gl.mjs"),
    ("maplibre-gl-worker.mjs", "maplibre-gl/dist/maplibre-gl-worker.mjs"),
    ("maplibre-gl.css", "maplibre-gl/dist/maplibre-gl.css"),
    ("uplot.mjs", "uplot/dist/uPlot.esm.js"),
    ("uplot.css", "uplot/dist/uPlot.min.css"),
];

const WITHOUT_LIBRARIES: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>ar-supervisor</title>\
<h1>This build has no admin page</h1><p>Its map and charts come from npm. With Node 18 or newer, run <code>make run</code>, \
or <code>npm ci --ignore-scripts</code> in <code>src/dashboard</code> and build again. \
The <a href=\"/docs/\">interface</a> does not need it.</p></html>\n";

/// Whether the libraries of the page are built in.
pub(crate) fn is_whole() -> bool {
    LIBRARIES.iter().all(|(_, path)| Libraries::get(path).is_some())
}

/// `/dashboard/` and its files.
pub(crate) fn routes() -> Router {
    Router::new()
        .route("/dashboard", get(async || Redirect::permanent("/dashboard/")))
        .route("/dashboard/", get(index))
        .route("/dashboard/{*path}", get(file))
}

async fn index(kept: IfNoneMatch) -> Response {
    match Page::get("index.html") {
        Some(page) if is_whole() => answer("index.html", page, &kept),
        _ => (StatusCode::NOT_FOUND, Html(WITHOUT_LIBRARIES)).into_response(),
    }
}

async fn file(Path(path): Path<String>, kept: IfNoneMatch) -> Response {
    let library = path.strip_prefix("lib/").map(|name| LIBRARIES.iter().find(|library| library.0 == name));
    let file = match library {
        Some(library) => library.and_then(|(_, path)| Libraries::get(path)),
        None => Page::get(&path),
    };
    match file {
        Some(file) => answer(&path, file, &kept),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The file, or 304 when the browser has it.
fn answer(path: &str, file: EmbeddedFile, kept: &IfNoneMatch) -> Response {
    let tag = URL_SAFE_NO_PAD.encode(&file.metadata.sha256_hash()[..18]);
    let has_it = kept.matches_tag(&tag);
    let head = [
        (header::ETAG, HeaderValue::try_from(format!("\"{tag}\"")).expect("letters and digits in quotes")),
        // Asked for again each time, and mostly answered by 304: a new release is seen at once.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type(path))),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (HeaderName::from_static("permissions-policy"), HeaderValue::from_static(PERMISSIONS)),
        (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    ];
    if has_it {
        return (StatusCode::NOT_MODIFIED, head).into_response();
    }
    let body = match file.data {
        Cow::Borrowed(bytes) => bytes::Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes::Bytes::from(bytes),
    };
    (head, body).into_response()
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}
