//! From a model with a separable plate to what amortized training needs.

use crate::dsl::diagnostic::Diagnostic;
use crate::model::posterior::{Model, ModelError, Posterior, wrong};
use crate::model::row::choose::PlateNameError;
use crate::model::row::input::RowInput;
use crate::model::row::members::{Members, Set};
use crate::model::row::{RowGroup, RowModel};
use crate::model::separable::{Assignment, Plate};
use crate::model::site::FactorKind;
use crate::vi::plate::{Feed, Group, Part, Row, Target, name_params};
use crate::workflow::inside::{Insides, insides};

/// Why a plate cannot be amortized.
#[derive(Debug, thiserror::Error)]
pub enum PlateError {
    /// No plate has latents.
    #[error(
        "the model has no separable plate with latents, so there is nothing to amortize; fit a guide without --plate, or put the latents of a row inside its plate"
    )]
    NoPlate,
    /// The name is of none with latents.
    #[error("--plate: {0}")]
    Name(#[from] PlateNameError),
    /// It has no rows.
    #[error("plate `{plate}` has no rows: there is nothing to learn from; give data with at least one")]
    Empty {
        /// Its index variable.
        plate: String,
    },
    /// Only discrete latents.
    #[error(
        "the latents of plate `{plate}` ({latents}) are discrete: they are summed out exactly, and an encoder or a flow has nothing to do; use `thalweg sample`, which draws them exactly"
    )]
    Discrete {
        /// Its index variable.
        plate: String,
        /// Their names.
        latents: String,
    },
    /// A factor couples rows.
    #[error(transparent)]
    Coupled(#[from] ModelError),
    /// Rows with latents of different sizes.
    #[error(
        "rows {a} and {b} of plate `{plate}` have {dim_a} and {dim_b} latent coordinates; an encoder needs as many in each row: amortize an inner plate (--plate)"
    )]
    Ragged {
        /// Its index variable.
        plate: String,
        /// A row, from 1.
        a: usize,
        /// Another.
        b: usize,
        /// Coordinates of the first.
        dim_a: usize,
        /// Coordinates of the other.
        dim_b: usize,
    },
    /// Rows with different amounts of data that are no sets.
    #[error(
        "rows of plate `{plate}` have {least} to {most} numbers of data, which are not members of equal form; an encoder needs as many in each row, or sets: say what it reads with `encode(…)`"
    )]
    Inputs {
        /// Its index variable.
        plate: String,
        /// Fewest.
        least: usize,
        /// Most.
        most: usize,
    },
    /// Rows without data of their own.
    #[error(
        "no data belong to a single row of plate `{plate}`, so an encoder has nothing to read; rows that read other rows' data have none of their own"
    )]
    NoInput {
        /// Its index variable.
        plate: String,
    },
    /// A number that is not finite.
    #[error(
        "{name} of row {row} is {value}, and an encoder cannot read it; leave the row out, or declare the missing value"
    )]
    NotFinite {
        /// The element of the data.
        name: String,
        /// Row, from 1.
        row: usize,
        /// Its value.
        value: f64,
    },
}

/// The plate to amortize: the one that is named, by its index or a latent; else the first separable one with latents.
///
/// # Errors
/// Where there is none, or it is not separable.
pub fn choose<'a>(
    model: &Model,
    post: &'a Posterior,
    name: Option<&str>,
) -> Result<(&'a Plate, Assignment), PlateError> {
    let local = |p: &&Plate| !p.sites.is_empty() || !p.discrete.is_empty();
    let assign = |p: &'a Plate| post.assign(p).ok().filter(|_| p.rows > 0).map(|a| (p, a));
    let plate = match name {
        Some(name) => post.plate_named(name)?,
        None => match post.plates.iter().filter(|p| !p.sites.is_empty()).find_map(assign) {
            Some(found) => return Ok(found),
            None => post.plates.iter().find(local).ok_or(PlateError::NoPlate)?,
        },
    };
    if plate.rows == 0 {
        return Err(PlateError::Empty { plate: plate.name.clone() });
    }
    if plate.sites.is_empty() {
        if plate.discrete.is_empty() {
            return Err(PlateError::NoPlate);
        }
        let latents = post.block(plate).join(", ");
        return Err(PlateError::Discrete { plate: plate.name.clone(), latents });
    }
    let assigned = post.assign(plate).map_err(|c| coupled(model, c.diagnostic))?;
    Ok((plate, assigned))
}

