//! One field of a value, by its path, without building anything.
//!
//! The value is serialized, but into nothing: what does not lie on the path is passed over before it is formatted.

use core::net::IpAddr;
use std::fmt;

use event::Text;
use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

/// The value of a field, or one element of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A number.
    Number(i128),
    /// A truth value.
    Bool(bool),
    /// Text, as the bytes that it stands for.
    Text(&'a [u8]),
    /// An address; one of IPv4 that is written as one of IPv6 is one of IPv4.
    Address(IpAddr),
}

/// Shows the values at a path: none if there is nothing, one, or each element of a list, or only the one `at` a place.
pub(crate) fn pick(value: &impl Serialize, path: &[Box<str>], at: Option<usize>, visit: &mut impl FnMut(Value<'_>)) {
    // What this serializer cannot take is not there.
    let _ = value.serialize(Picker { path, at, visit });
}

/// At a value; `path` leads on from here.
struct Picker<'p, 'v, V> {
    path: &'p [Box<str>],
    at: Option<usize>,
    visit: &'v mut V,
}

impl<V: FnMut(Value<'_>)> Picker<'_, '_, V> {
    fn show(self, value: Value<'_>) -> Result<(), fmt::Error> {
        if self.path.is_empty() {
            (self.visit)(value);
        }
        Ok(())
    }

    fn number(self, number: impl Into<i128>) -> Result<(), fmt::Error> {
        self.show(Value::Number(number.into()))
    }

    /// Goes on with the one thing in a value that has one, as an enum's variant.
    fn only(self, name: &str, value: &(impl Serialize + ?Sized)) -> Result<(), fmt::Error> {
        match self.path.split_first() {
            Some((first, rest)) if **first == *name => value.serialize(Picker { path: rest, ..self }),
            _ => Ok(()),
        }
    }
}

impl<'p, 'v, V: FnMut(Value<'_>)> Serializer for Picker<'p, 'v, V> {
    type Ok = ();
    type Error = fmt::Error;
    type SerializeSeq = Inside<'p, 'v, V>;
    type SerializeTuple = Inside<'p, 'v, V>;
    type SerializeTupleStruct = Inside<'p, 'v, V>;
    type SerializeTupleVariant = Inside<'p, 'v, V>;
    type SerializeMap = Inside<'p, 'v, V>;
    type SerializeStruct = Inside<'p, 'v, V>;
    type SerializeStructVariant = Inside<'p, 'v, V>;

    fn serialize_bool(self, value: bool) -> Result<(), fmt::Error> {
        self.show(Value::Bool(value))
    }

    fn serialize_i8(self, value: i8) -> Result<(), fmt::Error> {
        self.number(value)
    }

    fn serialize_i16(self, value: i16) -> Result<(), fmt::Error> {
        self.number(value)
    }

    fn serialize_i32(self, value: i32) -> Result<(), fmt::Error> {
        self.number(value)
    }

    fn serialize_i64(self, value: i64) -> Result<(), fmt::Error> {
        self.number(value)
    }

    fn serialize_u8(self, value: u8) -> Result<(), fmt::Error> {
        self.number(value)
    }

    fn serialize_u16(self, value: u16) -> Result<(), fmt::Error> {
        self.number(value)
    }

    fn serialize_u32(self, value: u32) -> Result<(), fmt::Error> {
        self.number(value)
    }

    fn serialize_u64(self, value: u64) -> Result<(), fmt::Error> {
        self.number(value)
    }

    fn serialize_f32(self, _: f32) -> Result<(), fmt::Error> {
        Ok(())
    }

    fn serialize_f64(self, _: f64) -> Result<(), fmt::Error> {
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), fmt::Error> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), fmt::Error> {
        // Text is written with its backslashes and strange bytes escaped; what is no such form is itself.
        match value.contains('\\').then(|| Text::parse(value)).flatten() {
            Some(text) => self.show(Value::Text(text.as_bytes())),
            None => self.show(Value::Text(value.as_bytes())),
        }
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), fmt::Error> {
        self.show(Value::Text(value))
    }

    fn serialize_none(self) -> Result<(), fmt::Error> {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), fmt::Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), fmt::Error> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), fmt::Error> {
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), fmt::Error> {
        self.show(Value::Text(variant.as_bytes()))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), fmt::Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), fmt::Error> {
        self.only(variant, value)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Inside<'p, 'v, V>, fmt::Error> {
        Ok(Inside::new(self))
    }

    fn serialize_tuple(self, _: usize) -> Result<Inside<'p, 'v, V>, fmt::Error> {
        Ok(Inside::new(self))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Inside<'p, 'v, V>, fmt::Error> {
        Ok(Inside::new(self))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Inside<'p, 'v, V>, fmt::Error> {
        Ok(Inside::new(self).below(variant))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Inside<'p, 'v, V>, fmt::Error> {
        Ok(Inside::new(self))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Inside<'p, 'v, V>, fmt::Error> {
        Ok(Inside::new(self))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Inside<'p, 'v, V>, fmt::Error> {
        Ok(Inside::new(self).below(variant))
    }
}

/// In a list, a map or a struct.
struct Inside<'p, 'v, V> {
    picker: Picker<'p, 'v, V>,
    /// Whether the path leads in here at all.
    is_on_path: bool,
    /// Whether the key that was read last is the next of the path.
    is_key_next: bool,
    /// How many elements came before.
    position: usize,
}

impl<'p, 'v, V: FnMut(Value<'_>)> Inside<'p, 'v, V> {
    fn new(picker: Picker<'p, 'v, V>) -> Inside<'p, 'v, V> {
        Inside { picker, is_on_path: true, is_key_next: false, position: 0 }
    }

    /// What is written below the name of a variant.
    fn below(mut self, variant: &str) -> Inside<'p, 'v, V> {
        match self.picker.path.split_first() {
            Some((first, rest)) if **first == *variant => self.picker.path = rest,
            _ => self.is_on_path = false,
        }
        self
    }

    fn field(&mut self, key: &str, value: &(impl Serialize + ?Sized)) -> Result<(), fmt::Error> {
        match self.picker.path.split_first() {
            Some((first, rest)) if self.is_on_path && **first == *key => self.go_on(rest, value),
            _ => Ok(()),
        }
    }

    fn element(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), fmt::Error> {
        let is_wanted = self.is_on_path && self.picker.at.is_none_or(|at| at == self.position);
        self.position += 1;
        if is_wanted { self.go_on(self.picker.path, value) } else { Ok(()) }
    }

    fn go_on(&mut self, path: &'p [Box<str>], value: &(impl Serialize + ?Sized)) -> Result<(), fmt::Error> {
        value.serialize(Picker { path, at: self.picker.at, visit: self.picker.visit })
    }
}

macro_rules! elements {
    ($($trait:ident::$element:ident),*) => { $(
        impl<V: FnMut(Value<'_>)> $trait for Inside<'_, '_, V> {
            type Ok = ();
            type Error = fmt::Error;

            fn $element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), fmt::Error> {
                self.element(value)
            }

            fn end(self) -> Result<(), fmt::Error> {
                Ok(())
            }
        }
    )* };
}

elements! {
    SerializeSeq::serialize_element, SerializeTuple::serialize_element, SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
}

macro_rules! fields {
    ($($trait:ident),*) => { $(
        impl<V: FnMut(Value<'_>)> $trait for Inside<'_, '_, V> {
            type Ok = ();
            type Error = fmt::Error;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), fmt::Error> {
                self.field(key, value)
            }

            fn end(self) -> Result<(), fmt::Error> {
                Ok(())
            }
        }
    )* };
}

fields! { SerializeStruct, SerializeStructVariant }

impl<V: FnMut(Value<'_>)> SerializeMap for Inside<'_, '_, V> {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), fmt::Error> {
        self.is_key_next = false;
        if let (true, Some(next)) = (self.is_on_path, self.picker.path.first()) {
            let mut is_next = false;
            let _ = key.serialize(Picker {
                path: &[],
                at: None,
                visit: &mut |key: Value<'_>| is_next = key == Value::Text(next.as_bytes()),
            });
            self.is_key_next = is_next;
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), fmt::Error> {
        match self.picker.path.split_first() {
            Some((_, rest)) if self.is_key_next => self.go_on(rest, value),
            _ => Ok(()),
        }
    }

    fn end(self) -> Result<(), fmt::Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Serialize;

    use super::*;

    #[derive(Serialize)]
    struct Whole {
        #[serde(with = "event::decimal")]
        big: u64,
        small: i64,
        yes: bool,
        none: Option<u8>,
        text: Text,
        #[serde(flatten)]
        flat: Part,
        parts: Vec<Part>,
        map: BTreeMap<String, u8>,
        either: Either,
        phase: event::Phase,
    }

    #[derive(Serialize)]
    struct Part {
        names: Vec<Text>,
    }

    #[derive(Serialize)]
    enum Either {
        One(Part),
    }

    fn picked(path: &str, at: Option<usize>) -> Vec<String> {
        let part = |names: &[&str]| Part { names: names.iter().map(|&name| Text::from(name)).collect() };
        let whole = Whole {
            big: u64::MAX,
            small: -3,
            yes: true,
            none: None,
            text: Text::new(b"a\\\xff"),
            flat: part(&["x", "y"]),
            parts: vec![part(&["p"]), part(&["q", "r"])],
            map: BTreeMap::from([("k".to_owned(), 5)]),
            either: Either::One(part(&["e"])),
            phase: event::Phase::RuntimeInit,
        };
        let path: Vec<Box<str>> = path.split('.').map(Box::from).collect();
        let mut found = Vec::new();
        pick(&whole, &path, at, &mut |value| {
            found.push(match value {
                Value::Text(bytes) => Text::new(bytes).to_string(),
                other => format!("{other:?}"),
            });
        });
        found
    }

    #[test]
    fn each_shape_is_found_by_its_path() {
        for (path, expected) in [
            ("big", vec!["18446744073709551615"]),
            ("small", vec!["Number(-3)"]),
            ("yes", vec!["Bool(true)"]),
            ("none", vec![]),
            ("text", vec!["a\\\\\\xff"]),
            ("names", vec!["x", "y"]),
            ("parts.names", vec!["p", "q", "r"]),
            ("map.k", vec!["Number(5)"]),
            ("either.One.names", vec!["e"]),
            ("phase", vec!["runtime-init"]),
            ("parts", vec![]),
            ("small.more", vec![]),
            ("absent", vec![]),
        ] {
            assert_eq!(picked(path, None), expected, "{path}");
        }
    }

    #[test]
    fn an_element_is_found_by_its_place() {
        assert_eq!(picked("names", Some(1)), ["y"]);
        assert_eq!(picked("names", Some(2)), Vec::<String>::new());
    }
}
