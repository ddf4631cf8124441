//! From the JSON Schema of a type to the fields that it has.

use event::decimal::Digits;
use serde_json::Value;

use super::{Field, Origin, Type};

/// How deep types may be nested; none of ours is.
const MAX_DEPTH: usize = 8;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) fields: Vec<Field>,
    /// Paths at which is something that conditions have no type for.
    pub(super) unnamed: Vec<String>,
}

/// What one place of a schema holds.
enum Shape<'s> {
    Nested,
    List(&'s Value),
    Scalar(Type, Vec<String>),
    Unknown,
}

/// Where a field is, and what was said on the way to it.
#[derive(Clone, Default)]
struct Place {
    path: Vec<Box<str>>,
    doc: String,
    example: Option<String>,
    is_list: bool,
}

impl Found {
    /// The fields of a struct.
    pub(super) fn groups(&mut self, schema: &schemars::Schema) {
        self.below(schema.as_value(), schema.as_value(), &Place::default(), &[]);
    }

    /// The fields of each variant of an enum whose tag is `kind`, below the name of the variant.
    pub(super) fn variants(&mut self, schema: &schemars::Schema) {
        let root = schema.as_value();
        for variant in list(root, "oneOf") {
            match variant["properties"]["kind"]["const"].as_str() {
                Some(kind) => {
                    let place = Place { path: vec![kind.into()], ..Place::default() };
                    self.below(root, variant, &place, &["kind"]);
                }
                None => self.unnamed.push(variant.to_string()),
            }
        }
    }

    fn below(&mut self, root: &Value, schema: &Value, place: &Place, without: &[&str]) {
        if place.path.len() > MAX_DEPTH {
            self.unnamed.push(place.path.join("."));
            return;
        }
        for (name, property) in properties(root, schema, MAX_DEPTH) {
            if without.contains(&name) {
                continue;
            }
            let mut path = place.path.clone();
            path.push(name.into());
            // The groups of what every event has are explained by their fields.
            let outer = if place.path.is_empty() { "" } else { &place.doc };
            let own = property["description"].as_str().unwrap_or_default();
            let doc = together(outer, own);
            let example = list(property, "examples").first().map(|example| match example {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            self.property(root, property, Place { path, doc, example, is_list: place.is_list });
        }
    }

    fn property(&mut self, root: &Value, property: &Value, place: Place) {
        let schema = without_null(root, property);
        match shape(root, schema) {
            Shape::Nested => {
                let place = if place.path.len() == 1 { Place { doc: String::new(), ..place } } else { place };
                self.below(root, schema, &place, &[]);
            }
            Shape::List(items) => self.property(root, items, Place { is_list: true, ..place }),
            Shape::Scalar(of, values) => {
                let name = place.path.join(".");
                let example = example(&name, of, place.is_list, place.example.or_else(|| values.first().cloned()));
                let origin = Origin::Path(place.path.into_boxed_slice());
                self.fields.push(Field { name, of, is_list: place.is_list, values, doc: place.doc, example, origin });
            }
            Shape::Unknown => self.unnamed.push(place.path.join(".")),
        }
    }
}

/// `The parent process. Of it, the thread-group id.`
fn together(outer: &str, own: &str) -> String {
    let own = own.split_whitespace().collect::<Vec<_>>().join(" ");
    if outer.is_empty() || own.is_empty() {
        return outer.to_owned() + &own;
    }
    let mut chars = own.chars();
    let first = chars.next().map(|first| first.to_lowercase().to_string()).unwrap_or_default();
    format!("{outer} Of it, {first}{}", chars.as_str())
}

/// What a `$ref` leads to, else the schema itself.
fn resolved<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    let name = schema["$ref"].as_str().and_then(|at| at.strip_prefix("#/$defs/"));
    name.map_or(schema, |name| &root["$defs"][name])
}

/// The schema of what is there if it is there at all.
fn without_null<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    let alternatives = list(schema, "anyOf");
    match alternatives.as_slice() {
        [one, null] if null["type"] == "null" => resolved(root, one),
        _ => resolved(root, schema),
    }
}

fn list<'s>(schema: &'s Value, key: &str) -> Vec<&'s Value> {
    schema[key].as_array().into_iter().flatten().collect()
}

fn shape<'s>(root: &'s Value, schema: &'s Value) -> Shape<'s> {
    let values = words(root, schema, MAX_DEPTH);
    if !values.is_empty() {
        return Shape::Scalar(Type::Text, values);
    }
    let kinds = schema["type"].as_array().map_or_else(|| vec![&schema["type"]], |kinds| kinds.iter().collect());
    match kinds.iter().filter_map(|kind| kind.as_str()).find(|&kind| kind != "null") {
        Some("string") if schema["pattern"] == Digits::PATTERN => Shape::Scalar(Type::Number, Vec::new()),
        Some("string") => Shape::Scalar(Type::Text, Vec::new()),
        Some("integer") => Shape::Scalar(Type::Number, Vec::new()),
        Some("boolean") => Shape::Scalar(Type::Bool, Vec::new()),
        Some("array") => {
            Shape::List(if schema["items"].is_object() { &schema["items"] } else { &schema["prefixItems"][0] })
        }
        _ if !properties(root, schema, MAX_DEPTH).is_empty() => Shape::Nested,
        _ => Shape::Unknown,
    }
}

/// The words that an enum without contents can be; none if it is anything else.
fn words(root: &Value, schema: &Value, depth: usize) -> Vec<String> {
    if let Some(word) = schema["const"].as_str() {
        return vec![word.to_owned()];
    }
    let mut words: Vec<String> =
        list(schema, "enum").iter().filter_map(|word| word.as_str()).map(str::to_owned).collect();
    if depth > 0 {
        for variant in list(schema, "oneOf") {
            let below = self::words(root, resolved(root, variant), depth - 1);
            if below.is_empty() {
                return Vec::new();
            }
            words.extend(below);
        }
    }
    words
}

/// The properties of a struct, or of all variants of an enum together, in the order in which they were written down:
/// optional ones last.
fn properties<'s>(root: &'s Value, schema: &'s Value, depth: usize) -> Vec<(&'s str, &'s Value)> {
    if depth == 0 {
        return Vec::new();
    }
    let required = list(schema, "required");
    let place = |name: &str| required.iter().position(|required| *required == name).unwrap_or(usize::MAX);
    let own = schema["properties"].as_object().into_iter().flatten();
    let mut found: Vec<(&str, &Value)> = own.map(|(name, property)| (name.as_str(), property)).collect();
    found.sort_by_key(|(name, _)| place(name));
    let referred = schema["$ref"].is_string().then(|| resolved(root, schema));
    let parts = ["allOf", "anyOf", "oneOf"].into_iter().flat_map(|key| list(schema, key));
    for part in referred.into_iter().chain(parts) {
        for (name, property) in properties(root, part, depth - 1) {
            if !found.iter().any(|(known, _)| *known == name) {
                found.push((name, property));
            }
        }
    }
    found
}

/// A condition with the field, with a value that it can have if one is known.
fn example(name: &str, of: Type, is_list: bool, value: Option<String>) -> String {
    match (of, value) {
        (_, Some(value)) if is_list => format!("{name} intersects ({value})"),
        (_, Some(value)) => format!("{name} = {value}"),
        (Type::Number, None) if !is_list => format!("{name} > 0"),
        (Type::Bool, None) if !is_list => format!("{name} = true"),
        _ => format!("{name} exists"),
    }
}
