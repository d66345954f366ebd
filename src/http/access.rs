//! Who may use a route: read off the OpenAPI document, so that what is published is what is enforced. A route
//! that says nothing about its `security` lets nobody in.
//!
//! Here too is the throttle, because who is asking decides whose bucket it is.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use utoipa::openapi::OpenApi as Document;
use uuid::Uuid;

use super::ApiError;
use super::client::Client;
use super::context::RequestId;
use super::security::bearer;
use super::throttle::{Allowance, Bucket, Class, NOWHERE, network_of};
use crate::accounts::{Identity, Role};
use crate::db::reading_after;
use crate::edges::{EdgeIdentity, is_edge_key};
use crate::state::AppState;

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// Anybody, within the limits of a class.
    Anyone(Class),
    /// Whoever is signed in.
    SignedIn,
    /// Admins, within the limits of a class.
    Admin(Class),
    /// The edge server that the path names.
    Edge,
    /// Admins, and the edge server that the path names.
    AdminOrEdge,
}

/// Access by route and method.
pub(super) struct AccessTable(HashMap<String, Vec<(Method, Access)>>);

/// Member of an operation that names another class than `public` for a route without a token, and than `admin` for one
/// of theirs.
const RATE_CLASS: &str = "x-rate-class";

impl AccessTable {
    /// Reads the table off the document. Routes without `security` are left out, so nobody may use them.
    pub(super) fn of(document: &Document) -> Self {
        let document = serde_json::to_value(document).expect("the document can be written");
        let mut table: HashMap<String, Vec<(Method, Access)>> = HashMap::new();
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            let methods = table.entry(path.clone()).or_default();
            for (method, operation) in item.as_object().into_iter().flatten() {
                let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes());
                if let (Ok(method), Some(access)) = (method, access_of(operation)) {
                    methods.push((method, access));
                }
            }
        }
        Self(table)
    }

    /// Who may use a route; `None` when nobody may, or the method is not there.
    fn access(&self, path: &str, method: &Method) -> Option<Access> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        self.0.get(path)?.iter().find(|(known, _)| known == method).map(|(_, access)| *access)
    }
}

fn access_of(operation: &Value) -> Option<Access> {
    let requirements = operation.get("security")?.as_array()?;
    let class = match operation.get(RATE_CLASS).and_then(Value::as_str) {
        Some("auth") => Some(Class::Auth),
        Some("tiles") => Some(Class::Tiles),
        _ => None,
    };
    match requirements.as_slice() {
        [requirement] if *requirement == json!({}) => Some(Access::Anyone(class.unwrap_or(Class::Public))),
        [requirement] if *requirement == json!({"bearer": []}) => Some(Access::SignedIn),
        [requirement] if *requirement == json!({"bearer": [Role::Admin.as_str()]}) => Some(Access::Admin(class.unwrap_or(Class::Admin))),
        [requirement] if *requirement == json!({"edge": []}) => Some(Access::Edge),
        [admin, edge] if *admin == json!({"bearer": [Role::Admin.as_str()]}) && *edge == json!({"edge": []}) => Some(Access::AdminOrEdge),
        _ => None,
    }
}

/// Lets in who may come in, and notes who it is.
pub(super) async fn around<F: Future<Output = Response>>(
    state: AppState,
    table: Arc<AccessTable>,
    mut request: Request,
    next: impl FnOnce(Request) -> F,
) -> Response {
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let path = matched.as_ref().map_or("", MatchedPath::as_str);
    let Some(access) = table.access(path, request.method()) else {
        let methods = table.0.get(path).map(Vec::as_slice).unwrap_or_default();
        return not_allowed(methods);
    };
    let network = network_bucket(&request);
    // Health is asked for by orchestrators, all from one address.
    let taken = if path.starts_with("/health/") {
        Ok(None)
    } else {
        match access {
            Access::Anyone(class) => state.throttle.take(class, network),
            _ if bearer(request.headers()).is_some_and(is_edge_key) => let_edge_in(&state, &mut request, access, network).await,
            _ => let_person_in(&state, &mut request, access, network).await,
        }
    };
    let is_private = !matches!(access, Access::Anyone(Class::Public | Class::Tiles));
    let writes = matches!(access, Access::Admin(_)) && !request.method().is_safe();
    let caller = network_of(address_of(request.extensions()));
    // What admins read comes from the primary; so does all when there is no replica.
    let written = if is_private || state.db.replica().is_none() { None } else { state.own_writes.of(caller) };
    let run = async {
        let mut response = reading_after(written, next(request)).await;
        if writes && response.status().is_success() {
            state.own_writes.written(&state.db, caller).await;
        }
        if is_private {
            // What is for one person is kept by no cache.
            response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        }
        response
    };
    within(taken, run).await
}

