//! The API described: OpenAPI 3.1, read off the routes, and a page to browse it that needs no network.

use axum::Router;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::layers;

/// Where the document is served.
pub const OPENAPI_PATH: &str = "/openapi.json";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "ar-supervisor",
        description = "Supervisor of a distributed augmented-reality system: what is around a point on Earth, which edge server is near, and what each edge holds.\n\nCoordinates are WGS 84 degrees, rounded to 8 decimals; lengths are metres unless a name says otherwise; distances are on the spheroid. Lists answer `items` and `next_cursor`. Errors are `application/problem+json` with a stable `code`, and name all faults at once. Every response carries `X-Request-Id`.\n\nWhere a lock is shown, send `Authorization: Bearer <access_token>` of `POST /api/v1/auth/login`. Callers are limited by class of route; `RateLimit-*` headers say what is left, and 429 says when to come back. What is edited by several is edited by version: `ETag`, `If-Match`, `If-None-Match`.\n\nWhat is said over WebSockets, by edge servers and to admins, is described at [/docs/sockets](/docs/sockets); its AsyncAPI document is [/asyncapi.json](/asyncapi.json).",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    tags(
        (name = "discovery", description = "What is where, for phones; no token needed."),
        (name = "decorations", description = "What admins make of it: create, change, remove, import, export."),
        (name = "regions", description = "Named areas of the Earth."),
        (name = "edge servers", description = "Which there are, how they are, and which is best for a place."),
        (name = "devices", description = "Phones: where they are, and which edge server serves them."),
        (name = "sync", description = "What edge servers hold of what they should, why no more, and sending it anew."),
        (name = "metrics", description = "What was measured."),
        (name = "maps", description = "Vector tiles, for MapLibre, QGIS and GDAL."),
        (name = "accounts", description = "Signing in, and who may do what."),
        (name = "features", description = "OGC API – Features: what is public, for GIS tools; the landing page is at [/ogc](/ogc). As its standard has it, all bad values are 400 here."),
        (name = "audit", description = "Who changed what and when."),
        (name = "operation", description = "What an operator sets at run time, for all instances."),
        (name = "health", description = "For orchestrators."),
    ),
    components(schemas(super::Problem, crate::input::FieldFault)),
    modifiers(&Bearer),
)]
struct About;

/// Says what a token is; each route says whether it wants one, and whose.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut Document) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("The `access_token` of POST /api/v1/auth/login. A route that names `admin` wants one of an admin."))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
        let edge = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("ek_<id>_<secret>")
            .description(Some("The key of an edge server, as POST /api/v1/edge-servers gives it; good for that edge server alone."))
            .build();
        components.add_security_scheme("edge", SecurityScheme::Http(edge));
    }
}

/// The head of the document; routes add the rest.
pub(super) fn about() -> Document {
    About::openapi()
}

/// The whole document, as served and as `ar-supervisor openapi` prints it.
#[must_use]
pub fn openapi() -> Document {
    layers::api_routes().into_openapi()
}

/// `/openapi.json` and `/docs/`.
pub(super) fn routes(document: Document) -> Router {
    let config = Config::default().try_it_out_enabled(true).validator_url("none");
    SwaggerUi::new("/docs").url(OPENAPI_PATH, document).config(config).into()
}
