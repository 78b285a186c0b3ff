//! Rust source as tokens, and the paths in it that lead to the modules at the root of the crate.

/// A file of the tree: path below `src`, with `/` between folders, and text.
pub struct Source {
    pub path: String,
    pub text: String,
}

/// A path from the crate root that a file mentions.
#[derive(Debug, PartialEq, Eq)]
pub struct Reference {
    /// First name after the root, `*` where everything at the root is meant.
    pub target: String,
    pub line: usize,
    /// Whether it stands in code that is compiled for tests only.
    pub test: bool,
}

/// A word or a sign of the source; comments and the insides of literals are left out.
#[derive(Clone, Debug)]
pub struct Token {
    pub text: String,
    pub line: usize,
    pub test: bool,
}

impl Source {
    /// Name of the module at the root that this file belongs to: `graph` for `graph/eval/mod.rs`, `lib` for `lib.rs`.
    pub fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// Whether the whole file is compiled for tests only, by its name.
    pub fn is_test(&self) -> bool {
        self.path.split('/').skip(1).any(|part| part == "tests" || part == "tests.rs")
    }

    /// Module path of the file: `["graph", "eval"]` for `graph/eval/mod.rs`.
    fn module_path(&self) -> Vec<String> {
        let stem = self.path.strip_suffix(".rs").unwrap_or(&self.path);
        let mut path: Vec<String> = stem.split('/').map(String::from).collect();
        if matches!(path.last().map(String::as_str), Some("mod" | "lib" | "main")) {
            path.pop();
        }
        path
    }

    /// Tokens, each marked with whether it is compiled for tests only.
    pub fn tokens(&self) -> Vec<Token> {
        let mut tokens = lex(&self.text);
        if self.is_test() {
            tokens.iter_mut().for_each(|t| t.test = true);
        } else {
            mark_tests(&mut tokens);
        }
        tokens
    }

