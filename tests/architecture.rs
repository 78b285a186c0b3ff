//! The source tree keeps to the tables of `ARCHITECTURE.md`: imports, no cycles, short files with a purpose, links that lead somewhere.

#[path = "architecture/source.rs"]
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use source::Source;

const LONGEST: usize = 400;

/// Modules that each module may import.
type Edges = BTreeMap<String, BTreeSet<String>>;

/// What `ARCHITECTURE.md` lays down.
#[derive(Default)]
struct Rules {
    imports: Edges,
    /// What unit tests may import besides.
    test_imports: Edges,
    /// Words with the folders in which alone they may stand.
    words: BTreeMap<String, Vec<String>>,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Words between backquotes.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(String::from).collect()
}

/// Rows of the first table under a heading: the quoted words of each cell.
fn table(text: &str, heading: &str) -> Vec<Vec<Vec<String>>> {
    let lines = text.lines().skip_while(|l| l.trim_end() != heading).skip(1);
    let rows = lines.take_while(|l| !l.starts_with("## ")).skip_while(|l| !l.starts_with('|'));
    let cells = |l: &str| l.trim_matches('|').split('|').map(quoted).collect::<Vec<_>>();
    rows.take_while(|l| l.starts_with('|')).map(cells).filter(|r| !r[0].is_empty()).collect()
}

impl Rules {
    fn parse(text: &str) -> Rules {
        let mut rules = Rules::default();
        for row in table(text, "## Imports") {
            let cell = |k: usize| row.get(k).into_iter().flatten().cloned().collect::<BTreeSet<_>>();
            for module in &row[0] {
                rules.imports.insert(module.clone(), cell(1));
                rules.test_imports.insert(module.clone(), cell(2));
            }
        }
        for row in table(text, "## Forbidden patterns") {
            for word in &row[0] {
                rules.words.insert(word.clone(), row.get(1).cloned().unwrap_or_default());
            }
        }
        rules
    }

