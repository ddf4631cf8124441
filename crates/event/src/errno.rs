//! Why a system call failed.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The error that a system call returned, as a positive number; in text its name.
///
/// The numbers are the same on every architecture that ringfence knows. From 512 on they are the kernel's own: seen by
/// whoever looks at the end of a system call, never by the program that called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Errno(pub u16);

impl Errno {
    /// The name; none if Linux has no such error.
    pub fn name(self) -> Option<&'static str> {
        let at = NAMES.binary_search_by_key(&self.0, |(number, _)| *number).ok()?;
        Some(NAMES[at].1)
    }

    /// Every error that has a name, by number.
    pub fn all() -> impl Iterator<Item = Errno> {
        NAMES.iter().map(|(number, _)| Errno(*number))
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => f.pad(&format!("errno {}", self.0)),
        }
    }
}

/// A text that is no errno.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no errno: it needs a name such as ENOENT, or `errno 999` for a number without a name")]
pub struct ParseErrnoError(String);

impl FromStr for Errno {
    type Err = ParseErrnoError;

    /// Reads exactly what [`Errno`] is written as.
    fn from_str(text: &str) -> Result<Errno, ParseErrnoError> {
        let named = NAMES.iter().find(|(_, name)| *name == text).map(|(number, _)| Errno(*number));
        let numbered = || {
            let errno = Errno(text.strip_prefix("errno ")?.parse().ok()?);
            (errno.to_string() == text).then_some(errno)
        };
        named.or_else(numbered).ok_or_else(|| ParseErrnoError(text.chars().take(80).collect()))
    }
}

impl Serialize for Errno {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Errno {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Errno, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Errno {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Errno".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "The name of the error, such as `ENOENT`; `errno 999` if it has none.",
            "pattern": "^(E[A-Z0-9_]+|errno [0-9]+)$",
        })
    }
}

