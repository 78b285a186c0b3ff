//! A plate by name: by its index variable, or by a latent of its rows.

use crate::dsl::suggest::did_you_mean;
use crate::model::posterior::Posterior;
use crate::model::separable::Plate;

/// Why no plate is chosen.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PlateNameError {
    /// The model has none.
    #[error(
        "the model has no plates outside loops, so there are no rows; write what repeats as `plate n in 1:N {{ … }}`"
    )]
    None,
    /// No plate of this name.
    #[error("no plate `{name}`{hint}; name a plate by its index or by a latent of its rows: {choices}")]
    Unknown {
        /// The name.
        name: String,
        /// Did you mean.
        hint: String,
        /// All plates.
        choices: String,
    },
    /// A plate without latents.
    #[error("the rows of the plate over `{name}` have no latents of their own; choose a plate that has: {choices}")]
    NoLatents {
        /// The name.
        name: String,
        /// Plates with latents.
        choices: String,
    },
}

impl Posterior {
    /// The plate over this index variable, or with a latent of this name in its rows. Whether it is separable is what
    /// [`Posterior::assign`] finds out.
    ///
    /// # Errors
    /// Where there is none with latents, with the choices.
    pub fn plate_named(&self, name: &str) -> Result<&Plate, PlateNameError> {
        let describe = |p: &Plate| format!("`{}` ({})", p.name, self.block(p).join(", "));
        let with: Vec<&Plate> = self.plates.iter().filter(|p| !self.block(p).is_empty()).collect();
        let choices = || match with.is_empty() {
            true => "there is none".to_string(),
            false => with.iter().map(|p| describe(p)).collect::<Vec<_>>().join(", "),
        };
        if self.plates.is_empty() {
            return Err(PlateNameError::None);
        }
        match self.plate(name) {
            Some(p) if self.block(p).is_empty() => {
                Err(PlateNameError::NoLatents { name: name.into(), choices: choices() })
            }
            Some(p) => Ok(p),
            None => {
                let names = with.iter().flat_map(|p| self.block(p).into_iter().chain([p.name.as_str()]));
                let hint = did_you_mean(name, names).map_or(String::new(), |n| format!(" (did you mean `{n}`?)"));
                Err(PlateNameError::Unknown { name: name.into(), hint, choices: choices() })
            }
        }
    }
}