    fn read() -> Rules {
        let rules = Rules::parse(&std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md"));
        assert!(rules.imports.len() > 5 && !rules.words.is_empty(), "the tables of ARCHITECTURE.md were not found");
        rules
    }
}

fn collect(folder: &Path, below: &str, out: &mut Vec<Source>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for entry in entries {
        let path = entry.expect("an entry of a folder").path();
        let name = format!("{below}{}", path.file_name().unwrap_or_default().to_string_lossy());
        if path.is_dir() {
            collect(&path, &format!("{name}/"), out);
        } else if name.ends_with(".rs") {
            let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            out.push(Source { path: name, text });
        }
    }
}

fn tree() -> Vec<Source> {
    let mut out = vec![];
    collect(&root().join("src"), "", &mut out);
    out.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(out.len() > 100, "only {} files under src", out.len());
    out
}

fn modules(files: &[Source]) -> BTreeSet<&str> {
    files.iter().map(Source::module).filter(|m| *m != "lib").collect()
}

/// Imports between modules; those of test code only where `test`. What is not a module stays in.
fn edges(files: &[Source], test: bool) -> Edges {
    let mut out = Edges::new();
    for f in files {
        for r in f.references().into_iter().filter(|r| r.test == test && r.target != f.module()) {
            out.entry(f.module().into()).or_default().insert(r.target);
        }
    }
    out
}

fn wrong_imports(files: &[Source], rules: &Rules) -> Vec<String> {
    let (known, mut out) = (modules(files), vec![]);
    for f in files.iter().filter(|f| f.module() != "lib") {
        let from = f.module();
        let Some(allowed) = rules.imports.get(from) else { continue };
        for r in f.references().iter().filter(|r| r.target != from) {
            let to = r.target.as_str();
            let in_tests = r.test && rules.test_imports[from].contains(to);
            if !known.contains(to) {
                out.push(format!(
                    "{}:{}: `crate::{to}` is no module: name the path where it is defined",
                    f.path, r.line
                ));
            } else if !allowed.contains(to) && !in_tests {
                out.push(format!("{}:{}: `{from}` may not import `{to}`", f.path, r.line));
            }
        }
    }
    out
}

/// Rows without a module, and modules without a row.
fn wrong_rows(files: &[Source], rules: &Rules) -> Vec<String> {
    let known = modules(files);
    let no_row = known.iter().filter(|m| !rules.imports.contains_key(**m));
    let no_module = rules.imports.keys().filter(|m| !known.contains(m.as_str()));
    no_row
        .map(|m| format!("`{m}` has no row in the table of imports"))
        .chain(no_module.map(|m| format!("the table of imports has a row for `{m}`, which is not in src")))
        .collect()
}

/// A cycle, first module repeated at its end.
fn cycle(edges: &Edges) -> Option<Vec<String>> {
    fn visit(at: &str, edges: &Edges, trail: &mut Vec<String>, done: &mut BTreeSet<String>) -> Option<Vec<String>> {
        if let Some(k) = trail.iter().position(|t| t == at) {
            return Some(trail[k..].iter().cloned().chain([at.to_string()]).collect());
        }
        if done.contains(at) {
            return None;
        }
        trail.push(at.into());
        let found = edges.get(at).into_iter().flatten().find_map(|to| visit(to, edges, trail, done));
        trail.pop();
        done.insert(at.into());
        found
    }
    let mut done = BTreeSet::new();
    edges.keys().find_map(|from| visit(from, edges, &mut vec![], &mut done))
}

fn wrong_files(files: &[Source]) -> Vec<String> {
    let mut out = vec![];
    for f in files {
        let purpose = f.text.lines().next().and_then(|l| l.strip_prefix("//! ")).is_some_and(|l| !l.trim().is_empty());
        if !purpose {
            out.push(format!("{}: the first line does not say what the file is for (`//! …`)", f.path));
        }
        let lines = f.text.lines().count();
        if lines > LONGEST {
            out.push(format!("{}: {lines} lines, more than {LONGEST}", f.path));
        }
    }
    out
}

/// Words in the product's code outside the folders where they may stand; `word!` means the macro.
fn wrong_words(files: &[Source], rules: &Rules) -> Vec<String> {
    let mut out = vec![];
    for f in files {
        let tokens = f.tokens();
        for (k, t) in tokens.iter().enumerate().filter(|(_, t)| !t.test) {
            let call = tokens.get(k + 1).is_some_and(|n| n.text == "!");
            let names = [Some(t.text.clone()), call.then(|| format!("{}!", t.text))];
            for name in names.into_iter().flatten() {
                let Some(allowed) = rules.words.get(&name) else { continue };
                if !allowed.iter().any(|a| f.path.starts_with(&format!("{a}/"))) {
                    out.push(format!("{}:{}: `{name}` may not stand here", f.path, t.line));
                }
            }
        }
    }
    out
}

fn none(violations: Vec<String>) {
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
}

#[test]
fn imports_follow_the_table() {
    none(wrong_imports(&tree(), &Rules::read()));
}

#[test]
fn the_table_has_the_modules_that_exist() {
    none(wrong_rows(&tree(), &Rules::read()));
}

#[test]
fn there_are_no_cycles() {
    assert_eq!(cycle(&edges(&tree(), false)), None);
    assert_eq!(cycle(&Rules::read().imports), None, "in the table");
}

#[test]
fn files_are_short_and_say_their_purpose() {
    none(wrong_files(&tree()));
}

#[test]
fn forbidden_words_stay_where_they_may() {
    none(wrong_words(&tree(), &Rules::read()));
}

/// Targets of links to files in a text: `[words](target)`, without the part after `#`.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    targets.filter(|t| !t.is_empty() && !t.starts_with("http")).collect()
}

#[test]
fn links_lead_to_files() {
    for name in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"] {
        let text = std::fs::read_to_string(root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        none(links(&text).iter().filter(|l| !root().join(l).exists()).map(|l| format!("{name}: {l}")).collect());
    }
}

