//! A GeoJSON collection read feature by feature, never as a whole.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::input::StrictValue;

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
        while let Some(StrictValue(feature)) = features.next_element()? {
            if !(self.0)(feature) {
                // The writer has failed and says why: the rest need not even be read.
                return Err(A::Error::custom("nobody takes further features"));
            }
        }
        Ok(())
    }
}
