//! Which field of a JSON object, or which parameter of an address, cannot be read, and why.
//!
//! The errors of serde's formats are sentences. Here the same types are read from a value that is
//! parsed already, with an error that keeps what serde knows: a missing field's name, an unknown
//! one with those there are. It reads parameters, and what a faster reader has refused; nothing
//! else.

use std::fmt::{self, Display};

use serde::de::value::{
    self, MapAccessDeserializer, MapDeserializer, SeqDeserializer, StrDeserializer,
};
use serde::de::{self, DeserializeOwned, Deserializer, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Number, Value};
use serde_path_to_error::{Path, Segment};

use crate::refusal::Refusal;

/// What is wrong with a value, and which field it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    pub fault: Fault,
    pub text: String,
}

/// What serde knows of an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A field is not there.
    Missing(&'static str),
    /// A field that is not among those there are.
    Unknown { name: String, known: &'static [&'static str] },
    /// A value that does not fit: where it is says the path.
    Value,
}

impl Fault {
    fn name(&self) -> Option<&str> {
        match self {
            Self::Missing(name) => Some(name),
            Self::Unknown { name, .. } => Some(name),
            Self::Value => None,
        }
    }
}

impl Display for FieldError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl std::error::Error for FieldError {}

/// The texts are those of serde.
impl de::Error for FieldError {
    fn custom<T: Display>(text: T) -> Self {
        Self { fault: Fault::Value, text: text.to_string() }
    }

    fn missing_field(name: &'static str) -> Self {
        let text = value::Error::missing_field(name).to_string();
        Self { fault: Fault::Missing(name), text }
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Self {
        let text = value::Error::unknown_field(name, known).to_string();
        Self { fault: Fault::Unknown { name: name.to_owned(), known }, text }
    }
}

/// Why a `T` cannot be read from this JSON, which serde_json has refused with `error`.
pub fn refusal<T: DeserializeOwned>(json: &[u8], error: &serde_json::Error) -> Refusal {
    let Ok(value) = serde_json::from_slice::<Value>(json) else {
        return Refusal::malformed(error.to_string());
    };
    match serde_path_to_error::deserialize::<_, T>(Reader(&value)) {
        Err(error) => about_field(&error),
        // Such as a field that is there twice, of which a parsed value has one.
        Ok(_) => Refusal::malformed(error.to_string()),
    }
}

/// Reads parameters, which are all text.
pub fn from_pairs<T: DeserializeOwned>(pairs: &[(String, String)]) -> Result<T, Refusal> {
    let pairs = pairs.iter().map(|(name, text)| (name.as_str(), Parameter(text)));
    let read = serde_path_to_error::deserialize(MapDeserializer::<_, FieldError>::new(pairs));
    read.map_err(|error| about_field(&error))
}

/// What serde knows of a value that is no `T`; none where it is one.
pub fn fault<T: DeserializeOwned>(value: &Value) -> Option<FieldError> {
    T::deserialize(Reader(value)).err()
}

fn about_field(error: &serde_path_to_error::Error<FieldError>) -> Refusal {
    let FieldError { fault, text } = error.inner();
    match (field(error.path(), fault), fault) {
        (None, _) => Refusal::malformed(text.as_str()),
        (Some(field), Fault::Value) => {
            let text = format!("{field}: {text}");
            Refusal::invalid(field, text)
        }
        (Some(field), Fault::Missing(_) | Fault::Unknown { .. }) => {
            Refusal::invalid(field, text.as_str())
        }
    }
}

/// `inner.name`; none where the value as a whole is meant.
fn field(path: &Path, fault: &Fault) -> Option<String> {
    let last = match path.iter().next_back() {
        Some(Segment::Map { key }) => Some(key.as_str()),
        _ => None,
    };
    let whole = path.iter().next().is_none();
    match fault.name() {
        None if whole => None,
        None => Some(path.to_string()),
        Some(name) if whole => Some(name.to_owned()),
        // Of an unknown field the path knows the name, of a missing one it does not.
        Some(name) if last == Some(name) => Some(path.to_string()),
        Some(name) => Some(format!("{path}.{name}")),
    }
}

/// A value of JSON.
#[derive(Clone, Copy)]
struct Reader<'de>(&'de Value);

impl<'de> IntoDeserializer<'de, FieldError> for Reader<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = FieldError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => visit_number(number, visitor),
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => {
                SeqDeserializer::new(items.iter().map(Reader)).deserialize_any(visitor)
            }
            Value::Object(fields) => map(fields).deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, FieldError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FieldError> {
        match self.0 {
            Value::String(text) => visitor.visit_enum(named(text)),
            Value::Object(fields) => visitor.visit_enum(MapAccessDeserializer::new(map(fields))),
            _ => {
                let found = Unexpected::Other("neither text nor an object");
                Err(de::Error::invalid_type(found, &"one of the known names"))
            }
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

fn map<'de>(
    fields: &'de Map<String, Value>,
) -> MapDeserializer<'de, impl Iterator<Item = (&'de str, Reader<'de>)>, FieldError> {
    MapDeserializer::new(fields.iter().map(|(name, value)| (name.as_str(), Reader(value))))
}

