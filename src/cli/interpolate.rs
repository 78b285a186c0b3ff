//! `thalweg interpolate`: what lies between two rows of an amortized model.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::common::{CliError, ModelArgs, positive};
use crate::report::number::fixed;
use crate::report::table::Table;
use crate::workflow::amortize::bind;
use crate::workflow::amortized_file;
use crate::workflow::interpolate::{Point, Scene, Way};

/// Shades of a picture, from 0 to 1.
const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];

/// Goes from the posterior of one row to that of another, and shows the data in between
#[derive(Args, Clone, Debug)]
pub struct InterpolateArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Guide file of `thalweg fit --amortize`
    #[arg(long, value_name = "FILE")]
    pub guide: PathBuf,
    /// The plate, where the guide was trained with one named
    #[arg(long, value_name = "NAME")]
    pub plate: Option<String>,
    /// The two rows, from 1
    #[arg(long, value_name = "A,B", value_parser = pair)]
    pub between: (usize, usize),
    /// Points on the way, both ends included
    #[arg(long, default_value_t = 8, value_parser = positive)]
    pub steps: usize,
    /// Along a great circle instead of a line
    #[arg(long)]
    pub spherical: bool,
    /// Draw each point as a picture of so many columns (data from 0 to 1)
    #[arg(long, value_name = "COLUMNS", value_parser = positive)]
    pub picture: Option<usize>,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

fn pair(text: &str) -> Result<(usize, usize), String> {
    let (a, b) = text.split_once(',').ok_or("write two rows, as 3,17")?;
    Ok((positive(a.trim())?, positive(b.trim())?))
}

impl InterpolateArgs {
    /// Runs the command.
    pub fn run(&self) -> Result<(), CliError> {
        let (model, data) = (self.model.load()?, self.model.load_data()?);
        let mut settings = self.model.settings(0)?;
        settings.params.extend(amortized_file::params(&self.guide)?);
        let bound = bind(&model, &data, &settings, self.plate.as_deref())?;
        let trained = amortized_file::load(&self.guide, &bound)?;
        let way = if self.spherical { Way::Spherical } else { Way::Linear };
        let scene = Scene { model: &model, data: &data, settings: &settings };
        let rows = (self.between.0 - 1, self.between.1 - 1);
        let points = scene.way(&bound, &trained, rows, self.steps, way)?;
        let text = match (self.json, self.picture) {
            (true, _) => format!("{:#}\n", result(&points)),
            (false, Some(columns)) => pictures(&points, columns),
            (false, None) => table(&points),
        };
        super::out(&text);
        Ok(())
    }
}

fn result(points: &[Point]) -> serde_json::Value {
    let one = |p: &Point| json!({ "share": p.share, "z": p.z, "data": p.data });
    json!({ "points": points.iter().map(one).collect::<Vec<_>>() })
}

fn table(points: &[Point]) -> String {
    let list = |x: &[f64]| x.iter().map(|x| fixed(*x, 2)).collect::<Vec<_>>().join(" ");
    let mut t = Table::new(&["share", "latents", "data"]);
    for p in points {
        t.row(vec![fixed(p.share, 2), list(&p.z), list(&p.data)]);
    }
    t.to_string()
}

/// All points beside each other, two characters for each number.
fn pictures(points: &[Point], columns: usize) -> String {
    let lines = points.first().map_or(0, |p| p.data.len().div_ceil(columns));
    let shade = |x: f64| {
        let k = (x.clamp(0.0, 1.0) * (SHADES.len() - 1) as f64).round() as usize;
        [SHADES[k]; 2].iter().collect::<String>()
    };
    let line = |l: usize| {
        let part = |p: &Point| p.data.iter().skip(l * columns).take(columns).map(|x| shade(*x)).collect::<String>();
        points.iter().map(part).collect::<Vec<_>>().join(" │ ") + "\n"
    };
    (0..lines).map(line).collect()
}
