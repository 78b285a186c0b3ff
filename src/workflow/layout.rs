//! Which of the computed values of a draw are kept, and under which names.

use crate::model::compiled::Compiled;
use crate::model::posterior::Posterior;
use crate::workflow::predict::Predict;

/// The kept elements of the output of [`Compiled::values`], in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    /// Names: `mu`, `theta[2,3]`.
    pub names: Vec<String>,
    /// Position of each in the output.
    pub positions: Vec<usize>,
    /// How many of the names belong to latents; they come first.
    pub latents: usize,
    /// Names with how many elements each has, in order.
    pub groups: Vec<(String, usize)>,
    /// Length of the output.
    pub width: usize,
}

impl Layout {
    /// Every existing element of every latent with coordinates, then every report.
    pub fn new(compiled: &Compiled) -> Layout {
        Layout::of(&compiled.posterior, compiled.width())
    }

    /// With the drawn reports behind all others.
    pub fn with_reports(compiled: &Compiled, predict: Option<&Predict<'_>>) -> Layout {
        let mut layout = Layout::new(compiled);
        for (name, elements) in predict.iter().flat_map(|p| &p.reports) {
            layout.append(name, elements.clone());
        }
        layout
    }

    fn of(posterior: &Posterior, width: usize) -> Layout {
        let mut layout = Layout { width, ..Layout::default() };
        let mut base = 0;
        for site in &posterior.sites {
            let count = posterior.graph.shape(site.value).count();
            let mut names = site.value_names();
            if names.len() != count {
                // Rows of a ragged plate, end to end.
                names = (1..=count).map(|k| format!("{}[{k}]", site.name)).collect();
            }
            layout.push(&site.name, names, base..base + count);
            base += count;
        }
        layout.latents = layout.names.len();
        let values = posterior.value_names();
        let mut reports = values[values.len() - reports_in(posterior)..].iter();
        for (name, kept) in &posterior.reports {
            let count = kept.dims.iter().product();
            let names = reports.by_ref().take(count).cloned().collect();
            layout.push(name, names, base..base + count);
            base += count;
        }
        layout
    }

    fn push(&mut self, name: &str, names: Vec<String>, at: impl Iterator<Item = usize>) {
        self.groups.push((name.to_string(), names.len()));
        self.names.extend(names);
        self.positions.extend(at);
    }

    /// Adds values that are not computed from the coordinates alone, behind all others.
    fn append(&mut self, name: &str, names: Vec<String>) {
        self.groups.push((name.to_string(), names.len()));
        self.names.extend(names);
    }
}

/// Elements without a name that arrays have at most, all together: so many, and so many more for each name. Models leave few
/// elements out; a damaged name asks for any number.
const UNNAMED: usize = 1_000_000;
const UNNAMED_EACH: usize = 100;

/// The array that element names belong to.
#[derive(Clone, Debug, PartialEq)]
pub struct Elements {
    /// Name of the array.
    pub name: String,
    /// Sizes, as far as elements are named.
    pub dims: Vec<usize>,
    /// Flat position in the array, and place among the names.
    pub places: Vec<(usize, usize)>,
}

