//! Breaking texts into lines of a width.

use ratatui::text::Span;

/// Columns that a text takes.
fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// A text in lines of at most `columns`, broken between words where that is possible;
/// lines after the first begin with `indent` spaces if there is room for them.
pub fn wrap(text: &str, columns: usize, indent: usize) -> Vec<String> {
    let columns = columns.max(1);
    let indent = if indent * 2 < columns { indent } else { 0 };
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut is_fresh = true;
    for word in text.split(' ') {
        let gap = usize::from(!is_fresh);
        if !is_fresh && width(&line) + gap + width(word) > columns {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
            is_fresh = true;
        }
        if !is_fresh {
            line.push(' ');
        }
        for letter in word.chars() {
            let mut buffer = [0; 4];
            let is_blank = line.trim().is_empty();
            if !is_blank && width(&line) + width(letter.encode_utf8(&mut buffer)) > columns {
                lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
            }
            line.push(letter);
        }
        is_fresh = false;
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_long_words_anywhere() {
        assert_eq!(wrap("one two three", 8, 2), ["one two", "  three"]);
        assert_eq!(wrap("abcdefghij", 4, 0), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("", 4, 0), [""]);
        assert_eq!(wrap("ab c", 1, 4), ["a", "b", "c"]);
        assert_eq!(wrap("漢字漢字", 4, 0), ["漢字", "漢字"]);
        for columns in 0..20 {
            for line in wrap("a runner (pid 12345) waits; 漢字漢字 漢字", columns, 3) {
                assert!(width(&line) <= columns.max(2), "{line:?} in {columns}");
            }
        }
    }
}
