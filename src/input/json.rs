//! JSON read strictly: a name that comes twice in an object is an error (`serde_json` would keep the last one),
//! and nothing is nested deeper than [`MAX_DEPTH`].

use std::fmt;

use serde::Deserializer;
use serde::de::{Deserialize, DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Deepest nesting of arrays and objects.
const MAX_DEPTH: usize = 32;

/// A JSON object whose names are all different, at every depth.
pub(crate) struct StrictObject(pub(crate) Map<String, Value>);

/// A JSON value in which no object has a name twice.
pub(crate) struct StrictValue(pub(crate) Value);

impl<'de> Deserialize<'de> for StrictObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match (Nested { depth: 0 }).deserialize(deserializer)? {
            Value::Object(members) => Ok(Self(members)),
            _ => Err(D::Error::custom("is not a JSON object")),
        }
    }
}

impl<'de> Deserialize<'de> for StrictValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        (Nested { depth: 0 }).deserialize(deserializer).map(Self)
    }
}

/// Reads a value that is nested this deep.
#[derive(Clone, Copy)]
struct Nested {
    depth: usize,
}

impl Nested {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom(format_args!("is nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Nested {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nested {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(inner)?;
            if members.contains_key(&name) {
                return Err(A::Error::custom(format_args!("the name {name:?} comes twice")));
            }
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &str) -> Result<Map<String, Value>, String> {
        serde_json::from_str(text).map(|StrictObject(members)| members).map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_that_comes_twice_is_refused_at_every_depth() {
        assert!(object(r#"{"a":1,"b":{"c":[{"d":1},{"d":2}]}}"#).is_ok());
        for twice in [r#"{"a":1,"a":1}"#, r#"{"a":{"b":1,"b":2}}"#, r#"{"a":[{"b":1,"\u0062":2}]}"#] {
            assert!(object(twice).is_err_and(|error| error.contains("twice")), "{twice}");
        }
    }

    #[test]
    fn nesting_ends_at_32() {
        let nested = |depth: usize| format!("{{\"a\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(object(&nested(31)).is_ok());
        assert!(object(&nested(32)).is_err_and(|error| error.contains("deeper")));
        assert!(object(&nested(100_000)).is_err());
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in ["", "[]", "1", "null", "\"a\"", "{", "{} {}", "{\"a\":1e400}", "{\"a\":\"\\ud800\"}", "{\"a\":NaN}"] {
            assert!(object(text).is_err(), "{text}");
        }
    }
}
