//! Values that are text in JSON, without the way through JSON: in WebAssembly that takes longer than all else a small tool does
//! with its text.
use std::fmt;

use serde::{
    Serialize, Serializer,
    ser::{Error, Impossible},
};

/// The text that `value` is in JSON; none when it is anything else there.
pub(crate) fn of(value: &impl Serialize) -> Option<String> {
    value.serialize(Text).ok()
}

struct Text;

/// It is no text.
#[derive(Debug)]
struct NoText;

impl fmt::Display for NoText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no text")
    }
}

impl std::error::Error for NoText {}

impl Error for NoText {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

macro_rules! no_text {
    ($($method:ident($kind:ty))*) => {
        $(fn $method(self, _: $kind) -> Result<String, NoText> {
            Err(NoText)
        })*
    };
}

impl Serializer for Text {
    type Ok = String;
    type Error = NoText;
    type SerializeSeq = Impossible<String, NoText>;
    type SerializeTuple = Impossible<String, NoText>;
    type SerializeTupleStruct = Impossible<String, NoText>;
    type SerializeTupleVariant = Impossible<String, NoText>;
    type SerializeMap = Impossible<String, NoText>;
    type SerializeStruct = Impossible<String, NoText>;
    type SerializeStructVariant = Impossible<String, NoText>;

    fn serialize_str(self, text: &str) -> Result<String, NoText> {
        Ok(text.to_owned())
    }

    fn serialize_char(self, char: char) -> Result<String, NoText> {
        Ok(char.to_string())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, name: &'static str) -> Result<String, NoText> {
        Ok(name.to_owned())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<String, NoText> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<String, NoText> {
        value.serialize(self)
    }

    no_text! {
        serialize_bool(bool)
        serialize_i8(i8)
        serialize_i16(i16)
        serialize_i32(i32)
        serialize_i64(i64)
        serialize_i128(i128)
        serialize_u8(u8)
        serialize_u16(u16)
        serialize_u32(u32)
        serialize_u64(u64)
        serialize_u128(u128)
        serialize_f32(f32)
        serialize_f64(f64)
        serialize_bytes(&[u8])
        serialize_unit_struct(&'static str)
    }

    fn serialize_none(self) -> Result<String, NoText> {
        Err(NoText)
    }

    fn serialize_unit(self) -> Result<String, NoText> {
        Err(NoText)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<String, NoText> {
        Err(NoText)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, NoText> {
        Err(NoText)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, NoText> {
        Err(NoText)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, NoText> {
        Err(NoText)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, NoText> {
        Err(NoText)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, NoText> {
        Err(NoText)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, NoText> {
        Err(NoText)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, NoText> {
        Err(NoText)
    }
}

#[cfg(test)]
mod tests {
    use std::{borrow::Cow, net::Ipv4Addr, path::Path};

    use serde_json::{Value, json};

    use super::*;

    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    enum Kind {
        AllLower,
        Of(u8),
        Named { text: &'static str },
        Pair(u8, u8),
    }

    #[derive(Serialize)]
    struct Newtype<T>(T);

    /// As JSON has it.
    fn check(value: impl Serialize) {
        let expected = match serde_json::to_value(&value).unwrap() {
            Value::String(text) => Some(text),
            _ => None,
        };
        assert_eq!(of(&value), expected);
    }

    #[test]
    fn what_is_text_in_json_is_that_text_and_nothing_else_is() {
        check("a \"b\"\n\u{1f600}");
        check(String::new());
        check(Cow::Borrowed("cow"));
        check('c');
        check(Some("some"));
        check(Newtype(Some("deep")));
        check(Newtype(1));
        check(Kind::AllLower);
        check(Kind::Of(1));
        check(Kind::Named { text: "x" });
        check(Kind::Pair(1, 2));
        check(Ipv4Addr::LOCALHOST);
        check(Path::new("/a"));
        check(json!("value"));
        check(json!({"a": "b"}));
        check(json!(["a"]));
        check(None::<&str>);
        check(());
        check(true);
        check(-1_i128);
        check(1.5);
        check(("a", "b"));
        check(b"bytes");
    }
}
