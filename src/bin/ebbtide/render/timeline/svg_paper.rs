//! What an SVG is made of: escaped texts, boxes and lines, and the colours of both themes.

use std::fmt::{Display, Write};

/// Light first; the dark theme replaces what differs.
pub(super) const STYLE: &str = "\
text{font:12px system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif;fill:#24292f}
.title{font-size:17px;font-weight:600}
.faint{fill:#57606a;font-size:11px}
.small{font-size:10px}
.bad{fill:#b42318}
.paper{fill:#ffffff}
.grid{stroke:#d0d7de;stroke-width:1}
.row{fill:#f6f8fa}
.whole{fill:#e6eaef}
.fan{fill:#e6eaef}
.silent{fill:none;stroke:#b42318;stroke-dasharray:2 3}
.deadline{stroke:#b42318;stroke-width:1;stroke-dasharray:4 3}
.signaling{fill:#8a5fd0}
.draining{fill:#2f7fd6}
.closing{fill:#1f9d6b}
.wait{stroke:#8c959f;stroke-width:1.5;stroke-dasharray:1 3}
.late{fill:#d9483b}
.span{fill:#c9d8e8}
.resource{fill:#cde5d8}
.pending{fill:none;stroke:#8c959f;stroke-dasharray:3 2}
.wrong{fill:#f3c4bf}
.tick{stroke:#24292f;stroke-width:1.5}
.cross{stroke:#b42318;stroke-width:2.5}
.mark{fill:#bf7a0a}
@media (prefers-color-scheme:dark){
text{fill:#e6edf3}
.faint{fill:#9aa4af}
.bad{fill:#ff8a80}
.paper{fill:#0d1117}
.grid{stroke:#30363d}
.row{fill:#151b23}
.whole{fill:#21262d}
.fan{fill:#21262d}
.silent{stroke:#ff8a80}
.deadline{stroke:#ff7b72}
.signaling{fill:#a98be6}
.draining{fill:#4f9cf0}
.closing{fill:#3fbf86}
.wait{stroke:#7d8590}
.late{fill:#e5534b}
.span{fill:#2b4562}
.resource{fill:#1f4a37}
.pending{stroke:#7d8590}
.wrong{fill:#6e2b27}
.tick{stroke:#e6edf3}
.cross{stroke:#ff7b72}
.mark{fill:#e3a33b}
}
";

/// Pixels that a character of the body's font takes, on the safe side.
pub(super) const CHARACTER: f64 = 7.3;
/// The same of the small font.
pub(super) const SMALL: f64 = 6.2;

/// A picture under way.
#[derive(Default)]
pub(super) struct Paper {
    body: String,
}

impl Paper {
    pub(super) fn text(&mut self, class: &str, x: f64, y: f64, text: &str) {
        let text = escape(text);
        self.line(format_args!(
            r#"<text class="{class}" x="{x:.1}" y="{y:.1}">{text}</text>"#
        ));
    }

    /// A text that ends at `x`, or stands about it.
    pub(super) fn anchored(&mut self, class: &str, anchor: &str, x: f64, y: f64, text: &str) {
        let text = escape(text);
        self.line(format_args!(
            r#"<text class="{class}" text-anchor="{anchor}" x="{x:.1}" y="{y:.1}">{text}</text>"#
        ));
    }

    /// A box with a text that browsers show over it.
    pub(super) fn rect(&mut self, class: &str, x: f64, y: f64, wide: f64, high: f64, title: &str) {
        let wide = wide.max(1.0);
        let round = if high > 6.0 { 2 } else { 0 };
        if title.is_empty() {
            return self.line(format_args!(
                r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{wide:.1}" height="{high:.1}" rx="{round}"/>"#
            ));
        }
        let title = escape(title);
        self.line(format_args!(
            r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{wide:.1}" height="{high:.1}" rx="{round}"><title>{title}</title></rect>"#
        ));
    }

    pub(super) fn stroke(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.line(format_args!(
            r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#
        ));
    }

    /// A stretch of one scale as it is on another, below it: from, to and height of each.
    pub(super) fn fan(&mut self, above: (f64, f64, f64), below: (f64, f64, f64)) {
        let ((x1, x2, y1), (x3, x4, y2)) = (above, below);
        self.line(format_args!(
            r#"<path class="fan" d="M{x1:.1} {y1:.1}L{x2:.1} {y1:.1}L{x4:.1} {y2:.1}L{x3:.1} {y2:.1}z"/>"#
        ));
    }

    pub(super) fn cross(&mut self, x: f64, y: f64) {
        self.stroke("cross", (x - 4.0, y - 4.0), (x + 4.0, y + 4.0));
        self.stroke("cross", (x - 4.0, y + 4.0), (x + 4.0, y - 4.0));
    }

    /// A small diamond with a text that browsers show over it.
    pub(super) fn diamond(&mut self, x: f64, y: f64, title: &str) {
        let title = escape(title);
        self.line(format_args!(
            r#"<path class="mark" d="M{x:.1} {:.1}l5 5l-5 5l-5 -5z"><title>{title}</title></path>"#,
            y - 5.0
        ));
    }

    fn line(&mut self, line: impl Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.body, "{line}");
    }

    /// The whole document.
    pub(super) fn finish(self, wide: f64, high: f64, title: &str) -> String {
        let title = escape(title);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{wide:.0}\" height=\"{high:.0}\" \
             viewBox=\"0 0 {wide:.0} {high:.0}\" role=\"img\">\n<title>{title}</title>\n\
             <style>\n{STYLE}</style>\n\
             <rect class=\"paper\" width=\"{wide:.0}\" height=\"{high:.0}\"/>\n{}</svg>\n",
            self.body
        )
    }
}

/// A text for XML. Control characters are not allowed there at all.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                escaped.push('\u{fffd}');
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// The beginning of a text that fits a width.
pub(super) fn fitted(text: &str, wide: f64, character: f64) -> String {
    let room = (wide / character).max(0.0) as usize;
    if text.chars().count() <= room {
        return text.into();
    }
    match room {
        0..3 => String::new(),
        room => {
            let kept: String = text.chars().take(room - 1).collect();
            format!("{}…", kept.trim_end())
        }
    }
}

/// Lines of a text that is to fit a width.
const MOST_LINES: usize = 4;

/// A text in lines that fit a width, broken between words. Of a very long one the rest is
/// cut, and so is a word that is longer than a line.
pub(super) fn wrapped(text: &str, wide: f64, character: f64) -> Vec<String> {
    let room = (wide / character).max(1.0) as usize;
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let is_last = lines.len() == MOST_LINES;
        if let Some(line) = lines.last_mut() {
            let needed = line.chars().count() + 1 + word.chars().count();
            if line.is_empty() {
                line.push_str(word);
                continue;
            }
            if needed <= room || is_last {
                line.push(' ');
                line.push_str(word);
                continue;
            }
        }
        lines.push(word.into());
    }
    lines
        .iter()
        .map(|line| fitted(line, wide, character))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_break_out_of_the_document() {
        assert_eq!(
            escape("<a href=\"x\">&"),
            "&lt;a href=&quot;x&quot;&gt;&amp;"
        );
        assert_eq!(
            escape("a\u{0}b\u{1b}c\nd\u{ffff}"),
            "a\u{fffd}b\u{fffd}c d\u{fffd}"
        );
    }

    #[test]
    fn what_does_not_fit_is_cut_with_a_sign() {
        assert_eq!(fitted("short", 100.0, 7.0), "short");
        assert_eq!(fitted("a longer one", 56.0, 7.0), "a longe…");
        assert_eq!(fitted("a longer one", 10.0, 7.0), "");
    }

    #[test]
    fn long_texts_go_on_in_the_next_lines() {
        assert_eq!(wrapped("Died", 70.0, 7.0), ["Died"]);
        assert_eq!(
            wrapped("Failed: the disk is full", 77.0, 7.0),
            ["Failed: the", "disk is", "full"]
        );
        assert_eq!(wrapped("", 70.0, 7.0), [""]);
        let long = "word ".repeat(100);
        let lines = wrapped(&long, 70.0, 7.0);
        assert_eq!(lines.len(), MOST_LINES);
        assert!(lines.iter().all(|line| line.chars().count() <= 10));
        assert!(lines[MOST_LINES - 1].ends_with('…'));
    }
}
