//! Tokens and the texts of event kinds: refused, or read back as they are printed.
#![no_main]

use ebbtide::{EventKind, Token};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(token) = text.parse::<Token>() {
        let printed = token.to_string();
        let again: Token = printed.parse().expect("its own text");
        assert_eq!(again.to_string(), printed);
        assert_eq!(again, token);
    }
    if let Ok(kind) = text.parse::<EventKind>() {
        assert_eq!(kind.to_string().parse(), Ok(kind));
    }
});
