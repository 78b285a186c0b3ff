//! Order of execution: which nodes form one loop, and what runs before what.
//!
//! A node runs either in a straight sequence or in a loop over the elements of its domain. Depths count the
//! barriers on the way from the inputs: an edge costs nothing inside the sequence and from element to
//! element of one loop, and 1 elsewhere. Nodes of one loop domain and one depth share a loop.

use std::collections::HashMap;

use super::lir::{Lir, Op, V};

/// The domain of a loop: how many elements, and whether each has lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Domain {
    pub n: usize,
    pub wide: bool,
}

/// Where a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Place {
    /// Nowhere: inputs, data, views.
    Leaf,
    Sequence,
    Loop(Domain),
}

/// A part of the program without inner barriers, nodes in order.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub place: Place,
    pub nodes: Vec<V>,
}

/// Order of a matrix from which a particle's own work fills the vectors and its own data the cache.
const LARGE: usize = 48;

/// True where large matrices differ by particle: one particle after another is faster then.
pub(super) fn has_large_matrices(lir: &Lir) -> bool {
    lir.nodes.iter().any(|node| match node.op {
        Op::Square { n, .. } => node.wide && n >= LARGE && lir.node(node.args[0]).wide,
        Op::MatMul(p) => {
            let both = node.args.iter().all(|a| lir.node(*a).wide);
            both && p.m * p.k * p.n >= LARGE * LARGE * LARGE
        }
        _ => false,
    })
}

/// The groups in order of execution.
pub(super) fn schedule(lir: &Lir, lanes: usize, small: usize) -> Vec<Group> {
    let places: Vec<Place> = (0..lir.nodes.len()).map(|i| place(lir, V(i as u32), lanes, small)).collect();
    let mut depth = earliest(lir, &places);
    settle(lir, &places, &mut depth);
    sink(lir, &places, &mut depth);
    let mut groups: HashMap<(u32, Place), Vec<V>> = HashMap::new();
    for i in 0..lir.nodes.len() {
        if places[i] != Place::Leaf {
            let key = (depth[i], places[i]);
            groups.entry(key).or_default().push(V(i as u32));
        }
    }
    let mut order: Vec<((u32, Place), Vec<V>)> = groups.into_iter().collect();
    order.sort_by_key(|g| g.0);
    order.into_iter().map(|((_, place), nodes)| Group { place, nodes }).collect()
}

/// The node whose elements a node goes through, where that is not itself.
fn source(lir: &Lir, v: V) -> V {
    match lir.node(v).op {
        Op::Sum | Op::Dot | Op::Deposit { .. } | Op::DataColumns { .. } => lir.node(v).args[0],
        _ => v,
    }
}

fn place(lir: &Lir, v: V, lanes: usize, small: usize) -> Place {
    match lir.node(v).op {
        Op::Input(_) | Op::Const(_) | Op::Slice(_) | Op::Proj(_) => return Place::Leaf,
        Op::Map(_)
        | Op::Gather(_)
        | Op::Fill
        | Op::Sum
        | Op::Dot
        | Op::Deposit { .. }
        | Op::DataRows { .. }
        | Op::DataColumns { .. } => {}
        _ => return Place::Sequence,
    }
    let over = lir.node(source(lir, v));
    let count = over.n * if over.wide { lanes } else { 1 };
    if count <= small || (over.wide != lir.node(v).wide) {
        return Place::Sequence;
    }
    Place::Loop(Domain { n: over.n, wide: over.wide })
}

/// True where the elements of `a` can be handed to `v` inside one loop.
pub(super) fn flows(lir: &Lir, a: V, v: V) -> bool {
    let pointwise = matches!(lir.node(a).op, Op::Map(_) | Op::Gather(_) | Op::Fill | Op::DataRows { .. });
    pointwise && reads_elements(lir, a, v)
}

/// True where `v` reads `a` element by element.
pub(super) fn reads_elements(lir: &Lir, a: V, v: V) -> bool {
    let node = lir.node(v);
    match node.op {
        Op::Map(_) | Op::Dot => lir.node(a).n == lir.node(source(lir, v)).n,
        Op::Sum | Op::DataColumns { .. } => true,
        Op::Deposit { .. } => node.args[0] == a && node.args.get(1) != Some(&a),
        _ => false,
    }
}

/// Barriers between an argument and its reader.
fn cost(lir: &Lir, places: &[Place], a: V, v: V) -> u32 {
    let (from, to) = (places[a.at()], places[v.at()]);
    match (from, to) {
        (Place::Leaf, _) => 0,
        (_, Place::Leaf) => 0,
        (Place::Sequence, Place::Sequence) => 0,
        (Place::Loop(x), Place::Loop(y)) if x == y && flows(lir, a, v) => 0,
        _ => 1,
    }
}

/// A view hands on what it shows; reading a view of a loop's result is a barrier like reading the result.
fn earliest(lir: &Lir, places: &[Place]) -> Vec<u32> {
    let mut depth: Vec<u32> = vec![0; places.len()];
    for i in 0..places.len() {
        let v = V(i as u32);
        depth[i] = lir.nodes[i].args.iter().map(|&a| depth[a.at()] + edge(lir, places, a, v)).max().unwrap_or(0);
    }
    depth
}

