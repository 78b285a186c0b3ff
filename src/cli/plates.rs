//! The plates of a model for `check --plan`: which are separable, their blocks, what informs a row.

use std::fmt::Write;

use crate::model::posterior::{Model, Posterior};
use crate::model::row::input::{InputKind, RowInput};
use crate::model::separable::{Coupled, Plate};
use crate::report::table::columns;
use crate::workflow::describe::place;

/// A table of plates, and why some are not separable; nothing for a model without plates.
pub fn plates(model: &Model, p: &Posterior) -> String {
    if p.plates.is_empty() {
        return String::new();
    }
    let (mut rows, mut reasons) = (vec![], String::new());
    for plate in &p.plates {
        let (separable, input) = match p.assign(plate) {
            Ok(assigned) => ("yes".to_string(), size(&p.row_input(plate, &assigned))),
            Err(e) => {
                reason(&mut reasons, model, &e);
                ("no".to_string(), String::new())
            }
        };
        let at = place(&model.source, plate.span);
        rows.push(vec![plate.name.clone(), at, plate.rows.to_string(), block(p, plate), separable, input]);
    }
    let mut out = "plates\n".to_string();
    out += &columns(&["index", "line", "rows", "latents of a row", "separable", "data of a row"], &rows);
    out + &reasons
}

fn block(p: &Posterior, plate: &Plate) -> String {
    let names = p.block(plate);
    if names.is_empty() { "none".to_string() } else { names.join(", ") }
}

fn size(input: &RowInput) -> String {
    let kind = match input.kind {
        InputKind::Vector => "vector of",
        InputKind::Set => "set of",
        InputKind::Sequence => "sequence of",
    };
    match input.sizes() {
        (a, b) if a == b => format!("{kind} {a}"),
        (a, b) => format!("{kind} {a} to {b}"),
    }
}

fn reason(out: &mut String, model: &Model, e: &Coupled) {
    let d = &e.diagnostic;
    let _ = writeln!(out, "  {}: {}", place(&model.source, d.span), d.message);
}
