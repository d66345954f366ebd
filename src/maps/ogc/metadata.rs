//! What the service says about itself and its collections, in the words of the standard.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::ser::Serializer;
use utoipa::ToSchema;

use super::collection::Collection;
use super::feature::{Feature, Written};
use super::query::Form;
use crate::http::Origin;

pub(super) const GEO_JSON: &str = "application/geo+json";
pub(super) const JSON: &str = "application/json";
pub(super) const HTML: &str = "text/html";
pub(super) const OPENAPI_3_0: &str = "application/vnd.oai.openapi+json;version=3.0";

/// Longitude and latitude in degrees, WGS 84: the one reference system of the standard's core.
pub(super) const CRS84: &str = "http://www.opengis.net/def/crs/OGC/1.3/CRS84";

/// What of the standard is kept. Both descriptions of the interface are read off the same routes.
pub(super) const CONFORMS_TO: [&str; 4] = [
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/oas30",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/html",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
];

/// Where something else is.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = OgcLink)]
pub(super) struct Link {
    /// Address.
    pub(super) href: String,
    /// What it is to this one.
    #[schema(example = "next")]
    pub(super) rel: &'static str,
    /// Its media type.
    #[serde(rename = "type")]
    #[schema(example = "application/geo+json")]
    pub(super) media_type: &'static str,
    /// What it is, for people.
    pub(super) title: String,
}

impl Link {
    pub(super) fn new(rel: &'static str, media_type: &'static str, href: String, title: impl Into<String>) -> Self {
        Self { href, rel, media_type, title: title.into() }
    }
}

/// The landing page.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OgcLandingPage)]
pub(super) struct LandingPage {
    /// Name of the service.
    pub(super) title: &'static str,
    /// What it has.
    pub(super) description: &'static str,
    /// Where the rest is.
    pub(super) links: Vec<Link>,
}

/// What of the standard is kept.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OgcConformance)]
pub(super) struct Conformance {
    /// Conformance classes.
    #[serde(rename = "conformsTo")]
    #[schema(value_type = Vec<String>)]
    pub(super) conforms_to: [&'static str; 4],
}

/// The collections.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OgcCollections)]
pub(super) struct CollectionList {
    /// This list in its forms.
    pub(super) links: Vec<Link>,
    /// The collections.
    pub(super) collections: Vec<About>,
}

/// A collection.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OgcCollection)]
#[serde(rename_all = "camelCase")]
pub(super) struct About {
    /// Name in addresses.
    #[schema(example = "decorations")]
    pub(super) id: &'static str,
    /// Name for people.
    pub(super) title: &'static str,
    /// What its features are.
    pub(super) description: &'static str,
    /// Its features, and this description in its forms.
    pub(super) links: Vec<Link>,
    /// What its features lie in; left out when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Extent, required = false)]
    pub(super) extent: Option<Extent>,
    /// Always `feature`.
    #[schema(example = "feature")]
    pub(super) item_type: &'static str,
    /// Reference systems that features come in.
    #[schema(value_type = Vec<String>)]
    pub(super) crs: [&'static str; 1],
    /// The one that they are stored in.
    pub(super) storage_crs: &'static str,
}

/// What features lie in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OgcExtent)]
pub(super) struct Extent {
    /// In space.
    pub(super) spatial: SpatialExtent,
}

/// What features lie in, in space.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OgcSpatialExtent)]
pub(super) struct SpatialExtent {
    /// One box: west, south, east, north in degrees.
    #[schema(value_type = Vec<Vec<f64>>)]
    pub(super) bbox: [[f64; 4]; 1],
    /// Its reference system.
    pub(super) crs: &'static str,
}

impl About {
    /// A collection, as it is listed and as it stands by itself.
    pub(super) fn of(collection: &Collection, bbox: Option<[f64; 4]>, origin: &Origin, form: Form) -> Self {
        let title = collection.title;
        let mut links = in_its_forms(origin, &collection.path(""), form, JSON, title);
        let items = origin.url(&collection.path("/items"));
        links.push(Link::new("items", GEO_JSON, items.clone(), format!("{title} as GeoJSON")));
        links.push(Link::new("items", HTML, format!("{items}?f=html"), format!("{title} as a page")));
        Self {
            id: collection.id,
            title,
            description: collection.description,
            links,
            extent: bbox.map(|bbox| Extent { spatial: SpatialExtent { bbox: [bbox], crs: CRS84 } }),
            item_type: "feature",
            crs: [CRS84],
            storage_crs: CRS84,
        }
    }
}

/// Links to something that has no parameters but its form: to itself and to its other form.
pub(super) fn in_its_forms(origin: &Origin, path: &str, form: Form, media_type: &'static str, title: &str) -> Vec<Link> {
    let json = format!("{}?f=json", origin.url(path));
    let html = format!("{}?f=html", origin.url(path));
    let [json_rel, html_rel] = match form {
        Form::Json => ["self", "alternate"],
        Form::Html => ["alternate", "self"],
    };
    vec![Link::new(json_rel, media_type, json, format!("{title} as JSON")), Link::new(html_rel, HTML, html, format!("{title} as a page"))]
}

/// A page of features.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FeaturePage<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) links: &'a [Link],
    pub(super) time_stamp: DateTime<Utc>,
    /// Only where it is asked for, or nothing is left out: to count all that match can take longer than to read a page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) number_matched: Option<i64>,
    pub(super) number_returned: usize,
    pub(super) features: Features<'a>,
}

/// The features themselves.
pub(super) struct Features<'a> {
    pub(super) collection: &'a Collection,
    pub(super) features: &'a [Feature],
}

impl Serialize for Features<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.features.iter().map(|feature| Written { collection: self.collection, feature }))
    }
}

/// One feature by itself.
#[derive(Serialize)]
pub(super) struct FeatureAlone<'a> {
    #[serde(flatten)]
    pub(super) feature: Written<'a>,
    pub(super) links: &'a [Link],
}
