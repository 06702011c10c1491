//! Numbers of bytes, as people read them.

/// With a binary unit and one digit behind the point, from a kibibyte on.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 3] = ["KiB", "MiB", "GiB"];
    let mut shown = (bytes as f64, "B");
    for unit in UNITS {
        if shown.0 < 1024.0 {
            break;
        }
        shown = (shown.0 / 1024.0, unit);
    }
    match shown {
        (_, "B") => format!("{bytes} B"),
        (number, unit) => format!("{number:.1} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_binary() {
        let all = [0, 1023, 1024, 5 << 20, 8_853_248, 3 << 40].map(bytes);
        assert_eq!(
            all,
            [
                "0 B",
                "1023 B",
                "1.0 KiB",
                "5.0 MiB",
                "8.4 MiB",
                "3072.0 GiB"
            ]
        );
    }
}
