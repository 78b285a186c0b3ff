//! Guide files of models: which posterior a guide belongs to, stored with it and compared when it is read.

use std::path::Path;

use crate::guide::{GuideFileError, Origin, Stored};
use crate::model::compiled::Compiled;
use crate::model::data::DataFile;
use crate::model::site::Site;
use crate::workflow::ladder::{Fitted, assess};

/// The posterior that a guide is for. Hashes are FNV-1a over the lines of the sites and over the numbers of the data.
pub fn origin(compiled: &Compiled, data: &DataFile, seed: u64) -> Origin {
    let p = &compiled.posterior;
    let line = |s: &Site| {
        let shape = p.graph.shape(s.value);
        format!("{} {:?} on {} with {} coordinates", s.name, shape.dims(), s.constraint, s.free)
    };
    let sites: Vec<String> = p.sites.iter().map(line).collect();
    let mut layout = Fnv::default();
    sites.iter().for_each(|s| layout.eat(s.as_bytes()));
    let mut keys: Vec<&str> = data.keys().collect();
    keys.sort_unstable();
    let mut numbers = Fnv::default();
    for key in keys {
        numbers.eat(key.as_bytes());
        data.get(key).iter().flat_map(|r| &r.values).for_each(|v| numbers.eat(&v.to_bits().to_le_bytes()));
    }
    Origin { layout: layout.text(), sites, data: Some(numbers.text()), seed }
}

/// Writes the guide of `fitted`.
///
/// # Errors
/// Where the file cannot be written.
pub fn save(
    path: &Path,
    compiled: &Compiled,
    data: &DataFile,
    fitted: Fitted,
    seed: u64,
) -> Result<(), GuideFileError> {
    Stored::new(fitted.guide, origin(compiled, data, seed))?.save(path)
}

/// Reads a guide for this posterior and rates it on fresh draws.
///
/// # Errors
/// Where the file is none, or is for another model or other data.
pub fn load(path: &Path, compiled: &Compiled, data: &DataFile, seed: u64) -> Result<Fitted, GuideFileError> {
    let stored = Stored::load(path, &origin(compiled, data, seed))?;
    Ok(assess(compiled, stored.guide, stored.airworthiness, seed))
}

/// Fowler, Noll and Vo's hash of 64 bits.
pub(super) struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    pub fn eat(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|b| self.0 = (self.0 ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3));
    }

    pub fn text(&self) -> String {
        format!("{:016x}", self.0)
    }
}
