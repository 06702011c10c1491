//! One page in the text format of Prometheus.

use std::fmt::{self, Write};
use std::time::Duration;

use super::Durations;
use crate::limits::TALLY_BOUNDS_MICROS;

/// A page under way.
pub(super) struct Page<'p, 'f> {
    pub(super) out: &'p mut fmt::Formatter<'f>,
    pub(super) segment: &'p str,
}

impl Page<'_, '_> {
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) -> fmt::Result {
        writeln!(self.out, "# HELP ebbtide_{name} {help}")?;
        writeln!(self.out, "# TYPE ebbtide_{name} {kind}")
    }

    pub(super) fn sample(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        value: impl fmt::Display,
    ) -> fmt::Result {
        write!(self.out, "ebbtide_{name}{{segment=\"")?;
        escape(self.out, self.segment)?;
        for (label, value) in labels {
            write!(self.out, "\",{label}=\"")?;
            escape(self.out, value)?;
        }
        writeln!(self.out, "\"}} {value}")
    }

    pub(super) fn gauge(
        &mut self,
        name: &str,
        help: &str,
        value: impl fmt::Display,
    ) -> fmt::Result {
        self.family(name, "gauge", help)?;
        self.sample(name, &[], value)
    }

    pub(super) fn histogram(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        of: &Durations,
    ) -> fmt::Result {
        let mut sum = 0_u64;
        let bucket = format!("{name}_bucket");
        for (at, count) in of.buckets.iter().enumerate() {
            sum = sum.saturating_add(*count);
            let bound = match TALLY_BOUNDS_MICROS.get(at) {
                Some(micros) => seconds(Duration::from_micros(*micros)).to_string(),
                None => "+Inf".into(),
            };
            let labels = [labels, &[("le", &bound)]].concat();
            self.sample(&bucket, &labels, sum)?;
        }
        let micros = Duration::from_micros(of.micros);
        self.sample(&format!("{name}_sum"), labels, seconds(micros))?;
        self.sample(&format!("{name}_count"), labels, sum)
    }
}

pub(super) fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

/// A label's value: backslash, quote and line feed are escaped.
fn escape(out: &mut impl Write, text: &str) -> fmt::Result {
    for c in text.chars() {
        match c {
            '\\' => out.write_str("\\\\")?,
            '"' => out.write_str("\\\"")?,
            '\n' => out.write_str("\\n")?,
            c => out.write_char(c)?,
        }
    }
    Ok(())
}
