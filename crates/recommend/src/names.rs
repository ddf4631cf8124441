//! What is of chance in the names of files that programs make.

/// Where programs make files under names of chance.
pub(crate) const TEMPORARY: [&str; 3] = ["/dev/shm/", "/tmp/", "/var/tmp/"];
/// A number of fewer digits is a version, or counts what is always there.
const DIGITS: usize = 3;

/// A part of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part<'n> {
    /// The same each time.
    Fixed(&'n str),
    /// A number.
    Number(&'n str),
    /// Letters and digits without a meaning.
    Chance,
}

/// The parts of a name, one after another.
pub(crate) fn parts(name: &str) -> impl Iterator<Item = Part<'_>> {
    let ends = name.char_indices().filter(|(_, c)| !c.is_ascii_alphanumeric());
    let cuts = ends.flat_map(|(at, c)| [at, at + c.len_utf8()]).chain([name.len()]);
    let mut begin = 0;
    let runs = cuts.map(move |end| {
        let run = &name[begin..end];
        begin = end;
        run
    });
    runs.filter(|run| !run.is_empty()).map(part)
}

fn part(run: &str) -> Part<'_> {
    let has = |is: fn(&u8) -> bool| run.bytes().any(|byte| is(&byte));
    let mixed = [u8::is_ascii_digit, u8::is_ascii_lowercase, u8::is_ascii_uppercase];
    let kinds = mixed.iter().filter(|is| has(**is)).count();
    if kinds == 1 && has(u8::is_ascii_digit) {
        Part::Number(run)
    } else if run.len() >= 6 && kinds >= 2 {
        Part::Chance
    } else {
        Part::Fixed(run)
    }
}

/// Whether a file with such a name is likely to have another the next time.
pub(crate) fn is_of_chance(name: &[u8]) -> bool {
    let Ok(name) = std::str::from_utf8(name) else { return false };
    parts(name).any(|part| match part {
        Part::Fixed(_) => false,
        Part::Number(digits) => digits.len() >= DIGITS,
        Part::Chance => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_of_chance_if_it_has_a_long_number_or_letters_without_a_meaning() {
        for (name, expected) in [
            ("nginx.pid", false),
            ("php8.2-fpm.pid", false),
            ("log.1", false),
            ("app.12345.tmp", true),
            ("sedaB3dE9", true),
            ("conf-aB3dE9.tmp", true),
            ("\u{e4}\u{f6}.txt", false),
            ("", false),
        ] {
            assert_eq!(is_of_chance(name.as_bytes()), expected, "{name}");
        }
        assert!(!is_of_chance(b"\xff12345"));
    }

    #[test]
    fn the_parts_of_a_name_are_all_of_it() {
        let fixed: String = parts("a-\u{e4}b.c_d")
            .map(|part| match part {
                Part::Fixed(text) | Part::Number(text) => text,
                Part::Chance => "?",
            })
            .collect();
        assert_eq!(fixed, "a-\u{e4}b.c_d");
        assert_eq!(parts("x.19").last(), Some(Part::Number("19")));
    }
}
