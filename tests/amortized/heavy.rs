//! The same answers at tighter errors, in the release profile: `cargo test --release --test amortized -- --ignored`.

use thalweg::base::rng::Stream;
use thalweg::base::stats::{log_mean_exp, mean, variance};
use thalweg::model::data::DataFile;
use thalweg::model::posterior::{Model, Settings};
use thalweg::vi::plate::{Control, Evaluator};
use thalweg::workflow::amortize::{Options, bind, fit};

use super::bound;
use super::linear::{encoders, linear};

/// IWAE of rows 1, 61 and 119 under three encoders at K = 2 to 5000, standard errors below 1e-3 up to K = 50 and below 3e-3
/// above. |z| < 4 in 54 tests: a false alarm in at most 0.34 % of the seeds of a correct program.
#[test]
#[ignore = "a minute in the release profile"]
fn iwae_at_small_errors() {
    let b = bound("gaussian_vae");
    let rows = [0usize, 60, 118];
    // Quadrature, rows 1, 61, 119 under each encoder at K = 2, 5, 10, 50, 500, 5000.
    let known: [[[f64; 6]; 3]; 3] = [
        [
            [
                -2.3072286907465824,
                -2.1861892105658005,
                -2.1169910733791713,
                -2.0017431297993795,
                -1.9068910403036048,
                -1.8556326326026573,
            ],
            [
                -5.323952418470251,
                -5.202912938289469,
                -5.1337148011028395,
                -5.018466857523046,
                -4.923614768027259,
                -4.87235636032627,
            ],
            [
                -5.715301178532714,
                -5.594261698351932,
                -5.525063561165302,
                -5.409815617585509,
                -5.31496352808973,
                -5.263705120388778,
            ],
        ],
        [
            [
                -2.5618601363631113,
                -2.237993688233936,
                -2.1230675568104393,
                -1.9778260288178118,
                -1.879939935239081,
                -1.8333294912101978,
            ],
            [
                -5.416930060765408,
                -5.268171051272864,
                -5.188974537207377,
                -5.059105795642998,
                -4.9509814559404495,
                -4.890898593776852,
            ],
            [
                -6.363716009184779,
                -5.8265699821050125,
                -5.645298296804346,
                -5.446177092691043,
                -5.322765878088035,
                -5.263812068315268,
            ],
        ],
        [
            [
                -2.481823065464445,
                -1.9593751584852535,
                -1.8623607317252031,
                -1.79575807108662,
                -1.7790087554854583,
                -1.7770120451749998,
            ],
            [
                -5.498546793188113,
                -4.976098886208922,
                -4.879084459448871,
                -4.8124817988102855,
                -4.795732483209106,
                -4.793735772898563,
            ],
            [
                -5.889895553250576,
                -5.367447646271385,
                -5.270433219511336,
                -5.203830558872751,
                -5.187081243271572,
                -5.185084532961026,
            ],
        ],
    ];
    let mut worst: f64 = 0.0;
    for ((a, var, _, _), known) in encoders().into_iter().zip(known) {
        let (guide, theta) = linear(&a, var, None);
        let ev = Evaluator::new(&b.target, &guide, &theta, &[]);
        for (row, known) in rows.into_iter().zip(known) {
            let e = ev.encode(row);
            for (k, known) in [2usize, 5, 10, 50, 500, 5000].into_iter().zip(known) {
                let limit = if k <= 50 { 1e-3 } else { 3e-3 };
                let mut groups: Vec<f64> = vec![];
                let mut se = f64::INFINITY;
                while se > 0.95 * limit {
                    let per = (20_000 / k).max(1);
                    let mut noise = vec![0.0; 2 * k * per];
                    Stream::new(6, "iwae", (groups.len() / per) as u64).fill_normal(&mut noise);
                    let log_w = ev.weights(row, &e, &noise).log_w;
                    groups.extend(log_w.chunks_exact(k).map(log_mean_exp));
                    se = if groups.len() < 100 { se } else { (variance(&groups) / groups.len() as f64).sqrt() };
                }
                let z = (mean(&groups) - known) / se;
                worst = worst.max(z.abs());
                assert!(z.abs() < 4.0, "row {row} K {k}: {} ± {se}, known {known}", mean(&groups));
            }
        }
    }
    println!("largest |z| of 54: {worst:.2}");
}

/// Principal components of 1797 images of 64 grey levels: the maximum of the likelihood, to 1e-3 nats a row.
#[test]
#[ignore = "a minute in the release profile"]
fn principal_components_of_images() {
    let Ok(folder) = std::env::var("THALWEG_DATA") else {
        eprintln!("SKIPPED: set THALWEG_DATA to a folder with digits8x8/data.csv");
        return;
    };
    let text = std::fs::read_to_string(std::path::Path::new(&folder).join("digits8x8/data.csv")).unwrap();
    let row = |l: &str| l.split(',').take(64).map(|v| v.parse::<f64>().unwrap() / 16.0).collect::<Vec<_>>();
    let x: Vec<Vec<f64>> = text.lines().skip(1).map(row).collect();
    let data = serde_json::json!({ "N": x.len(), "D": 64, "x": x }).to_string();
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/ppca");
    let model = Model::load(&path).unwrap();
    for (k, known) in [(2, 0.005706724951548914), (10, 17.45194702187782)] {
        let settings = Settings { set: [("K".to_string(), f64::from(k))].into(), ..Settings::default() };
        let b = bind(&model, &DataFile::from_json(&data).unwrap(), &settings, None).unwrap();
        let o = Options { hidden: Some(vec![]), batch: 1797, steps: 6000, single: Some(false), ..Options::default() };
        let t = fit(&b.target, &o, &Control::default(), None).unwrap();
        let ev = t.evaluator(&b.target);
        let noise = vec![0.0; b.target.dim];
        let all: Vec<f64> = (0..x.len()).map(|r| ev.elbo(r, &ev.encode(r), &noise).value).collect();
        assert!((mean(&all) - known).abs() < 1e-3, "K {k}: {} {known}", mean(&all));
    }
}
