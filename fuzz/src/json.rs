//! Changes to JSON that leave it JSON: most of what a fuzzer does to bytes only finds that they are JSON no more.

use serde_json::{Map, Value};

/// How a fuzzer changes bytes without knowing what they are: the first so many of them in place; says how many they are
/// then.
pub type Plain = fn(bytes: &mut [u8], size: usize, most: usize) -> usize;

/// Changes the first `size` bytes in place, at most to `most`, and says how many they are then.
pub fn mutate(bytes: &mut [u8], size: usize, most: usize, seed: u32, plain: Plain) -> usize {
    let mut dice = Dice(u64::from(seed) << 1 | 1);
    let value = if dice.below(4) == 0 { None } else { serde_json::from_slice::<Value>(&bytes[..size]).ok() };
    let Some(mut value) = value else { return plain(bytes, size, most) };
    for _ in 0..=dice.below(3) {
        change(&mut value, &mut dice, plain);
    }
    let json = value.to_string();
    match bytes.get_mut(..json.len()).filter(|_| json.len() <= most) {
        Some(room) => {
            room.copy_from_slice(json.as_bytes());
            json.len()
        }
        None => plain(bytes, size, most),
    }
}

/// A sequence that its seed decides.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound.max(1)
    }

    fn one_of<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        choices.get(self.below(choices.len()))
    }
}

fn change(value: &mut Value, dice: &mut Dice, plain: Plain) {
    let mut places = Vec::new();
    list_places(value, String::new(), &mut places);
    let (Some(from), Some(to)) = (dice.one_of(&places).cloned(), dice.one_of(&places).cloned()) else { return };
    let other = value.pointer(&from).cloned().unwrap_or_default();
    let Some(place) = value.pointer_mut(&to) else { return };
    match dice.below(6) {
        0 => *place = other,
        1 => *place = odd_value(dice),
        2 => shrink(place, dice),
        3 => grow(place, other, dice),
        _ => nudge(place, dice, plain),
    }
}

fn list_places(value: &Value, place: String, places: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| list_places(item, format!("{place}/{at}"), places));
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                list_places(field, format!("{place}/{name}"), places);
            }
        }
        _ => {}
    }
    places.push(place);
}

fn odd_value(dice: &mut Dice) -> Value {
    let long = "a".repeat(300);
    let texts =
        ["", "0", "18446744073709551615", "-1", "\\", "\\x80", "\\xff", "\u{1b}[2J", "\u{202e}|`<b>", " ", "/", &long];
    match dice.below(6) {
        0 => Value::Null,
        1 => Value::Bool(dice.below(2) == 0),
        2 => (*dice.one_of(&[0, 1, 255, 256, u64::from(u32::MAX), 1 << 32, 1 << 63, u64::MAX]).unwrap_or(&0)).into(),
        3 => (*dice.one_of(&[-1, i64::MIN]).unwrap_or(&-1)).into(),
        _ => (*dice.one_of(&texts).unwrap_or(&"")).into(),
    }
}

fn shrink(place: &mut Value, dice: &mut Dice) {
    match place {
        Value::Array(items) if !items.is_empty() => {
            items.remove(dice.below(items.len()));
        }
        Value::Object(fields) => {
            let names: Vec<String> = fields.keys().cloned().collect();
            if let Some(name) = dice.one_of(&names) {
                fields.remove(name);
            }
        }
        other => *other = Value::Null,
    }
}

fn grow(place: &mut Value, with: Value, dice: &mut Dice) {
    match place {
        Value::Array(items) => items.insert(dice.below(items.len() + 1), with),
        Value::Object(fields) => {
            let name = with.as_str().unwrap_or("new").to_owned();
            fields.insert(name, with);
        }
        Value::String(text) => *text = text.repeat(2),
        other => *other = Value::Object(Map::from_iter([("new".to_owned(), with)])),
    }
}

fn nudge(place: &mut Value, dice: &mut Dice, plain: Plain) {
    match place {
        Value::String(text) => {
            let mut bytes = text.clone().into_bytes();
            let size = bytes.len();
            bytes.resize(size + 64, 0);
            let size = plain(&mut bytes, size, size + 64);
            *text = String::from_utf8_lossy(&bytes[..size]).into_owned();
        }
        Value::Number(number) => {
            let number = number.as_u64().unwrap_or_default();
            *place = if dice.below(2) == 0 { number.wrapping_add(1) } else { number.wrapping_sub(1) }.into();
        }
        Value::Bool(truth) => *truth = !*truth,
        _ => *place = odd_value(dice),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unchanged(_: &mut [u8], size: usize, _: usize) -> usize {
        size
    }

    #[test]
    fn json_stays_json_and_within_its_bounds() {
        let json = br#"{"a": [1, "two", null], "b/c": {"~": true}}"#;
        let mut different = std::collections::BTreeSet::new();
        for seed in 0..2000 {
            let mut bytes = vec![0; 120];
            bytes[..json.len()].copy_from_slice(json);

            let size = mutate(&mut bytes, json.len(), 100, seed, unchanged);

            assert!(size <= 100, "{seed}");
            assert!(serde_json::from_slice::<Value>(&bytes[..size]).is_ok(), "{seed}");
            different.insert(bytes[..size].to_vec());
        }
        assert!(different.len() > 500, "only {}", different.len());
    }

    #[test]
    fn what_is_no_json_is_left_to_the_plain_way() {
        let mut bytes = *b"{\"a\"....";

        let size = mutate(&mut bytes, 4, 8, 7, |bytes, size, _| {
            bytes[size] = b'!';
            size + 1
        });

        assert_eq!(&bytes[..size], b"{\"a\"!");
    }
}
