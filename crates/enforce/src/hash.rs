//! Contents that policies name: SHA-256 of a whole file.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::PolicyError;

/// The content of a file: `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Hash(pub(crate) [u8; 32]);

impl FromStr for Hash {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Hash, PolicyError> {
        let wrong = || PolicyError::Hash(text.to_owned());
        let digits = text.strip_prefix("sha256:").filter(|digits| digits.len() == 64).ok_or_else(wrong)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Hash(bytes))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> String {
        hash.to_string()
    }
}

impl TryFrom<String> for Hash {
    type Error = PolicyError;

    fn try_from(text: String) -> Result<Hash, PolicyError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_is_sha256_and_64_digits() {
        let digits = "0123456789abcdefABCDEF0123456789abcdef0123456789abcdef0123456789";
        let hash: Hash = format!("sha256:{digits}").parse().expect("it is one");

        assert_eq!(hash.to_string(), format!("sha256:{}", digits.to_lowercase()));
        let short = &digits[1..];
        for wrong in [
            "",
            digits,
            "sha256:",
            "md5:00",
            &format!("sha256:{short}"),
            &format!("sha256:{short}g"),
            &format!("sha256:+{short}"),
            &format!("SHA256:{digits}"),
            &format!("sha256:{}é", &digits[2..]),
        ] {
            assert!(wrong.parse::<Hash>().is_err(), "{wrong}");
        }
    }
}