    /// Every mention of something at the root of the crate, as `crate::x`, `super::x` or `thalweg::x`.
    pub fn references(&self) -> Vec<Reference> {
        let tokens = self.tokens();
        let mut module = self.module_path();
        // Depth of braces at which each inline module was opened.
        let mut inline: Vec<usize> = vec![];
        let (mut depth, mut at, mut out) = (0usize, 0, vec![]);
        while at < tokens.len() {
            let word = tokens[at].text.as_str();
            let starts = at == 0 || tokens[at - 1].text != "::";
            match word {
                "{" => depth += 1,
                "}" => {
                    depth = depth.saturating_sub(1);
                    if inline.last() == Some(&depth) {
                        inline.pop();
                        module.pop();
                    }
                }
                "mod" if tokens.get(at + 2).is_some_and(|t| t.text == "{") => {
                    module.push(tokens[at + 1].text.clone());
                    inline.push(depth);
                    depth += 1;
                    at += 2;
                }
                "crate" | "super" | "self" | "thalweg" if starts => {
                    let (line, test) = (tokens[at].line, tokens[at].test);
                    let mut paths = vec![];
                    at = path(&tokens, at, &[], &mut paths);
                    let targets = paths.iter().filter_map(|p| root_name(p, &module));
                    out.extend(targets.map(|target| Reference { target, line, test }));
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        out
    }
}

/// Reads a path, or a tree of paths in braces, at `at`; returns the position after it.
fn path(tokens: &[Token], mut at: usize, prefix: &[String], out: &mut Vec<Vec<String>>) -> usize {
    let text = |i: usize| tokens.get(i).map_or("", |t| t.text.as_str());
    let mut here = prefix.to_vec();
    loop {
        if text(at) == "{" {
            at += 1;
            while at < tokens.len() && text(at) != "}" {
                at = if text(at) == "," { at + 1 } else { path(tokens, at, &here, out) };
            }
            return at + 1;
        }
        here.push(text(at).to_string());
        at += 1;
        if text(at) == "as" {
            at += 2;
        }
        let goes_on = text(at) == "::" && (text(at + 1) == "{" || text(at + 1) == "*" || is_word(text(at + 1)));
        if !goes_on {
            out.push(here);
            return at;
        }
        at += 1;
    }
}

/// What a path names at the root of the crate; `None` for a path inside `module` and for the bare word `crate`.
fn root_name(path: &[String], module: &[String]) -> Option<String> {
    let relative = path[0] == "self" || path[0] == "super";
    if path.len() == 1 {
        return None;
    }
    let mut from = if relative { module.to_vec() } else { vec![] };
    let mut rest = &path[usize::from(!relative)..];
    while let Some((first, tail)) = rest.split_first() {
        match first.as_str() {
            "super" => drop(from.pop()),
            "self" => {}
            _ => break,
        }
        rest = tail;
    }
    if !from.is_empty() {
        return None;
    }
    Some(rest.first().cloned().unwrap_or_else(|| "*".into()))
}

fn is_word(text: &str) -> bool {
    text.chars().next().is_some_and(|c| c.is_alphanumeric() || c == '_')
}

/// Marks the item after each `#[cfg(test)]`.
fn mark_tests(tokens: &mut [Token]) {
    let attribute = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut at = 0;
    while at < tokens.len() {
        let found = tokens[at..].iter().zip(attribute).filter(|(t, a)| t.text == *a).count() == attribute.len();
        if !found {
            at += 1;
            continue;
        }
        at += attribute.len();
        let mut depth = 0usize;
        while let Some(token) = tokens.get_mut(at) {
            token.test = true;
            at += 1;
            match token.text.as_str() {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" if depth == 0 => break,
                "}" | ")" | "]" => {
                    depth -= 1;
                    if depth == 0 && token.text == "}" {
                        break;
                    }
                }
                ";" | "," if depth == 0 => break,
                _ => {}
            }
        }
    }
}

/// Splits source into words, `::` and single signs.
fn lex(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let (mut at, mut line, mut out) = (0, 1, vec![]);
    while at < chars.len() {
        let start = at;
        let c = chars[at];
        let word = c.is_alphanumeric() || c == '_';
        if word {
            while at < chars.len() && (chars[at].is_alphanumeric() || chars[at] == '_') {
                at += 1;
            }
        } else {
            at = skip(&chars, at);
        }
        let prefix: String = chars[start..at].iter().collect();
        let raw = word && matches!(prefix.as_str(), "r" | "br" | "cr") && raw_end(&chars, at).is_some();
        if raw {
            at = raw_end(&chars, at).unwrap_or(at);
        } else if word || at == start {
            let double = c == ':' && chars.get(at + 1) == Some(&':');
            at += if word { 0 } else { 1 + usize::from(double) };
            out.push(Token { text: chars[start..at].iter().collect(), line, test: false });
        }
        line += chars[start..at].iter().filter(|c| **c == '\n').count();
    }
    out
}

/// Position after the blank, comment, text, character or lifetime at `at`; `at` itself where there is none.
fn skip(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied().unwrap_or(' ');
    let end = |from: usize, stop: &str| find(chars, from, stop).unwrap_or(chars.len());
    match chars[at] {
        c if c.is_whitespace() => at + 1,
        '/' if next == '/' => end(at, "\n"),
        '/' if next == '*' => block_comment(chars, at),
        '"' => quoted(chars, at, '"'),
        '\'' if next == '\\' || chars.get(at + 2) == Some(&'\'') => quoted(chars, at, '\''),
        '\'' => at + 1 + chars[at + 1..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').count(),
        _ => at,
    }
}

fn find(chars: &[char], from: usize, stop: &str) -> Option<usize> {
    let stop: Vec<char> = stop.chars().collect();
    (from..chars.len()).find(|&i| chars[i..].starts_with(&stop))
}

fn block_comment(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => depth += 1,
            ('*', Some('/')) => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted(chars: &[char], mut at: usize, mark: char) -> usize {
    at += 1;
    while at < chars.len() && chars[at] != mark {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// Position after a raw text whose `#` or `"` is at `at`.
fn raw_end(chars: &[char], at: usize) -> Option<usize> {
    let marks = chars[at..].iter().take_while(|c| **c == '#').count();
    if chars.get(at + marks) != Some(&'"') {
        return None;
    }
    let stop = format!("\"{}", "#".repeat(marks));
    Some(find(chars, at + marks + 1, &stop).unwrap_or(chars.len()) + stop.len())
}