/// Like [`cost`], seen through views: what a view shows stands where its root stands.
fn edge(lir: &Lir, places: &[Place], a: V, v: V) -> u32 {
    if places[v.at()] == Place::Leaf {
        return 0;
    }
    let root = root(lir, places, a);
    if root != a {
        let same = places[root.at()] == Place::Sequence && places[v.at()] == Place::Sequence;
        return (!same && places[root.at()] != Place::Leaf) as u32;
    }
    cost(lir, places, a, v)
}

/// What a chain of views shows.
fn root(lir: &Lir, places: &[Place], mut a: V) -> V {
    while places[a.at()] == Place::Leaf
        && let Some(&inner) = lir.node(a).args.first()
    {
        a = inner;
    }
    a
}

/// Moves loops later to join loops over the same domain: a connected piece of a loop moves where all
/// its readers allow it.
fn settle(lir: &Lir, places: &[Place], depth: &mut [u32]) {
    let mut levels: HashMap<Place, Vec<u32>> = HashMap::new();
    for i in 0..places.len() {
        if matches!(places[i], Place::Loop(_)) {
            levels.entry(places[i]).or_default().push(depth[i]);
        }
    }
    levels.values_mut().for_each(|d| {
        d.sort_unstable();
        d.dedup();
    });
    if levels.values().all(|d| d.len() < 2) {
        return;
    }
    let readers = readers(lir);
    let pieces = pieces(lir, places, depth);
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    order.sort_by_key(|&p| std::cmp::Reverse(depth[pieces[p][0].at()]));
    for p in order {
        let piece = &pieces[p];
        let here = depth[piece[0].at()];
        let levels = &levels[&places[piece[0].at()]];
        let latest = piece
            .iter()
            .flat_map(|&v| readers[v.at()].iter().map(move |&r| (v, r)))
            .filter(|(_, r)| !piece.contains(r))
            .map(|(v, r)| depth[r.at()].saturating_sub(edge(lir, places, v, r)))
            .min();
        let Some(latest) = latest else { continue };
        let later = levels.iter().rev().find(|&&d| d > here && d <= latest);
        if let Some(&d) = later {
            piece.iter().for_each(|v| depth[v.at()] = d);
        }
    }
}

/// Moves formulas of one array to the loop that reads them, where the array is there anyway: what was an array
/// between the loops is then computed tile by tile (the derivative of a function from its value).
fn sink(lir: &Lir, places: &[Place], depth: &mut [u32]) {
    let readers = readers(lir);
    let handed = |depth: &[u32], a: V, r: V| {
        places[a.at()] == places[r.at()] && depth[a.at()] == depth[r.at()] && flows(lir, a, r)
    };
    for i in (0..lir.nodes.len()).rev() {
        let (v, node) = (V(i as u32), &lir.nodes[i]);
        if !matches!((&node.op, places[i]), (Op::Map(_), Place::Loop(_))) || lir.outputs.contains(&v) {
            continue;
        }
        let ready = readers[i].iter().all(|r| places[r.at()] == places[i] && flows(lir, v, *r));
        let Some(later) = readers[i].iter().map(|r| depth[r.at()]).min().filter(|d| ready && *d > depth[i]) else {
            continue;
        };
        let mut arrays: Vec<V> = node.args.iter().copied().filter(|a| lir.node(*a).n != 1).collect();
        arrays.dedup();
        let kept = |a: V| {
            let others = || readers[a.at()].iter().any(|r| *r != v && !handed(depth, a, *r));
            !handed(depth, a, v) || lir.outputs.contains(&a) || others()
        };
        if arrays.len() == 1 && kept(arrays[0]) {
            depth[i] = later;
        }
    }
}

/// Readers of each node, views followed to what reads them.
fn readers(lir: &Lir) -> Vec<Vec<V>> {
    let mut readers: Vec<Vec<V>> = vec![vec![]; lir.nodes.len()];
    for i in (0..lir.nodes.len()).rev() {
        let through = matches!(lir.nodes[i].op, Op::Slice(_) | Op::Proj(_));
        for &a in &lir.nodes[i].args {
            if through {
                let own = readers[i].clone();
                readers[a.at()].extend(own);
            } else {
                readers[a.at()].push(V(i as u32));
            }
        }
    }
    readers
}

/// Connected pieces of the loops: nodes that hand elements to one another.
fn pieces(lir: &Lir, places: &[Place], depth: &[u32]) -> Vec<Vec<V>> {
    let mut parent: Vec<usize> = (0..lir.nodes.len()).collect();
    fn find(parent: &mut [usize], mut i: usize) -> usize {
        while parent[i] != i {
            parent[i] = parent[parent[i]];
            i = parent[i];
        }
        i
    }
    for i in 0..lir.nodes.len() {
        for &a in &lir.nodes[i].args {
            let joined =
                places[i] == places[a.at()] && depth[i] == depth[a.at()] && matches!(places[i], Place::Loop(_));
            if joined {
                let (x, y) = (find(&mut parent, i), find(&mut parent, a.at()));
                parent[x] = y;
            }
        }
    }
    let mut pieces: HashMap<usize, Vec<V>> = HashMap::new();
    for i in 0..lir.nodes.len() {
        if matches!(places[i], Place::Loop(_)) {
            let r = find(&mut parent, i);
            pieces.entry(r).or_default().push(V(i as u32));
        }
    }
    let mut pieces: Vec<Vec<V>> = pieces.into_values().collect();
    pieces.sort();
    pieces
}