/// Lets in whoever is signed in, where people may come in.
async fn let_person_in(state: &AppState, request: &mut Request, access: Access, network: Bucket) -> Result<Option<Allowance>, ApiError> {
    let identity = identify(state, request.headers(), network).await?;
    let class = match (identity.role, access) {
        (Role::Admin, Access::Admin(class)) => class,
        (Role::Admin, _) => Class::Admin,
        _ => Class::User,
    };
    let taken = state.throttle.take(class, Bucket::Account(identity.user_id));
    let refused = match access {
        Access::Edge => Some(forbidden("this is for the edge server itself, with its key")),
        Access::Admin(_) | Access::AdminOrEdge if identity.role != Role::Admin => Some(forbidden(FOR_ADMINS)),
        _ => None,
    };
    request.extensions_mut().insert(identity);
    match refused {
        Some(refused) => taken.and(Err(refused)),
        None => taken,
    }
}

/// Lets in the edge server that the path names, where edge servers may come in.
async fn let_edge_in(state: &AppState, request: &mut Request, access: Access, network: Bucket) -> Result<Option<Allowance>, ApiError> {
    let identity = identify_edge(state, request.headers(), network).await?;
    let taken = state.throttle.take(Class::Edge, Bucket::Edge(identity.edge_id));
    if !matches!(access, Access::Edge | Access::AdminOrEdge) {
        return taken.and(Err(forbidden("this is for people, who sign in with an access token")));
    }
    let (mut parts, body) = std::mem::take(request).into_parts();
    let parameters = RawPathParams::from_request_parts(&mut parts, &()).await;
    *request = Request::from_parts(parts, body);
    let is_own = parameters.is_ok_and(|found| found.iter().any(|(_, value)| Uuid::try_parse(value).is_ok_and(|id| id == identity.edge_id)));
    request.extensions_mut().insert(identity);
    if is_own { taken } else { taken.and(Err(forbidden("this key is another edge server's"))) }
}

/// The edge server whose key a request shows. All keys from one network are counted before they are looked for.
///
/// # Errors
/// 401 when it shows none that is good; 429 when there were too many.
pub(crate) async fn identify_edge(state: &AppState, headers: &HeaderMap, network: Bucket) -> Result<EdgeIdentity, ApiError> {
    let detail = "this needs Authorization: Bearer <edge key>";
    let key = bearer(headers).ok_or_else(|| ApiError::unauthorized("not_signed_in", detail))?;
    state.throttle.take(Class::Edge, network)?;
    crate::edges::verify_key(&state.db, key).await
}

/// The limit of pages that are open to anyone and are not in the document: its own, and those that show it.
pub(super) async fn throttle_pages(State(state): State<AppState>, request: Request, next: Next) -> Response {
    within(state.throttle.take(Class::Public, network_bucket(&request)), next.run(request)).await
}

/// The limit of the live map's files: a page is some sixty of them at once, and its tiles come right after.
pub(super) async fn throttle_map_files(State(state): State<AppState>, request: Request, next: Next) -> Response {
    within(state.throttle.take(Class::Tiles, network_bucket(&request)), next.run(request)).await
}

/// Answers within a limit, and says what is left of it.
async fn within(taken: Result<Option<Allowance>, ApiError>, run: impl Future<Output = Response>) -> Response {
    match taken {
        Err(error) => error.into_response(),
        Ok(allowance) => {
            let mut response = run.await;
            if let Some(allowance) = allowance {
                allowance.write(response.headers_mut());
            }
            response
        }
    }
}

pub(crate) fn network_bucket(request: &Request) -> Bucket {
    Bucket::Network(network_of(address_of(request.extensions())))
}

fn address_of(extensions: &Extensions) -> IpAddr {
    extensions.get::<Client>().map_or(NOWHERE, |client| client.address)
}

/// Who a request's token speaks for. One without a good token is a stranger like all others, and soon has had enough
/// tries; and no session, ended or not, makes more queries than one that is live may.
pub(crate) async fn identify(state: &AppState, headers: &HeaderMap, network: Bucket) -> Result<Identity, ApiError> {
    let token = bearer(headers);
    if let Some(identity) = token.and_then(|token| state.accounts.seen(token)) {
        return Ok(identity);
    }
    let detail = "this needs Authorization: Bearer <access token>; POST /api/v1/auth/login gives one";
    let token = token.ok_or_else(|| ApiError::unauthorized("not_signed_in", detail));
    match token.and_then(|token| Ok((token, state.accounts.check(token)?))) {
        Ok((token, checked)) => {
            state.throttle.take(Class::Public, Bucket::Session(checked.session_id()))?;
            state.accounts.confirm(&state.db, token, checked).await
        }
        Err(error) => state.throttle.take(Class::Public, network).and(Err(error)),
    }
}

/// Why most are refused.
const FOR_ADMINS: &str = "this is for admins";