fn coupled(model: &Model, d: Diagnostic) -> PlateError {
    PlateError::Coupled(wrong(&model.file, &model.source, d))
}

/// The chosen plate as training sees it. `post` is bound with params as inputs.
///
/// # Errors
/// Where rows differ in what an encoder needs to be equal.
pub fn target(post: &Posterior, (plate, assigned): &(&Plate, Assignment)) -> Result<Target, PlateError> {
    let input = post.row_input(plate, assigned);
    let seen = seen(post, plate, assigned, &input)?;
    let rows = post.rows(plate, assigned);
    let inside = insides(post, plate, assigned, &rows);
    let dim = match &inside {
        Some(i) => i.dim,
        None => same_size(plate, &rows)?,
    };
    let (feeds, params, coordinates) = feeds(post, plate);
    let mut target = Target {
        plate: plate.name.clone(),
        groups: vec![],
        globals: rows.globals,
        globals_lp: rows.globals_lp,
        shared: rows.shared,
        feeds,
        params,
        coordinates,
        dim,
        inner: inside.as_ref().map_or(vec![], |i| i.levels.clone()),
        inputs: seen.names.clone(),
        sets: seen.sets.clone(),
    };
    target.groups = rows.groups.into_iter().flat_map(|g| groups(g, &seen, inside.as_ref())).collect();
    name_params(&mut target);
    Ok(target)
}

/// The rows of one recipe: a group for each size of the sets that an encoder sees, and each place of rows inside.
fn groups(g: RowGroup, seen: &Seen, inside: Option<&Insides>) -> Vec<Group> {
    let part = |k: FactorKind| match k {
        FactorKind::Prior | FactorKind::Jacobian => Part::Prior,
        FactorKind::Likelihood | FactorKind::Factor => Part::Likelihood,
    };
    let RowGroup { graph, parts, elements, common, rows, .. } = g;
    let parts: Vec<_> = parts.iter().map(|(k, v)| (part(*k), *v)).collect();
    let mut out: Vec<Group> = vec![];
    for r in rows {
        let (members, own) = (&seen.sizes[r.row], inside.map(|i| &i.rows[r.row]));
        let at = out.iter().position(|g| g.members == *members && g.inside.as_ref() == own).unwrap_or_else(|| {
            let (graph, parts, elements) = (graph.clone(), parts.clone(), elements.clone());
            let (common, members) = (common.clone(), members.clone());
            out.push(Group { graph, parts, elements, inside: own.cloned(), common, members, rows: vec![] });
            out.len() - 1
        });
        let inner = inside.map_or(vec![], |i| i.seen[r.row].clone());
        out[at].rows.push(Row { row: r.row, reads: r.reads, data: r.data, seen: seen.values[r.row].clone(), inner });
    }
    out
}

/// What the encoder reads of every row.
struct Seen {
    /// Of each column.
    names: Vec<String>,
    /// Numbers of a member of each set.
    sets: Vec<usize>,
    /// By row: its numbers, then the members of each set.
    values: Vec<Vec<f64>>,
    /// By row: how many members each set has.
    sizes: Vec<Vec<usize>>,
}

