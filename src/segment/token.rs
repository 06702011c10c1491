//! Tokens: a segment's address and identity as a short printable word.

use core::fmt::{self, Write as _};
use core::str::FromStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::error::SegmentError;
use crate::segment::header::Identity;
use crate::segment::name::SegmentName;

const PREFIX: &str = "ebb1:";

/// Longest token: the longest path, every byte escaped, and 120 for the rest.
const MAX_BYTES: usize = 3 * 4096 + 120;

/// A printable name of one very segment, by which another process re-opens it.
///
/// It is one word without spaces or shell characters, made for arguments and
/// environment variables: `ebb1:<name>:<identity>@<directory>`. It holds no secret
/// and gives no right: whoever opens by it needs the same user id. Unlike a name,
/// it never comes to mean another segment: after a removal it is stale, also when
/// a new segment has the same name.
///
/// # Examples
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use ebbtide::Token;
///
/// let token: Token = std::env::args().nth(1).unwrap().parse()?;
/// println!("{} in {}", token.name(), token.directory().display());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Token {
    name: SegmentName,
    identity: Identity,
    /// Absolute, without a zero byte.
    directory: PathBuf,
}

impl Token {
    pub(crate) fn new(name: SegmentName, identity: Identity, directory: &Path) -> Self {
        Self {
            name,
            identity,
            directory: directory.to_path_buf(),
        }
    }

    /// The segment's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The directory that the segment is in; absolute.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether a text is meant as a token, well-formed or not.
    pub(crate) fn is_meant(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    pub(crate) fn segment_name(&self) -> &SegmentName {
        &self.name
    }

    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }
}

impl fmt::Display for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = self.identity;
        write!(
            formatter,
            "{PREFIX}{}:{first:016x}{second:016x}@",
            self.name
        )?;
        for byte in self.directory.as_os_str().as_bytes() {
            if is_plain(*byte) {
                formatter.write_char(char::from(*byte))?;
            } else {
                write!(formatter, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for Token {
    type Err = SegmentError;

    /// Reads a token as `Display` prints it; nothing is opened.
    ///
    /// # Errors
    /// [`SegmentError::InvalidToken`] for any other text.
    fn from_str(text: &str) -> Result<Self, SegmentError> {
        parse(text).map_err(|problem| SegmentError::InvalidToken {
            token: text.chars().take(128).collect(),
            problem,
        })
    }
}

fn parse(text: &str) -> Result<Token, &'static str> {
    if text.len() > MAX_BYTES {
        return Err("it is too long");
    }
    let rest = text
        .strip_prefix(PREFIX)
        .ok_or("it does not begin with ebb1:")?;
    let (head, directory) = rest.split_once('@').ok_or("it has no directory")?;
    let (name, identity) = head.split_once(':').ok_or("it has no identity")?;
    let name = SegmentName::new(name).map_err(|_| "its segment name is refused")?;
    let directory = unescape(directory).ok_or("its directory is not escaped as it should be")?;
    let directory = PathBuf::from(std::ffi::OsString::from_vec(directory));
    if !directory.is_absolute() || directory.as_os_str().as_bytes().contains(&0) {
        return Err("its directory is not an absolute path");
    }
    let (first, second) = identity
        .split_at_checked(16)
        .ok_or("its identity is too short")?;
    let half = |digits| u64::from_str_radix(digits, 16).map_err(|_| "its identity is not a number");
    let token = Token {
        name,
        identity: [half(first)?, half(second)?],
        directory,
    };
    // One spelling each: equal segments have equal tokens.
    if token.to_string() == text {
        Ok(token)
    } else {
        Err("it is not spelt as ebbtide prints it")
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'_' | b'-')
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut path = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        path.push(if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            (digit()? << 4 | digit()?) as u8
        } else {
            byte
        });
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn any_directory_survives_the_round_trip() {
        let name = SegmentName::new("job-1").unwrap();
        for directory in ["/dev/shm/ebbtide-0", "/a b/@:%/ü\n", "/"] {
            let token = Token::new(name.clone(), [1, u64::MAX], Path::new(directory));
            let text = token.to_string();
            assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text}");
            assert_eq!(text.parse::<Token>().unwrap(), token);
        }
        let raw = Path::new(OsStr::from_bytes(b"/not/utf8/\xff\xfe"));
        let token = Token::new(name, [7, 8], raw);
        assert_eq!(token.to_string().parse::<Token>().unwrap().directory(), raw);
    }

    #[test]
    fn hostile_tokens_are_refused() {
        let good = "ebb1:a:00000000000000010000000000000002@/d";
        assert_eq!(good.parse::<Token>().unwrap().name(), "a");
        let id = "00000000000000010000000000000002";
        for bad in [
            String::new(),
            "ebb2:a:00000000000000010000000000000002@/d".into(),
            format!("ebb1:../a:{id}@/d"),
            format!("ebb1:a:{id}"),
            format!("ebb1:a:{id}@"),
            format!("ebb1:a:{id}@relative"),
            format!("ebb1:a:{id}@/d%00"),
            format!("ebb1:a:{id}@/d%"),
            format!("ebb1:a:{id}@/d%2"),
            format!("ebb1:a:{id}@/d%zz"),
            format!("ebb1:a:{id}@/%64"),
            format!("ebb1:a:{id}@/d e"),
            format!("ebb1:a:{id}0@/d"),
            "ebb1:a:1@/d".into(),
            "ebb1:a:+0000000000000010000000000000002@/d".into(),
            "ebb1:a:0000000000000001000000000000000ä@/d".into(),
            "ebb1:a:000000000000000ä0000000000000002@/d".into(),
            format!("ebb1:a:{id}@/{}", "d".repeat(MAX_BYTES)),
        ] {
            match bad.parse::<Token>() {
                Err(SegmentError::InvalidToken { token, .. }) => assert!(token.len() <= 512),
                other => panic!("{bad:?}: {other:?}"),
            }
        }
    }
}
