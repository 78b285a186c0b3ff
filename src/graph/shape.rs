//! Shapes and flat index maps.

use std::sync::Arc;

/// Sizes of up to six axes, row-major; rank 0 is a scalar.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    dims: [usize; 6],
    rank: u8,
}

impl Shape {
    /// The scalar shape.
    pub const SCALAR: Shape = Shape { dims: [1; 6], rank: 0 };

    /// Shape with the given sizes.
    ///
    /// # Panics
    /// With more than six axes; callers check ranks where the user can choose them.
    pub fn new(dims: &[usize]) -> Self {
        assert!(dims.len() <= 6, "rank {} is above 6", dims.len());
        let mut d = [1; 6];
        d[..dims.len()].copy_from_slice(dims);
        Shape { dims: d, rank: dims.len() as u8 }
    }

    /// Sizes, outermost first.
    pub fn dims(&self) -> &[usize] {
        &self.dims[..self.rank as usize]
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.rank as usize
    }

    /// Number of elements.
    pub fn count(&self) -> usize {
        self.dims().iter().product()
    }

    /// True for rank 0.
    pub fn is_scalar(&self) -> bool {
        self.rank == 0
    }
}

impl std::fmt::Debug for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.dims())
    }
}

/// A map from flat output positions to flat source positions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Index {
    /// `j -> start + j * stride`
    Stride {
        /// Source position of output 0.
        start: usize,
        /// Step between neighbours; may be negative.
        stride: isize,
        /// Number of outputs.
        len: usize,
    },
    /// `j -> j / each`: every source element `each` times in a row.
    Repeat {
        /// Copies of each element.
        each: usize,
        /// Number of outputs.
        len: usize,
    },
    /// `j -> j % period`: the source again and again.
    Tile {
        /// Source length.
        period: usize,
        /// Number of outputs.
        len: usize,
    },
    /// `j -> table[j]`
    Table(Arc<[u32]>),
}

impl Index {
    /// Number of outputs.
    pub fn len(&self) -> usize {
        match self {
            Index::Stride { len, .. } | Index::Repeat { len, .. } | Index::Tile { len, .. } => *len,
            Index::Table(t) => t.len(),
        }
    }

    /// True where there is no output.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Source position of output `j`.
    #[inline]
    pub fn at(&self, j: usize) -> usize {
        match self {
            Index::Stride { start, stride, .. } => (*start as isize + j as isize * stride) as usize,
            Index::Repeat { each, .. } => j / each,
            Index::Tile { period, .. } => j % period,
            Index::Table(t) => t[j] as usize,
        }
    }

    /// The simplest form of a table.
    pub fn from_table(t: Vec<u32>) -> Index {
        let len = t.len();
        if len < 2 {
            return Index::Stride { start: t.first().map_or(0, |&s| s as usize), stride: 1, len };
        }
        let stride = t[1] as isize - t[0] as isize;
        if stride != 0 && t.windows(2).all(|w| w[1] as isize - w[0] as isize == stride) {
            return Index::Stride { start: t[0] as usize, stride, len };
        }
        if t[0] == 0 {
            let each = t.iter().take_while(|&&s| s == 0).count();
            if t.iter().enumerate().all(|(j, &s)| s as usize == j / each) {
                return Index::Repeat { each, len };
            }
            let period = t.iter().skip(1).position(|&s| s == 0).map_or(len, |p| p + 1);
            if t.iter().enumerate().all(|(j, &s)| s as usize == j % period) {
                return Index::Tile { period, len };
            }
        }
        Index::Table(t.into())
    }

    /// `self` after `inner`: the map `j -> inner.at(self.at(j))`.
    pub fn then(&self, inner: &Index) -> Index {
        if let (Index::Stride { start, stride, len }, Index::Stride { start: s0, stride: d0, .. }) = (self, inner) {
            let start = (*s0 as isize + *start as isize * d0) as usize;
            return Index::Stride { start, stride: stride * d0, len: *len };
        }
        Index::from_table((0..self.len()).map(|j| inner.at(self.at(j)) as u32).collect())
    }

    /// True where it maps `0..n` onto itself in order.
    pub fn is_identity(&self, n: usize) -> bool {
        matches!(self, Index::Stride { start: 0, stride: 1, len } if *len == n)
            || (n == 1 && self.len() == 1 && self.at(0) == 0)
    }
}
