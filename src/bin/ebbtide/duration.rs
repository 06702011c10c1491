//! Durations as people write them: `5s`, `500ms`, `1.5s`, `2m`, `1h`.

use std::time::Duration;

/// The longest that is accepted; also what fits a shutdown's budget (49.7 days).
const LONGEST_SECONDS: f64 = 49.0 * 86_400.0;

/// More digits than any duration needs; keeps hostile arguments short.
const LONGEST_TEXT: usize = 32;

/// Reads a duration. The unit is required, so that nobody has to guess it.
pub fn parse(text: &str) -> Result<Duration, String> {
    let hint = "expected a number with a unit: us, ms, s, m or h, as in 500ms, 1.5s or 2m";
    if text.len() > LONGEST_TEXT {
        return Err(hint.into());
    }
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .ok_or(hint)?;
    let (number, unit) = text.split_at(split);
    let scale = match unit {
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(hint.into()),
    };
    if !number.starts_with(|c: char| c.is_ascii_digit()) || number.ends_with('.') {
        return Err(hint.into());
    }
    let number: f64 = number.parse().map_err(|_| hint)?;
    let seconds = number * scale;
    if seconds > LONGEST_SECONDS {
        return Err("longer than 49 days".into());
    }
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_forms_are_read() {
        let cases = [
            ("5s", Duration::from_secs(5)),
            ("500ms", Duration::from_millis(500)),
            ("1.5s", Duration::from_millis(1500)),
            ("2m", Duration::from_secs(120)),
            ("1h", Duration::from_secs(3600)),
            ("250us", Duration::from_micros(250)),
            ("0s", Duration::ZERO),
            ("0.25s", Duration::from_millis(250)),
        ];
        for (text, duration) in cases {
            assert_eq!(parse(text), Ok(duration), "{text}");
        }
    }

    #[test]
    fn hostile_texts_are_refused_and_never_panic() {
        let cases = [
            "",
            "s",
            "5",
            ".",
            ".s",
            "..s",
            "1.s",
            ".5s",
            "1.2.3s",
            "-1s",
            "+1s",
            "1e9s",
            "inf",
            "infs",
            "NaNs",
            "nan",
            "1 s",
            " 1s",
            "1s ",
            "1S",
            "1d",
            "0x10s",
            "1s1s",
            "１s",
            "99999999999999999999999999s",
            "1000000h",
            "9".repeat(400).leak(),
            "5\0s",
            "5\u{202e}s",
        ];
        for text in cases {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn random_texts_are_read_or_refused() {
        const LETTERS: [&str; 16] = [
            "0", "1", "9", ".", "m", "s", "u", "h", "-", "e", " ", "µ", "\0", "é", "x", "n",
        ];
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..state % 9 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                text.push_str(LETTERS[(state >> 60) as usize]);
            }
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            if let Ok(duration) = parse(&text) {
                assert!(duration.as_secs_f64() <= LONGEST_SECONDS, "{text:?}");
            }
        }
    }
}