impl Elements {
    /// Groups the names `x[2,3]` or `x.2.3` by array; an error is a name with indices that no array has.
    pub fn group(names: &[String]) -> Result<Vec<Elements>, String> {
        let room = UNNAMED.saturating_add(names.len().saturating_mul(UNNAMED_EACH));
        let mut out: Vec<(Elements, Vec<Vec<usize>>)> = vec![];
        for (at, name) in names.iter().enumerate() {
            let dotted = crate::io::dotted(name);
            let mut parts = dotted.split('.');
            let base = parts.next().unwrap_or_default();
            let index: Vec<usize> = parts.filter_map(|p| p.parse().ok()).collect();
            let size = index.iter().try_fold(1, |n: usize, i| n.checked_mul(*i)).unwrap_or(usize::MAX);
            if !(1..=room).contains(&size) {
                return Err(name.clone());
            }
            let k = out.iter().rposition(|(e, _)| e.name == base && e.dims.len() == index.len());
            let k = k.unwrap_or_else(|| {
                let dims = vec![0; index.len()];
                out.push((Elements { name: base.to_string(), dims, places: vec![] }, vec![]));
                out.len() - 1
            });
            let (e, indices) = &mut out[k];
            e.dims.iter_mut().zip(&index).for_each(|(d, i)| *d = (*d).max(*i));
            e.places.push((0, at));
            indices.push(index);
        }
        let place = |(mut e, indices): (Elements, Vec<Vec<usize>>)| {
            for (p, index) in e.places.iter_mut().zip(indices) {
                p.0 = index.iter().zip(&e.dims).fold(0, |a, (i, d)| a * d + i.saturating_sub(1));
            }
            e
        };
        let mut total = 0usize;
        let mut large = |e: &Elements| {
            let size = e.dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).unwrap_or(usize::MAX);
            total = total.saturating_add(size);
            total > room
        };
        match out.iter().find(|(e, _)| large(e)) {
            Some((e, _)) => Err(e.name.clone()),
            None => Ok(out.into_iter().map(place).collect()),
        }
    }

    /// The same elements in the array of these sizes, which may have further ones at its ends.
    pub fn within(mut self, dims: &[usize]) -> Elements {
        let larger = dims.len() == self.dims.len() && dims.iter().zip(&self.dims).all(|(all, own)| all >= own);
        if larger {
            for (place, _) in &mut self.places {
                let (mut rest, mut index) = (*place, vec![]);
                for d in self.dims.iter().rev() {
                    index.push(rest % d);
                    rest /= d;
                }
                *place = index.iter().rev().zip(dims).fold(0, |at, (i, d)| at * d + i);
            }
            self.dims = dims.to_vec();
        }
        self
    }

    /// Those of a model's arrays that statements fill in part have the sizes of their declaration.
    pub fn declared(all: Vec<Elements>, posterior: &Posterior) -> Vec<Elements> {
        let site = |e: &Elements| posterior.sites.iter().find(|s| s.name == e.name && s.filled.is_some());
        all.into_iter()
            .map(|e| match site(&e) {
                Some(s) => e.within(&s.dims),
                None => e,
            })
            .collect()
    }

    /// The array from one row of values; NaN where an element has no name.
    pub fn collect(&self, row: &[f64]) -> Vec<f64> {
        let mut out = vec![f64::NAN; self.dims.iter().product()];
        self.places.iter().for_each(|&(j, at)| out[j] = row[at]);
        out
    }
}

fn reports_in(posterior: &Posterior) -> usize {
    let count = |d: &Vec<usize>| d.iter().product::<usize>();
    posterior.reports.iter().map(|(_, k)| count(&k.dims)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::data::DataFile;
    use crate::model::posterior::Model;

    #[test]
    fn elements_without_a_law_take_no_place() {
        let text =
            "latent x: vector[5]\nlatent x[4] ~ normal(0, 1)\nlatent x[2] ~ normal(0, 1)\nlatent m ~ normal(0, 1)\n";
        let post = Model::from_text("m", text).unwrap().bind(&DataFile::default()).unwrap();
        let compiled = Compiled::new(post);
        let layout = Layout::new(&compiled);
        let mut out = vec![0.0; compiled.width()];
        compiled.values(&[0.25, 0.5, 0.75], &mut out, &mut vec![]);
        let kept: Vec<f64> = layout.positions.iter().map(|p| out[*p]).collect();
        assert_eq!((layout.names.join(" "), kept), ("x[2] x[4] m".to_string(), vec![0.25, 0.5, 0.75]));
    }

    #[test]
    fn names_come_back_as_arrays() {
        let names: Vec<String> = ["a", "b.1.1", "b.1.2", "b.2.2", "c[2]"].map(String::from).into();
        let groups = Elements::group(&names).unwrap();
        let row = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!(groups.len(), 3);
        assert_eq!(groups[0].collect(&row), [1.0]);
        assert_eq!((groups[1].name.as_str(), &groups[1].dims[..]), ("b", &[2, 2][..]));
        let b = groups[1].collect(&row);
        assert!(b[2].is_nan());
        assert_eq!([b[0], b[1], b[3]], [2.0, 3.0, 4.0]);
        assert_eq!(groups[2].collect(&row)[1], 5.0);
        // Declared with more elements than have a name.
        let wide = groups[1].clone().within(&[2, 3]).collect(&row);
        assert_eq!([wide[0], wide[1], wide[4]], [2.0, 3.0, 4.0]);
        assert!([2, 3, 5].iter().all(|&k| wide[k].is_nan()));
        assert_eq!(groups[1].clone().within(&[4]), groups[1]);
    }

    /// A few bytes of names ask for no more than the room that they have together; whole arrays of any size fit.
    #[test]
    fn names_without_their_neighbours_are_refused_where_they_add_up() {
        let group = |names: &[&str]| Elements::group(&names.iter().map(|n| n.to_string()).collect::<Vec<_>>());
        assert!(group(&["a[99059059]"]).is_err());
        assert!(group(&["a[900000]", "b[90]"]).is_ok());
        assert_eq!(group(&["a[900000]", "b[900000]"]).unwrap_err(), "b");
        assert_eq!(group(&["a[1,999999]", "a[999999,1]"]).unwrap_err(), "a");
        let whole: Vec<String> = (1..=1_200_000).map(|i| format!("x.{i}")).collect();
        assert_eq!(Elements::group(&whole).unwrap()[0].dims, [1_200_000]);
    }
}
