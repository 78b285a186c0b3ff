//! Log densities at draws of innermost rows, summed by the row whose latents they read.

use super::graph::transposed;
use super::target::{Group, Inside, Part};
use crate::graph::batch::batch;
use crate::graph::{Fold, Graph, Index, Shape, Spread, Var};
use crate::guide::nested::assembled;

/// Log densities at the draws: of innermost rows `[L, K]` of prior and likelihood, and of all else.
pub fn density(
    g: &mut Graph,
    group: &Group,
    inside: &Inside,
    k: usize,
    points: &[Option<(usize, Var)>],
    [common, reads, data]: [Var; 3],
) -> [Var; 4] {
    let nest = &inside.nest;
    let innermost = (1..nest.coordinates.len()).filter(|l| nest.is_leaf(*l)).map(|l| nest.rows(l)).sum();
    let mut p = Graph::new();
    let mut input = |name: &str, n: usize| p.input(name, Shape::new(&[n]), Spread::Shared);
    let mut given = vec![];
    for (name, v) in [("common", common), ("reads", reads), ("data", data)] {
        given.push((input(name, g.shape(v).count()), v, false));
    }
    let at: Vec<Var> = points
        .iter()
        .enumerate()
        .filter_map(|(level, point)| {
            let (n, v) = (*point)?;
            let own = input("point", n);
            given.push((own, v, level > 0 && nest.is_leaf(level)));
            Some(own)
        })
        .collect();
    let z = assembled(&mut p, nest, &at);
    let elements = p.inline(&group.graph, &[z, given[0].0, given[1].0, given[2].0], &group.elements);
    let of = |p: &mut Graph, part: Part| {
        let mine = group.parts.iter().zip(&elements).zip(&inside.owners).filter(|((k, _), _)| k.0 == part);
        by_owner(p, &mine.map(|((_, v), owners)| (*v, &owners[..])).collect::<Vec<_>>(), innermost)
    };
    let (prior, prior_rest) = of(&mut p, Part::Prior);
    let (likelihood, likelihood_rest) = of(&mut p, Part::Likelihood);
    let batched: Vec<bool> = given.iter().map(|i| i.2).collect();
    let (many, out) = batch(&p, &[prior, likelihood, prior_rest, likelihood_rest], &batched, k);
    let values: Vec<Var> = given.iter().map(|i| i.1).collect();
    let out = g.inline(&many, &values, &out);
    // What reads no innermost row is the same for each of its draws.
    let mut first = |v: Var| g.gather(v, Index::Stride { start: 0, stride: 1, len: 1 }, Shape::SCALAR);
    let rest = [first(out[2]), first(out[3])];
    [transposed(g, out[0]), transposed(g, out[1]), rest[0], rest[1]]
}

/// Sums of elements by innermost row `[L]`, and of those of none.
fn by_owner(p: &mut Graph, parts: &[(Var, &[u32])], innermost: usize) -> (Var, Var) {
    let owners: Vec<u32> = parts.iter().flat_map(|(_, o)| o.iter().copied()).collect();
    let n = owners.len();
    let zero = p.constant(vec![0.0], Shape::new(&[1]));
    let mut all: Vec<Var> = parts.iter().map(|(v, o)| p.reshape(*v, Shape::new(&[o.len()]))).collect();
    all.push(zero);
    let flat = p.concat(&all, Shape::new(&[n + 1]));
    let of = |owner: u32| (0..n as u32).filter(|j| owners[*j as usize] == owner).collect::<Vec<u32>>();
    let lists: Vec<Vec<u32>> = (1..=innermost as u32).map(of).collect();
    let width = lists.iter().map(|l| l.len()).max().unwrap_or(0);
    // Shorter rows are filled up with the zero behind all elements.
    let filled = |l: &Vec<u32>| (0..width).map(|j| l.get(j).copied().unwrap_or(n as u32)).collect::<Vec<_>>();
    let table: Vec<u32> = lists.iter().flat_map(filled).collect();
    let rows = p.gather(flat, Index::from_table(table), Shape::new(&[innermost, width]));
    let rest = of(0);
    let m = rest.len();
    let rest = p.gather(flat, Index::from_table(rest), Shape::new(&[m]));
    (p.fold(Fold::Sum, rows, 1), p.sum(rest))
}
