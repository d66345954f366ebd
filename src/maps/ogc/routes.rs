//! The routes: those of the service as a whole, and for each collection its own, so that OpenAPI names the parameters that
//! each really has.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use utoipa::IntoParams;
use utoipa::openapi::path::{HttpMethod, Operation, Paths};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::{Asked, as_json, as_page};
use super::collection::Collection;
use super::collections::COLLECTIONS;
use super::feature::{Feature, Written};
use super::metadata::{
    About, CONFORMS_TO, CollectionList, Conformance, FeatureAlone, FeaturePage, Features, GEO_JSON, HTML, JSON, LandingPage, Link,
    OPENAPI_3_0, in_its_forms,
};
use super::operations::{self, Failures};
use super::query::{Form, Items, read_form};
use super::{ROOT, api, extent, page, reader};
use crate::http::{ApiError, OPENAPI_PATH, PathText, TooMany};
use crate::state::AppState;

const API_PATH: &str = "/ogc/api";

pub(super) fn routes() -> OpenApiRouter<AppState> {
    let service = OpenApiRouter::new()
        .routes(routes!(landing_page))
        .routes(routes!(conformance))
        .routes(routes!(api_description))
        .routes(routes!(list_collections));
    COLLECTIONS.iter().fold(service, |router, collection| {
        let about = get(async move |state, asked| read_collection(state, asked, collection).await);
        let items = get(async move |state, asked| list_items(state, asked, collection).await);
        let item = get(async move |state, asked, path| read_item(state, asked, path, collection).await);
        let schemas = operations::schemas(collection);
        router
            .routes((Vec::new(), documented(collection.path(""), operations::about(collection)), about))
            .routes((schemas, documented(collection.path("/items"), operations::items(collection)), items))
            .routes((Vec::new(), documented(collection.path("/items/{feature_id}"), operations::item(collection)), item))
    })
}

/// The form of an answer; only for OpenAPI, `read_form` reads it.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "documents parameters")]
struct FormParam {
    /// JSON, or a page for people; without it, what `Accept` likes better.
    #[param(value_type = Option<String>, schema_with = operations::form_schema)]
    f: Option<String>,
}

/// What there is: where a client of OGC API begins
///
/// Links to the collections, to what of the standard is kept, and to descriptions of the interface.
#[utoipa::path(get, path = "/ogc", operation_id = "read_ogc_landing_page", tag = "features", security(()), params(FormParam), responses(
    (status = 200, description = "The landing page.", content((LandingPage = "application/json"), (String = "text/html"))),
    Failures, TooMany,
))]
async fn landing_page(asked: Asked) -> Result<Response, ApiError> {
    let form = read_form(&asked.query, &asked.headers)?;
    let url = |path: &str| asked.origin.url(path);
    let mut links = in_its_forms(&asked.origin, ROOT, form, JSON, "Landing page");
    links.extend([
        Link::new("service-desc", OPENAPI_3_0, url(API_PATH), "This part of the interface in OpenAPI 3.0"),
        Link::new("service-desc", JSON, url(OPENAPI_PATH), "The whole interface in OpenAPI 3.1"),
        Link::new("service-doc", HTML, url("/docs/"), "The whole interface to read"),
        Link::new("conformance", JSON, url("/ogc/conformance"), "What of the standard is kept"),
        Link::new("data", JSON, url("/ogc/collections"), "The collections"),
    ]);
    match form {
        Form::Json => as_json(JSON, &LandingPage { title: page::SERVICE, description: page::ABOUT, links: links.clone() }, &links),
        Form::Html => Ok(as_page(page::landing(&links), &links)),
    }
}

/// What of the standard is kept
///
/// The conformance classes of OGC API – Features, Part 1, that hold here.
#[utoipa::path(get, path = "/ogc/conformance", operation_id = "read_ogc_conformance", tag = "features", security(()), params(FormParam), responses(
    (status = 200, description = "The conformance classes.", content((Conformance = "application/json"), (String = "text/html"))),
    Failures, TooMany,
))]
async fn conformance(asked: Asked) -> Result<Response, ApiError> {
    let form = read_form(&asked.query, &asked.headers)?;
    let links = in_its_forms(&asked.origin, "/ogc/conformance", form, JSON, "Conformance");
    match form {
        Form::Json => as_json(JSON, &Conformance { conforms_to: CONFORMS_TO }, &links),
        Form::Html => Ok(as_page(page::conformance(&links), &links)),
    }
}

/// This part of the interface in OpenAPI 3.0
///
/// What clients of OGC API look parameters up in. For people it leads to `/docs/`.
#[utoipa::path(get, path = "/ogc/api", operation_id = "read_ogc_api", tag = "features", security(()), params(FormParam), responses(
    (status = 200, description = "An OpenAPI document.", body = Object, content_type = "application/vnd.oai.openapi+json;version=3.0"),
    (status = 303, description = "The page to browse the interface, for those who want HTML.", headers(("Location" = String, description = "Its address."))),
    Failures, TooMany,
))]
async fn api_description(asked: Asked) -> Result<Response, ApiError> {
    match read_form(&asked.query, &asked.headers)? {
        Form::Json => Ok(([(header::CONTENT_TYPE, OPENAPI_3_0), (header::VARY, "accept")], api::document().clone()).into_response()),
        Form::Html => Ok(([(header::VARY, "accept")], Redirect::to("/docs/")).into_response()),
    }
}

