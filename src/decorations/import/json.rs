//! JSON objects read strictly: a name that comes twice is an error (`serde_json` would keep the last one), and
//! a GeoJSON collection is read feature by feature, never as a whole.

use std::fmt;

use serde::Deserializer;
use serde::de::{Deserialize, DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::decorations::content::{Fields, Raw};

/// A JSON object whose names are all different.
pub(super) struct StrictObject(pub(super) Vec<(String, Value)>);

impl<'de> Deserialize<'de> for StrictObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = StrictObject;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<StrictObject, A::Error> {
                let mut members: Vec<(String, Value)> = Vec::with_capacity(24);
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if members.iter().any(|(known, _)| *known == name) {
                        return Err(A::Error::custom(format_args!("the name {name:?} comes twice")));
                    }
                    members.push((name, value));
                }
                Ok(StrictObject(members))
            }
        }
        deserializer.deserialize_map(Names)
    }
}

impl From<StrictObject> for Fields {
    fn from(object: StrictObject) -> Self {
        Self(object.0.into_iter().map(|(name, value)| (name, Raw::Json(value))).collect())
    }
}

/// Reads a GeoJSON `FeatureCollection` and hands over each feature; stops when `on_feature` answers false.
pub(super) struct CollectionSeed<F>(pub(super) F);

impl<'de, F: FnMut(Value) -> bool> DeserializeSeed<'de> for CollectionSeed<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: FnMut(Value) -> bool> Visitor<'de> for CollectionSeed<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a GeoJSON FeatureCollection")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut has_features = false;
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "features" if has_features => return Err(A::Error::custom("the name \"features\" comes twice")),
                "features" => {
                    has_features = true;
                    map.next_value_seed(Features(&mut self.0))?;
                }
                "type" => {
                    let kind: Value = map.next_value()?;
                    if kind != "FeatureCollection" {
                        return Err(A::Error::custom(format_args!("expected a FeatureCollection, found type {kind}")));
                    }
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        if has_features { Ok(()) } else { Err(A::Error::missing_field("features")) }
    }
}

struct Features<'f, F>(&'f mut F);

impl<'de, F: FnMut(Value) -> bool> DeserializeSeed<'de> for Features<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(Value) -> bool> Visitor<'de> for Features<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of features")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut features: A) -> Result<(), A::Error> {
        let mut wanted = true;
        while wanted {
            let Some(feature) = features.next_element::<Value>()? else { return Ok(()) };
            wanted = (self.0)(feature);
        }
        // Let the reader come to a clean end without looking at the rest.
        while features.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}