/// Rows of one size are read in their order, others as sets.
fn seen(post: &Posterior, plate: &Plate, assigned: &Assignment, input: &RowInput) -> Result<Seen, PlateError> {
    let name = || plate.name.clone();
    let (least, most) = input.sizes();
    if most == 0 {
        return Err(PlateError::NoInput { plate: name() });
    }
    let row = |r: usize| {
        let values = input.values(post, r);
        match values.iter().position(|v| !v.is_finite()) {
            Some(k) => {
                let name = input.names(post, r).swap_remove(k);
                Err(PlateError::NotFinite { name, row: r + 1, value: values[k] })
            }
            None => Ok(values),
        }
    };
    let values = (0..plate.rows).map(row).collect::<Result<Vec<_>, _>>()?;
    if least == most {
        let sizes = vec![vec![]; plate.rows];
        return Ok(Seen { names: input.names(post, 0), sets: vec![], values, sizes });
    }
    let members = post.members(plate, assigned, input);
    let members = members.ok_or_else(|| PlateError::Inputs { plate: name(), least, most })?;
    Ok(as_sets(post, &members))
}

/// A row's numbers, log(1 + size) of each set, then the members, with their places where these count.
fn as_sets(post: &Posterior, m: &Members) -> Seen {
    let name = |d: &usize| post.data[*d].name.clone();
    let mut names: Vec<String> = m.flat.iter().map(name).collect();
    let list = |s: &Set| s.features.iter().map(name).collect::<Vec<_>>();
    names.extend(m.sets.iter().map(|s| format!("number of {}", list(s).join(", "))));
    for s in &m.sets {
        names.extend(list(s));
        names.extend(s.ordered.then(|| "place".to_string()));
    }
    let row = |r: usize| {
        let value = |(d, e): &(usize, u32)| post.data[*d].values[*e as usize];
        let (flat, mut rest) = m.rows[r].split_at(m.flat.len());
        let mut out: Vec<f64> = flat.iter().map(value).collect();
        out.extend(m.sizes[r].iter().map(|n| (*n as f64).ln_1p()));
        for (set, size) in m.sets.iter().zip(&m.sizes[r]) {
            for place in 0..*size {
                let (member, tail) = rest.split_at(set.features.len());
                out.extend(member.iter().map(value));
                out.extend(set.ordered.then_some((place + 1) as f64));
                rest = tail;
            }
        }
        out
    };
    let sets = m.sets.iter().map(|s| s.features.len() + usize::from(s.ordered)).collect();
    Seen { names, sets, values: (0..m.rows.len()).map(row).collect(), sizes: m.sizes.clone() }
}

/// Latent coordinates of a row.
fn same_size(plate: &Plate, rows: &RowModel) -> Result<usize, PlateError> {
    let mut all = rows.groups.iter().flat_map(|g| &g.rows).map(|r| (r.row, r.coordinates.len()));
    let Some((a, dim)) = all.next() else { return Err(PlateError::Empty { plate: plate.name.clone() }) };
    match all.find(|r| r.1 != dim) {
        Some((b, other)) => {
            let plate = plate.name.clone();
            Err(PlateError::Ragged { plate, a: a + 1, b: b + 1, dim_a: dim, dim_b: other })
        }
        None => Ok(dim),
    }
}

/// Where the inputs of the graph of the globals come from, start of the params, coordinates of the globals.
fn feeds(post: &Posterior, plate: &Plate) -> (Vec<Feed>, Vec<f64>, usize) {
    let (mut feeds, mut params, mut coordinates) = (vec![], vec![], 0);
    for input in post.graph.inputs() {
        if let Some(at) = post.sites.iter().position(|s| s.input == input.var) {
            let n = post.sites[at].free;
            feeds.push(match plate.sites.iter().any(|i| i.at == at) {
                true => Feed::Unused(n),
                false => Feed::Coordinates(coordinates..coordinates + n),
            });
            coordinates += if plate.sites.iter().any(|i| i.at == at) { 0 } else { n };
            continue;
        }
        let inputs = post.params.iter().filter_map(|p| p.input.as_ref());
        let start = inputs.filter(|p| p.node == input.var).flat_map(|p| p.start.iter().copied());
        let from = params.len();
        params.extend(start);
        feeds.push(Feed::Params(from..params.len()));
    }
    (feeds, params, coordinates)
}