fn named(text: &str) -> StrDeserializer<'_, FieldError> {
    text.into_deserializer()
}

fn visit_number<'de, V: Visitor<'de>>(number: &Number, visitor: V) -> Result<V::Value, FieldError> {
    if let Some(value) = number.as_u64() {
        return visitor.visit_u64(value);
    }
    match number.as_i64() {
        Some(value) => visitor.visit_i64(value),
        None => visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN)),
    }
}

/// A parameter of an address: text, also where it says a number.
struct Parameter<'de>(&'de str);

impl<'de> IntoDeserializer<'de, FieldError> for Parameter<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! read_as {
    ($($method:ident: $visit:ident),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
            match self.0.parse() {
                Ok(value) => visitor.$visit(value),
                Err(error) => Err(de::Error::custom(error)),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Parameter<'de> {
    type Error = FieldError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, FieldError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FieldError> {
        visitor.visit_enum(named(self.0))
    }

    read_as! {
        deserialize_bool: visit_bool,
        deserialize_u8: visit_u8,
        deserialize_u16: visit_u16,
        deserialize_u32: visit_u32,
        deserialize_u64: visit_u64,
        deserialize_i8: visit_i8,
        deserialize_i16: visit_i16,
        deserialize_i32: visit_i32,
        deserialize_i64: visit_i64,
        deserialize_f32: visit_f32,
        deserialize_f64: visit_f64
    }

    forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct
        identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its type is looked at")]
    struct Outer {
        number: u8,
        inner: Option<Inner>,
        #[serde(default)]
        list: Vec<Kind>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only its type is looked at")]
    struct Inner {
        name: String,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case", deny_unknown_fields)]
    #[expect(dead_code, reason = "only its type is looked at")]
    enum Kind {
        Plain,
        Mark { dscp: u8 },
    }

    #[test]
    fn the_field_is_known_and_the_text_is_that_of_serde() {
        let check = |json: &str, field: Option<&str>, text: &str| {
            let error = serde_json::from_str::<Outer>(json).unwrap_err();
            let refusal = refusal::<Outer>(json.as_bytes(), &error);
            assert_eq!(refusal.field.as_deref(), field, "{json}");
            assert!(refusal.text.contains(text), "{json}: {refusal}");
        };
        check("{}", Some("number"), "missing field `number`");
        check(r#"{"number":"x"}"#, Some("number"), "number: invalid type: string \"x\"");
        check(r#"{"number":-1}"#, Some("number"), "number: invalid value: integer `-1`");
        check(r#"{"number":1.5}"#, Some("number"), "floating point");
        check(r#"{"number":1,"more":2}"#, Some("more"), "unknown field `more`, expected one of");
        check(r#"{"number":1,"inner":{}}"#, Some("inner.name"), "missing field `name`");
        check(r#"{"number":1,"inner":{"name":4}}"#, Some("inner.name"), "inner.name: invalid type");
        check(r#"{"number":1,"list":["plain","odd"]}"#, Some("list[1]"), "unknown variant `odd`");
        check(r#"{"number":1,"list":[{"mark":{}}]}"#, Some("list[0].mark.dscp"), "missing field");
        check(r#"{"number":1,"list":[4]}"#, Some("list[0]"), "one of the known names");
        check(r#"{"number":1,"number":2}"#, None, "duplicate field `number`");
        check("[1", None, "EOF");
    }

    #[test]
    fn parameters_are_read_from_text() {
        #[derive(Debug, PartialEq, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Wanted {
            limit: Option<u8>,
            sort: Option<Sort>,
            #[serde(default)]
            all: bool,
        }
        #[derive(Debug, PartialEq, Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Sort {
            BytesOut,
        }
        let read = |pairs: &[(&str, &str)]| {
            let owned = pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
            from_pairs::<Wanted>(&owned.collect::<Vec<_>>())
        };
        let wanted = Wanted { limit: Some(5), sort: Some(Sort::BytesOut), all: true };
        assert_eq!(read(&[("limit", "5"), ("sort", "bytes_out"), ("all", "true")]), Ok(wanted));
        for (name, text) in [("limit", "x"), ("limit", "256"), ("sort", "rate"), ("of", "1")] {
            assert_eq!(read(&[(name, text)]).unwrap_err().field.as_deref(), Some(name), "{text}");
        }
        let twice = read(&[("limit", "1"), ("limit", "2")]).unwrap_err();
        assert!(twice.text.contains("duplicate field `limit`"), "{twice}");
    }
}
