//! Plates with latents inside the rows of an amortized plate, as training sees them.

use crate::guide::nested::Nest;
use crate::model::posterior::Posterior;
use crate::model::row::RowModel;
use crate::model::row::input::RowInput;
use crate::model::row::nested::RowLevels;
use crate::model::separable::{Assignment, Plate};
use crate::vi::plate::{Inner, Inside};

/// What there is inside the rows of a plate.
pub struct Insides {
    /// Latent coordinates of a row, those of rows inside aside.
    pub dim: usize,
    /// The levels inside.
    pub levels: Vec<Inner>,
    /// For each row where its latents are.
    pub rows: Vec<Inside>,
    /// For each row what the encoders of its inner rows see, level after level.
    pub seen: Vec<Vec<f64>>,
}

/// The levels inside a plate; none where there are none, or where rows of a level differ in their latents or in what their
/// encoder reads: then one guide has all latents of a row.
pub fn insides(post: &Posterior, plate: &Plate, assigned: &Assignment, rows: &RowModel) -> Option<Insides> {
    let levels = post.levels(plate, assigned, rows)?;
    let nests: Vec<Nest> = levels.rows.iter().map(|r| nest(&levels.parents, r)).collect();
    let dims: Vec<usize> = (0..levels.plates.len()).map(|l| same(&nests, l)).collect::<Option<_>>()?;
    let inputs: Vec<RowInput> = levels.plates[1..]
        .iter()
        .map(|at| {
            let inner = &post.plates[*at];
            let input = post.row_input(inner, &post.assign(inner).ok()?);
            let (least, most) = input.sizes();
            (least == most).then_some(input)
        })
        .collect::<Option<_>>()?;
    let level = |(k, input): (usize, &RowInput)| Inner {
        plate: post.plates[levels.plates[k + 1]].name.clone(),
        parent: levels.parents[k],
        dim: dims[k + 1],
        inputs: input.sizes().0,
    };
    let of_row = |r: &RowLevels| {
        let own = inputs.iter().zip(&r.inner[1..]);
        own.flat_map(|(input, list)| list.iter().flat_map(|q| input.values(post, *q as usize))).collect()
    };
    let seen = levels.rows.iter().map(of_row).collect();
    let inner = inputs.iter().enumerate().map(level).collect();
    let rows = nests.into_iter().zip(levels.rows).map(|(nest, r)| Inside { nest, owners: r.owners }).collect();
    Some(Insides { dim: dims[0], levels: inner, rows, seen })
}

fn nest(levels: &[usize], r: &RowLevels) -> Nest {
    let mut coordinates: Vec<Vec<Vec<u32>>> = r.inner.iter().map(|rows| vec![vec![]; rows.len()]).collect();
    for (k, (level, place)) in r.coordinates.iter().enumerate() {
        coordinates[*level as usize][*place as usize].push(k as u32);
    }
    Nest { coordinates, levels: levels.to_vec(), parents: r.parents.clone() }
}

/// Coordinates of each row of a level, where all have as many; at least one.
fn same(nests: &[Nest], level: usize) -> Option<usize> {
    let mut all = nests.iter().flat_map(|n| &n.coordinates[level]).map(|c| c.len());
    let first = all.next().filter(|n| *n > 0)?;
    all.all(|n| n == first).then_some(first)
}