pub(crate) fn forbidden(detail: &str) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "forbidden", detail)
}

/// 405 with what the address takes; 403 where nobody may do anything.
fn not_allowed(methods: &[(Method, Access)]) -> Response {
    if methods.is_empty() {
        return forbidden(FOR_ADMINS).into_response();
    }
    let mut names: Vec<&str> = methods.iter().map(|(method, _)| method.as_str()).collect();
    if names.contains(&"GET") {
        names.push("HEAD");
    }
    let mut response = StatusCode::METHOD_NOT_ALLOWED.into_response();
    if let Ok(allow) = HeaderValue::from_str(&names.join(",")) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

/// Who is asking, of a route that asks for a token: a handler with this argument on a route open to anyone
/// answers nobody.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Who it is.
    pub(crate) identity: Identity,
    /// Where from.
    pub(crate) address: IpAddr,
    /// Which request of theirs.
    pub(crate) request_id: String,
}

impl Caller {
    pub(crate) fn user_id(&self) -> Uuid {
        self.identity.user_id
    }
}

/// The caller of a route for admins.
#[derive(Clone, Debug)]
pub(crate) struct Admin(pub(crate) Caller);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let Some(identity) = parts.extensions.get::<Identity>().cloned() else {
            tracing::error!(path = parts.uri.path(), "a route open to anyone asks who is calling");
            return Err(forbidden(FOR_ADMINS));
        };
        let address = address_of(&parts.extensions);
        let request_id = parts.extensions.get::<RequestId>().map_or_else(String::new, |id| id.as_str().to_owned());
        Ok(Self { identity, address, request_id })
    }
}

impl<S: Sync> FromRequestParts<S> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, state).await?;
        // Once more, should a route publish less than it asks for.
        if caller.identity.role == Role::Admin { Ok(Self(caller)) } else { Err(forbidden(FOR_ADMINS)) }
    }
}

/// The caller of a route for admins and the edge server that the path names: one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AdminOrEdge {
    /// An admin.
    Admin,
    /// That edge server.
    Edge,
}

impl<S: Sync> FromRequestParts<S> for AdminOrEdge {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        if parts.extensions.get::<EdgeIdentity>().is_some() {
            return Ok(Self::Edge);
        }
        Admin::from_request_parts(parts, state).await.map(|_admin| Self::Admin)
    }
}

impl<S: Sync> FromRequestParts<S> for EdgeIdentity {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Self>().copied().ok_or_else(|| {
            tracing::error!(path = parts.uri.path(), "a route that lets in no edge server asks which one is calling");
            forbidden("this is for the edge server itself")
        })
    }
}

/// Extractor: whether the client's own connection is encrypted.
#[derive(Clone, Copy)]
pub(crate) struct ClientConnection {
    pub(crate) secure: bool,
}

impl<S: Sync> FromRequestParts<S> for ClientConnection {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        Ok(Self { secure: parts.extensions.get::<Client>().is_some_and(|client| client.secure) })
    }
}

/// Extractor: the client's address.
pub(crate) struct ClientAddress(pub(crate) IpAddr);

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(address_of(&parts.extensions)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(json!({"security": [{}]}), Some(Access::Anyone(Class::Public)))]
    #[case(json!({"security": [{}], "x-rate-class": "auth"}), Some(Access::Anyone(Class::Auth)))]
    #[case(json!({"security": [{"bearer": []}]}), Some(Access::SignedIn))]
    #[case(json!({"security": [{"bearer": ["admin"]}]}), Some(Access::Admin(Class::Admin)))]
    #[case(json!({"security": [{"bearer": ["admin"]}], "x-rate-class": "tiles"}), Some(Access::Admin(Class::Tiles)))]
    #[case(json!({"security": [{"edge": []}]}), Some(Access::Edge))]
    #[case(json!({"security": [{"bearer": ["admin"]}, {"edge": []}]}), Some(Access::AdminOrEdge))]
    // What is not understood lets nobody in.
    #[case(json!({}), None)]
    #[case(json!({"security": []}), None)]
    #[case(json!({"security": [{"bearer": ["king"]}]}), None)]
    #[case(json!({"security": [{}, {"bearer": []}]}), None)]
    #[case(json!({"security": [{"bearer": []}, {"edge": []}]}), None)]
    #[case(json!({"security": [{"bearer": ["admin"], "edge": []}]}), None)]
    #[case(json!({"security": [{"cookie": []}]}), None)]
    fn access_is_what_the_document_says(#[case] operation: Value, #[case] expected: Option<Access>) {
        assert_eq!(access_of(&operation), expected);
    }

    #[test]
    fn every_route_says_who_may_use_it() {
        let document = serde_json::to_value(super::super::openapi()).expect("JSON");
        for (path, item) in document["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("operations") {
                assert!(access_of(operation).is_some(), "{method} {path}");
            }
        }
    }
}
