//! What went wrong, where in the model file, and what to do: the errors of the language.

use std::fmt;

use super::span::Span;

pub use super::suggest::did_you_mean;

/// An error at a place of the model file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostic {
    /// The place that is underlined.
    pub span: Span,
    /// What was expected and what was found, in one sentence.
    pub message: String,
    /// Short text under the underline; may be empty.
    pub label: String,
    /// The likely fix.
    pub help: Option<String>,
    /// Other places that matter, such as the bracket that is never closed.
    pub notes: Vec<(Span, String)>,
}

impl Diagnostic {
    /// An error at `span`.
    pub fn new(span: Span, message: impl Into<String>) -> Self {
        Diagnostic { span, message: message.into(), ..Diagnostic::default() }
    }

    /// Sets the text under the underline.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Sets the likely fix.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds another place that matters.
    pub fn note(mut self, span: Span, text: impl Into<String>) -> Self {
        self.notes.push((span, text.into()));
        self
    }

    /// The error as plain text: `file:line:column`, the line of the source with the place underlined, the notes
    /// likewise, the help. Lines and columns count from 1, columns in characters.
    pub fn render(&self, file: &str, source: &str) -> String {
        let main = Excerpt::new(self.span, source);
        let notes: Vec<(Excerpt, &str)> =
            self.notes.iter().map(|(span, text)| (Excerpt::new(*span, source), text.as_str())).collect();
        let last_line = notes.iter().map(|(e, _)| e.line).chain([main.line]).max().unwrap_or(1);
        let margin = last_line.to_string().len();

        let mut out = format!("error: {}\n", self.message);
        main.write(&mut out, file, margin, &self.label);
        for (excerpt, text) in &notes {
            out.push_str(&format!("{:margin$} = note: {text}\n", ""));
            excerpt.write(&mut out, file, margin, "");
        }
        if let Some(help) = &self.help {
            out.push_str(&format!("{:margin$} = help: {help}\n", ""));
        }
        out
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Diagnostic {}

/// Columns that a tab takes in the printed source line.
const TAB: usize = 4;

/// Characters of a source line that are shown at most.
const SHOWN: usize = 120;

/// One line of the source and the part of it that is underlined.
struct Excerpt<'s> {
    /// Line number, from 1.
    line: usize,
    /// The line without its end.
    text: &'s str,
    /// Byte offset of the underline in `text`.
    start: usize,
    /// End of the underline in `text`; a span of several lines is cut at the end of its first.
    end: usize,
}

impl<'s> Excerpt<'s> {
    /// The line of `span`; a span outside the source is moved to its end.
    fn new(span: Span, source: &'s str) -> Self {
        let start = floor_boundary(source, span.start as usize);
        let end = floor_boundary(source, span.end as usize).max(start);
        let line_start = source[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = source[start..].find('\n').map_or(source.len(), |at| start + at);
        let text = source[line_start..line_end].trim_end_matches('\r');
        let start = (start - line_start).min(text.len());
        let end = (end - line_start).min(text.len()).max(start);
        let line = source[..line_start].matches('\n').count() + 1;
        Excerpt { line, text, start, end }
    }

    /// Appends place, line and underline.
    fn write(&self, out: &mut String, file: &str, margin: usize, label: &str) {
        let column = self.text[..self.start].chars().count() + 1;
        let (first, last) = self.window();
        let lead = printed(&self.text[first..self.start]).chars().count() + usize::from(first > 0);
        let width = printed(&self.text[self.start..self.end.min(last)]).chars().count().max(1);
        let cut = |is_cut| if is_cut { "…" } else { "" };
        let (before, after) = (cut(first > 0), cut(last < self.text.len()));
        let shown = printed(&self.text[first..last]);
        out.push_str(&format!("{:margin$}--> {file}:{}:{column}\n", "", self.line));
        out.push_str(&format!("{:margin$} |\n", ""));
        out.push_str(format!("{:>margin$} | {before}{shown}{after}", self.line).trim_end());
        out.push('\n');
        let underline = format!("{:margin$} | {:lead$}{} {label}", "", "", "^".repeat(width));
        out.push_str(underline.trim_end());
        out.push('\n');
    }

    /// The part of a long line that is shown.
    fn window(&self) -> (usize, usize) {
        if self.text.chars().count() <= SHOWN {
            return (0, self.text.len());
        }
        let back = self.text[..self.start].char_indices().rev().take(SHOWN / 2).last();
        let first = back.map_or(self.start, |(at, _)| at);
        let last = self.text[first..].char_indices().nth(SHOWN).map_or(self.text.len(), |(at, _)| first + at);
        (first, last)
    }
}

/// The text as printed: tabs widened, other control characters replaced.
fn printed(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => out.extend(std::iter::repeat_n(' ', TAB)),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// The nearest character boundary at or before `at`, within the text.
fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_place_line_and_underline() {
        let source = "data y: real\nlatent mu ~ normal(0, 5\n";
        let text = Diagnostic::new(Span::new(36, 37), "expected `)`, found the end of the line")
            .label("here")
            .help("close it")
            .note(Span::new(31, 32), "never closed")
            .render("m.thal", source);
        let expected = "\
error: expected `)`, found the end of the line
 --> m.thal:2:24
  |
2 | latent mu ~ normal(0, 5
  |                        ^ here
  = note: never closed
 --> m.thal:2:19
  |
2 | latent mu ~ normal(0, 5
  |                   ^
  = help: close it
";
        assert_eq!(text, expected);
    }

    #[test]
    fn any_span_can_be_rendered() {
        let source = "é\tx\r\nlet ü";
        for start in 0..20 {
            for end in 0..20 {
                let text = Diagnostic::new(Span::new(start, end), "m").render("f", source);
                assert!(text.contains('^'));
            }
        }
        assert!(Diagnostic::new(Span::new(0, 1), "m").render("f", "").contains("f:1:1"));
    }

    #[test]
    fn tabs_and_letters_are_aligned() {
        let text = Diagnostic::new(Span::new(4, 5), "m").render("f", "é\ta+b");
        assert!(text.contains("f:1:4\n"), "{text}");
        assert!(text.contains("\n1 | é    a+b\n  |       ^\n"), "{text}");
    }

    #[test]
    fn long_lines_are_shown_in_part() {
        let source = format!("{}+{}", "a".repeat(500), "b".repeat(500));
        let text = Diagnostic::new(Span::new(500, 501), "m").render("f", &source);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], " --> f:1:501");
        assert_eq!(lines[3], format!("1 | …{}+{}…", "a".repeat(60), "b".repeat(59)));
        assert_eq!(lines[4].find('^'), lines[3].replace('…', ".").find('+'));
    }

    #[test]
    fn display_carries_the_help() {
        let d = Diagnostic::new(Span::default(), "no").help("yes");
        assert_eq!(d.to_string(), "no (yes)");
    }
}
