//! Named random streams (temporary stand-in with the final interface).

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// A named stream.
pub struct Stream(#[allow(dead_code)] ChaCha8Rng);

impl Stream {
    /// Stream of a stage and index.
    pub fn new(seed: u64, _stage: &str, index: u64) -> Stream {
        Stream(ChaCha8Rng::seed_from_u64(seed ^ index))
    }
}