/// The collections
///
/// Which there are, with what their features lie in.
#[utoipa::path(get, path = "/ogc/collections", operation_id = "list_ogc_collections", tag = "features", security(()), params(FormParam), responses(
    (status = 200, description = "All collections.", content((CollectionList = "application/json"), (String = "text/html"))),
    Failures, TooMany,
))]
async fn list_collections(State(state): State<AppState>, asked: Asked) -> Result<Response, ApiError> {
    let form = read_form(&asked.query, &asked.headers)?;
    let links = in_its_forms(&asked.origin, "/ogc/collections", form, JSON, "The collections");
    let mut collections = Vec::new();
    for collection in &COLLECTIONS {
        let bbox = box_of(&state, collection).await?;
        collections.push(About::of(collection, bbox, &asked.origin, form));
    }
    match form {
        Form::Json => as_json(JSON, &CollectionList { links: links.clone(), collections }, &links),
        Form::Html => Ok(as_page(page::collections(&collections, &links), &links)),
    }
}

async fn box_of(state: &AppState, collection: &'static Collection) -> Result<Option<[f64; 4]>, ApiError> {
    let read = state.db.hot().run("reading the extent of a collection", |connection| Box::pin(extent::read(connection, collection.extent)));
    Ok(read.await?)
}

async fn read_collection(State(state): State<AppState>, asked: Asked, collection: &'static Collection) -> Result<Response, ApiError> {
    let form = read_form(&asked.query, &asked.headers)?;
    let about = About::of(collection, box_of(&state, collection).await?, &asked.origin, form);
    match form {
        Form::Json => as_json(JSON, &about, &about.links),
        Form::Html => Ok(as_page(page::collection(collection, &about), &about.links)),
    }
}

async fn list_items(State(state): State<AppState>, asked: Asked, collection: &'static Collection) -> Result<Response, ApiError> {
    let Items { narrowing, limit, cursor, hits, form } = Items::read(collection, &asked.query, &asked.headers)?;
    let scope = format!("ogc {} {narrowing:?}", collection.id);
    let position = |bytes: &[u8]| Some(i64::from_be_bytes(bytes.try_into().ok()?));
    let after = state.cursor_key.open_at(&scope, cursor.as_ref(), position)?;
    let path = collection.path("/items");
    let mut links = item_links(&asked, collection, &path, form);
    let (mut features, mut matched) = (Vec::new(), None);
    if hits {
        let read = state.db.shaped().run("counting features of a collection", |connection| {
            let narrowing = narrowing.clone();
            Box::pin(async move { reader::count(connection, collection, &narrowing).await })
        });
        matched = Some(read.await?);
    } else {
        let read = state.db.shaped().run("reading features of a collection", |connection| {
            let narrowing = narrowing.clone();
            Box::pin(async move { reader::page(connection, collection, &narrowing, after, limit + 1).await })
        });
        features = read.await?;
        let next = state.cursor_key.cut_page(&scope, &mut features, limit, |last| last.key.to_be_bytes().to_vec());
        if let Some(cursor) = &next {
            let media_type = if form == Form::Json { GEO_JSON } else { HTML };
            links.push(Link::new("next", media_type, asked.next(&path, cursor), "The next page"));
        } else if after.is_none() {
            matched = i64::try_from(features.len()).ok();
        }
    }
    match form {
        Form::Json => {
            let page = FeaturePage {
                kind: "FeatureCollection",
                links: &links,
                time_stamp: state.clock.now(),
                number_matched: matched,
                number_returned: features.len(),
                features: Features { collection, features: &features },
            };
            as_json(GEO_JSON, &page, &links)
        }
        Form::Html => {
            let first = after.is_some().then(|| asked.first(&path));
            let shown = page::Shown { features: &features, matched, query: &asked.query, limit, first, links: &links };
            Ok(as_page(page::items(collection, &shown), &links))
        }
    }
}

async fn read_item(
    State(state): State<AppState>,
    asked: Asked,
    path: PathText,
    collection: &'static Collection,
) -> Result<Response, ApiError> {
    let form = read_form(&asked.query, &asked.headers)?;
    let feature_id = path.read().and_then(|text| feature_id(&text));
    let key = feature_id.and_then(|feature_id| collection.key.value(feature_id)).ok_or_else(unknown_feature)?;
    let read = state
        .db
        .hot()
        .run("reading a feature of a collection", |connection| Box::pin(async move { reader::one(connection, collection, key).await }));
    let feature: Feature = read.await?.ok_or_else(unknown_feature)?;
    let path = collection.path(&format!("/items/{}", collection.key.feature(key)));
    let links = item_links(&asked, collection, &path, form);
    match form {
        Form::Json => as_json(GEO_JSON, &FeatureAlone { feature: Written { collection, feature: &feature }, links: &links }, &links),
        Form::Html => Ok(as_page(page::item(collection, &feature, &links), &links)),
    }
}

/// Links to features themselves, in both forms, and to their collection.
fn item_links(asked: &Asked, collection: &Collection, path: &str, form: Form) -> Vec<Link> {
    let (own, other, other_name) = match form {
        Form::Json => (GEO_JSON, HTML, "html"),
        Form::Html => (HTML, GEO_JSON, "json"),
    };
    vec![
        Link::new("self", own, asked.again(path), "This page"),
        Link::new("alternate", other, asked.in_form(path, other_name), "The same in another form"),
        Link::new("collection", JSON, asked.origin.url(&collection.path("")), collection.title),
    ]
}

/// A feature's number, in the one spelling that we answer.
fn feature_id(text: &str) -> Option<i64> {
    text.parse().ok().filter(|number: &i64| number.to_string() == text)
}

fn unknown_feature() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "unknown_feature", "the collection has no feature with that number")
}

/// One path with one operation, read with GET.
fn documented(path: String, operation: Operation) -> Paths {
    let mut paths = Paths::new();
    paths.add_path_operation(path, vec![HttpMethod::Get], operation);
    paths
}