#[test]
fn the_readme_shows_the_model_that_it_runs() {
    let read = |name: &str| std::fs::read_to_string(root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let model = read("models/eight_schools/model.thal");
    assert!(read("README.md").contains(&format!("```thal\n{model}```\n")), "README.md shows another eight schools");
}

/// The tests above are tests only if they fail on trees that are wrong on purpose.
mod on_wrong_trees {
    use super::*;

    const TABLES: &str = "# Title\n## Imports\ntext\n| module | may import | tests |\n|---|---|---|\n| `base` | nothing | |\n\
        | `graph` | `base` | `testing` |\n| `mcmc` | `base` | |\n| `testing` | `mcmc` | |\n## Forbidden patterns\n\
        | word | only in |\n|---|---|\n| `unsafe`, `todo!` | `base/simd` |\n";

    fn file(path: &str, text: &str) -> Source {
        Source { path: path.into(), text: text.into() }
    }

    /// A tree of one file beside the modules of the table.
    fn with(path: &str, text: &str) -> Vec<Source> {
        let good = ["base", "graph", "mcmc", "testing"].map(|m| file(&format!("{m}/mod.rs"), "//! Purpose.\n"));
        good.into_iter().chain([file(path, text)]).collect()
    }

    fn imports(path: &str, text: &str) -> Vec<String> {
        wrong_imports(&with(path, text), &Rules::parse(TABLES))
    }

    #[test]
    fn good_imports_pass() {
        none(imports(
            "graph/a.rs",
            "use crate::base::{rng::Stream, stats};\nuse super::build::Graph;\nuse crate::graph::op;",
        ));
        none(imports("graph/a.rs", "#[cfg(test)]\nmod tests { use super::super::op; use crate::testing::targets; }"));
        none(imports("graph/tests.rs", "use crate::testing::targets;"));
        none(imports("graph/a.rs", "// crate::mcmc::x\nconst A: &str = \"crate::mcmc\"; pub(crate) fn f() {}"));
        none(imports(
            "graph/a.rs",
            "/* /* */ crate::mcmc::x */ const A: &str = r#\"\"crate::mcmc\"#; const B: char = '\"';",
        ));
    }

    #[test]
    fn bad_imports_are_found_however_they_are_written() {
        let bad = [
            "use crate::mcmc::run;",
            "use crate::{base::rng, mcmc::{run, nuts}};",
            "use super::super::mcmc::run;",
            "use super::{super::mcmc};",
            "fn f() { let x = crate::mcmc::run::<f64>(); }",
            "mod inner { use super::super::super::mcmc as m; }",
            "macro_rules! m { () => { $crate::mcmc::run() } }",
            "const A: char = '\\''; fn f<'a>(x: &'a str) { crate::mcmc::run(x) }",
            "use crate::testing::targets;",
            "#[cfg(test)] use crate::testing::a; use crate::mcmc::b;",
        ];
        for text in bad {
            let found = imports("graph/a.rs", text);
            assert_eq!(found.len(), 1 + usize::from(text.contains("nuts")), "{text}: {found:?}");
            assert!(found[0].starts_with("graph/a.rs:1: `graph` may not import"), "{text}: {found:?}");
        }
    }

    #[test]
    fn imports_through_the_root_are_found() {
        for text in [
            "use crate::Graph;",
            "use crate::*;",
            "use super::super::*;",
            "use crate::{base, Graph};",
            "use crate::{self as c};",
        ] {
            let found = imports("graph/a.rs", text);
            assert!(found.len() == 1 && found[0].contains("is no module"), "{text}: {found:?}");
        }
    }

    #[test]
    fn rows_and_modules_must_agree() {
        let rules = Rules::parse(TABLES);
        none(wrong_rows(&with("lib.rs", ""), &rules));
        assert_eq!(wrong_rows(&with("extra.rs", ""), &rules).len(), 1);
        assert_eq!(wrong_rows(&with("lib.rs", "")[1..], &rules).len(), 1);
    }

    #[test]
    fn cycles_are_found_in_the_product_but_not_through_tests() {
        let round = |text: &str| edges(&[file("mcmc/a.rs", text), file("testing/b.rs", "use crate::mcmc::a;")], false);
        assert_eq!(cycle(&round("use crate::testing::b;")).map(|c| c.len()), Some(3));
        assert_eq!(cycle(&round("#[cfg(test)] mod tests { use crate::testing::b; }")), None);
    }

    #[test]
    fn long_files_and_files_without_a_purpose_are_found() {
        let long = format!("//! Purpose.\n{}", "\n".repeat(LONGEST - 1));
        none(wrong_files(&[file("base/a.rs", &long)]));
        assert_eq!(wrong_files(&[file("base/a.rs", &format!("{long}\n"))]).len(), 1);
        for text in ["", "use std::fmt;\n//! Late.", "//!\n", "/// Of an item.\n"] {
            assert_eq!(wrong_files(&[file("base/a.rs", text)]).len(), 1, "{text:?}");
        }
    }

    #[test]
    fn links_to_files_are_found() {
        assert_eq!(links("[a](b.md) [c](https://d) [e](#f) [g](h/i.md#j)"), ["b.md", "h/i.md"]);
    }

    #[test]
    fn forbidden_words_are_found() {
        let words = |path: &str, text: &str| wrong_words(&[file(path, text)], &Rules::parse(TABLES)).len();
        assert_eq!(words("graph/a.rs", "fn f() { unsafe { g() } }"), 1);
        assert_eq!(words("graph/a.rs", "fn f() { todo!() }"), 1);
        assert_eq!(words("base/simd/a.rs", "fn f() { unsafe { g() } }"), 0);
        assert_eq!(words("graph/a.rs", "/// unsafe\n#[cfg(test)] fn f() { unsafe { g(todo) } } fn todo() {}"), 0);
    }
}
