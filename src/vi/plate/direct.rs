//! Shared values that are params themselves: networks are handed to the rows without a way through the graph of the globals.

use super::target::{Feed, Target};
use crate::graph::{Graph, Op, Shape, Var};

/// Input and element that each element of `v` is a copy of, where it is one.
fn sources(g: &Graph, v: Var) -> Vec<Option<(usize, usize)>> {
    let node = g.node(v);
    let n = node.shape.count();
    match &node.op {
        Op::Input(k) => (0..n).map(|j| Some((*k as usize, j))).collect(),
        Op::Reshape => sources(g, node.args[0]),
        Op::Gather(index) => {
            let from = sources(g, node.args[0]);
            (0..n).map(|j| from[index.at(j)]).collect()
        }
        Op::Concat => node.args.iter().flat_map(|a| sources(g, *a)).collect(),
        _ => vec![None; n],
    }
}

/// Leaves in `target.shared` what has to be computed, and lets the places of groups and rows name params for the rest
/// ([`Target::shared`] says how places are counted). Before, all places are among the shared values.
pub fn name_params(target: &mut Target) {
    let g = &target.globals;
    let parts = match &g.node(target.shared).op {
        Op::Concat => g.node(target.shared).args.clone(),
        _ => vec![target.shared],
    };
    let param = |s: Option<(usize, usize)>| match s.map(|(k, j)| (&target.feeds[k], j)) {
        Some((Feed::Params(r), j)) => Some(r.start + j),
        _ => None,
    };
    let (mut places, mut kept, mut computed) = (vec![], vec![], target.params.len());
    for part in parts {
        let own: Option<Vec<usize>> = sources(g, part).into_iter().map(param).collect();
        let n = g.shape(part).count();
        places.extend(own.unwrap_or_else(|| {
            kept.push(part);
            computed += n;
            (computed - n..computed).collect()
        }));
    }
    target.shared = match kept.is_empty() {
        true => target.globals.constant(vec![], Shape::new(&[0])),
        false => target.globals.concat(&kept, Shape::new(&[computed - target.params.len()])),
    };
    let rename = |list: &mut Vec<u32>| list.iter_mut().for_each(|k| *k = places[*k as usize] as u32);
    for group in &mut target.groups {
        rename(&mut group.common);
        group.rows.iter_mut().for_each(|r| rename(&mut r.reads));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Index, Spread};
    use crate::vi::plate::Group;

    #[test]
    fn copies_of_params_are_named_and_the_rest_is_computed() {
        let mut globals = Graph::new();
        let w = globals.input("w", Shape::new(&[4]), Spread::Shared);
        let x = globals.input("x", Shape::new(&[2]), Spread::Shared);
        let part = globals.gather(w, Index::Stride { start: 1, stride: 1, len: 3 }, Shape::new(&[3]));
        let grown = globals.exp(part);
        let shared = globals.concat(&[part, grown, x, w], Shape::new(&[12]));
        let lp = globals.scalar(0.0);
        let group = Group {
            graph: Graph::new(),
            parts: vec![],
            elements: vec![],
            inside: None,
            common: (0..12).collect(),
            members: vec![],
            rows: vec![],
        };
        let mut t = Target {
            plate: "n".into(),
            globals,
            globals_lp: lp,
            shared,
            feeds: vec![Feed::Params(3..7), Feed::Coordinates(0..2)],
            params: vec![0.0; 7],
            coordinates: 2,
            dim: 1,
            inner: vec![],
            inputs: vec![],
            sets: vec![],
            groups: vec![group],
        };
        name_params(&mut t);
        assert_eq!(t.groups[0].common, [4, 5, 6, 7, 8, 9, 10, 11, 3, 4, 5, 6]);
        assert_eq!(t.globals.shape(t.shared).count(), 5);
    }
}