/// By number: `asm-generic/errno-base.h`, `asm-generic/errno.h` and, from 512 on, `include/linux/errno.h` (6.12).
#[rustfmt::skip]
const NAMES: &[(u16, &str)] = &[
    (1, "EPERM"), (2, "ENOENT"), (3, "ESRCH"), (4, "EINTR"), (5, "EIO"), (6, "ENXIO"), (7, "E2BIG"), (8, "ENOEXEC"),
    (9, "EBADF"), (10, "ECHILD"), (11, "EAGAIN"), (12, "ENOMEM"), (13, "EACCES"), (14, "EFAULT"), (15, "ENOTBLK"),
    (16, "EBUSY"), (17, "EEXIST"), (18, "EXDEV"), (19, "ENODEV"), (20, "ENOTDIR"), (21, "EISDIR"), (22, "EINVAL"),
    (23, "ENFILE"), (24, "EMFILE"), (25, "ENOTTY"), (26, "ETXTBSY"), (27, "EFBIG"), (28, "ENOSPC"), (29, "ESPIPE"),
    (30, "EROFS"), (31, "EMLINK"), (32, "EPIPE"), (33, "EDOM"), (34, "ERANGE"), (35, "EDEADLK"), (36, "ENAMETOOLONG"),
    (37, "ENOLCK"), (38, "ENOSYS"), (39, "ENOTEMPTY"), (40, "ELOOP"), (42, "ENOMSG"), (43, "EIDRM"), (44, "ECHRNG"),
    (45, "EL2NSYNC"), (46, "EL3HLT"), (47, "EL3RST"), (48, "ELNRNG"), (49, "EUNATCH"), (50, "ENOCSI"), (51, "EL2HLT"),
    (52, "EBADE"), (53, "EBADR"), (54, "EXFULL"), (55, "ENOANO"), (56, "EBADRQC"), (57, "EBADSLT"), (59, "EBFONT"),
    (60, "ENOSTR"), (61, "ENODATA"), (62, "ETIME"), (63, "ENOSR"), (64, "ENONET"), (65, "ENOPKG"), (66, "EREMOTE"),
    (67, "ENOLINK"), (68, "EADV"), (69, "ESRMNT"), (70, "ECOMM"), (71, "EPROTO"), (72, "EMULTIHOP"), (73, "EDOTDOT"),
    (74, "EBADMSG"), (75, "EOVERFLOW"), (76, "ENOTUNIQ"), (77, "EBADFD"), (78, "EREMCHG"), (79, "ELIBACC"),
    (80, "ELIBBAD"), (81, "ELIBSCN"), (82, "ELIBMAX"), (83, "ELIBEXEC"), (84, "EILSEQ"), (85, "ERESTART"),
    (86, "ESTRPIPE"), (87, "EUSERS"), (88, "ENOTSOCK"), (89, "EDESTADDRREQ"), (90, "EMSGSIZE"), (91, "EPROTOTYPE"),
    (92, "ENOPROTOOPT"), (93, "EPROTONOSUPPORT"), (94, "ESOCKTNOSUPPORT"), (95, "EOPNOTSUPP"), (96, "EPFNOSUPPORT"),
    (97, "EAFNOSUPPORT"), (98, "EADDRINUSE"), (99, "EADDRNOTAVAIL"), (100, "ENETDOWN"), (101, "ENETUNREACH"),
    (102, "ENETRESET"), (103, "ECONNABORTED"), (104, "ECONNRESET"), (105, "ENOBUFS"), (106, "EISCONN"),
    (107, "ENOTCONN"), (108, "ESHUTDOWN"), (109, "ETOOMANYREFS"), (110, "ETIMEDOUT"), (111, "ECONNREFUSED"),
    (112, "EHOSTDOWN"), (113, "EHOSTUNREACH"), (114, "EALREADY"), (115, "EINPROGRESS"), (116, "ESTALE"),
    (117, "EUCLEAN"), (118, "ENOTNAM"), (119, "ENAVAIL"), (120, "EISNAM"), (121, "EREMOTEIO"), (122, "EDQUOT"),
    (123, "ENOMEDIUM"), (124, "EMEDIUMTYPE"), (125, "ECANCELED"), (126, "ENOKEY"), (127, "EKEYEXPIRED"),
    (128, "EKEYREVOKED"), (129, "EKEYREJECTED"), (130, "EOWNERDEAD"), (131, "ENOTRECOVERABLE"), (132, "ERFKILL"),
    (133, "EHWPOISON"), (512, "ERESTARTSYS"), (513, "ERESTARTNOINTR"), (514, "ERESTARTNOHAND"), (515, "ENOIOCTLCMD"),
    (516, "ERESTART_RESTARTBLOCK"), (517, "EPROBE_DEFER"), (518, "EOPENSTALE"), (519, "ENOPARAM"),
    (521, "EBADHANDLE"), (522, "ENOTSYNC"), (523, "EBADCOOKIE"), (524, "ENOTSUPP"), (525, "ETOOSMALL"),
    (526, "ESERVERFAULT"), (527, "EBADTYPE"), (528, "EJUKEBOX"), (529, "EIOCBQUEUED"), (530, "ERECALLCONFLICT"),
    (531, "ENOGRACE"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_errno_survives_its_text() {
        for number in 0..=u16::MAX {
            let errno = Errno(number);
            assert_eq!(errno.to_string().parse(), Ok(errno));
        }
    }

    #[test]
    fn names_are_in_the_order_of_their_numbers() {
        assert!(NAMES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn json_has_the_name() {
        let errnos = [Errno(2), Errno(11), Errno(95), Errno(512), Errno(530), Errno(999), Errno(0)];

        let json = serde_json::to_string(&errnos).expect("json");

        assert_eq!(json, r#"["ENOENT","EAGAIN","EOPNOTSUPP","ERESTARTSYS","ERECALLCONFLICT","errno 999","errno 0"]"#);
        assert_eq!(serde_json::from_str::<[Errno; 7]>(&json).expect("errnos"), errnos);
    }

    #[test]
    fn a_text_that_is_never_written_is_not_read() {
        for wrong in ["", "ENOPE", "enoent", "errno 2", "errno 0999", "errno +999", "errno 70000", "errno -1", "999"] {
            assert!(wrong.parse::<Errno>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_are_those_of_the_system_headers() {
        let read = |name| std::fs::read_to_string(format!("/usr/include/asm-generic/{name}"));
        let (Ok(base), Ok(rest)) = (read("errno-base.h"), read("errno.h")) else {
            println!("skipped: no /usr/include/asm-generic/errno.h");
            return;
        };

        let headers: Vec<(u16, &str)> = base
            .lines()
            .chain(rest.lines())
            .filter_map(|line| {
                let mut words = line.strip_prefix("#define")?.split_whitespace();
                let name = words.next()?;
                Some((words.next()?.parse().ok()?, name))
            })
            .collect();

        let ours: Vec<(u16, &str)> = NAMES.iter().copied().filter(|(number, _)| *number < 512).collect();
        assert!(headers.len() > 100);
        assert!(headers.iter().all(|header| ours.contains(header)));
    }
}
