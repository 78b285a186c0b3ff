//! A file that is there as a whole or not at all.

use std::io::Result;
use std::path::Path;

/// Writes `text` beside `path`, under its name with `.part` behind it, and then moves it there: neither a full disk nor a killed
/// program spoils what was there before.
///
/// # Errors
/// Where the disk refuses.
pub fn replace(path: &Path, text: &str) -> Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    std::fs::write(&beside, text)?;
    std::fs::rename(&beside, path)
}
