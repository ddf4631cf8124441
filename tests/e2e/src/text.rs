//! The stated text form of bytes in reports, written down a second time for the tests: a backslash is `\\`, a byte that
//! is not valid UTF-8 is `\xHH`, everything else is itself.

/// The text form of these bytes.
pub fn text_form(bytes: &[u8]) -> String {
    let mut form = String::new();
    for chunk in bytes.utf8_chunks() {
        form.push_str(&chunk.valid().replace('\\', "\\\\"));
        for byte in chunk.invalid() {
            form.push_str(&format!("\\x{byte:02x}"));
        }
    }
    form
}

/// The first byte that must not reach a terminal: a control character other than a newline or a tab, or what is not
/// UTF-8.
pub fn unsafe_on_a_terminal(output: &[u8]) -> Option<String> {
    let text = match std::str::from_utf8(output) {
        Ok(text) => text,
        Err(error) => return Some(format!("byte {:#x} is not UTF-8", output[error.valid_up_to()])),
    };
    let found = text.chars().find(|character| character.is_control() && !matches!(character, '\n' | '\t'))?;
    Some(format!("character {found:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_is_as_documented() {
        assert_eq!(text_form(b"a\xff\\b\n"), "a\\xff\\\\b\n");
    }

    #[test]
    fn an_escape_and_a_bad_byte_are_found() {
        assert!(unsafe_on_a_terminal(b"a\x1b[2J").is_some());
        assert!(unsafe_on_a_terminal(b"a\xff").is_some());
        assert_eq!(unsafe_on_a_terminal("line\nnext \u{e4}\n".as_bytes()), None);
    }
}
