//! Guides from the outside: files that keep their bits and refuse other models and other data.

use std::sync::Arc;

use thalweg::base::rng::Stream;
use thalweg::density::LogDensity;
use thalweg::guide::{Base, Family, Guide, GuideFileError, Origin, Scale, Start, Stored};

const ARCHITECTURES: [(Base, Option<&str>, Scale); 6] = [
    (Base::Normal, None, Scale::Diagonal),
    (Base::Normal, None, Scale::Full),
    (Base::StudentT { dof: 5 }, None, Scale::Full),
    (Base::Normal, Some("realnvp(2, hidden=[5])"), Scale::Full),
    (Base::Normal, Some("permutation(3) -> nsf(1, bins=4, box=6, hidden=[4])"), Scale::Diagonal),
    (Base::StudentT { dof: 3 }, Some("iaf(2, hidden=[6], activation=tanh)"), Scale::Full),
];

fn guide(k: usize) -> Guide {
    let (base, text, scale) = ARCHITECTURES[k];
    let family = Arc::new(Family::new(3, base, text, scale).unwrap());
    let start = Start::isotropic(vec![0.1, -1.0 / 3.0, 1e-17], 0.7);
    let mut theta = family.initial(&start, 9);
    let mut rng = Stream::new(2, "guides", k as u64);
    theta.iter_mut().for_each(|t| *t += 0.3 * rng.normal());
    Guide::new(family, theta)
}

fn origin() -> Origin {
    let sites = ["mu: real", "tau: real<lower=0>", "theta: real"].map(String::from).to_vec();
    Origin { layout: "a1b2".into(), sites, data: Some("d4".into()), seed: 9 }
}

fn stored(k: usize) -> Stored {
    Stored::new(guide(k), origin()).unwrap()
}

fn message(r: Result<(), GuideFileError>) -> String {
    r.unwrap_err().to_string()
}

#[test]
fn files_keep_every_bit() {
    let folder = std::env::temp_dir().join(format!("thalweg_guides_{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for k in 0..ARCHITECTURES.len() {
        let (before, path) = (stored(k), folder.join(format!("{k}.guide")));
        before.save(&path).unwrap();
        let after = Stored::load(&path, &origin()).unwrap();
        let bits = |s: &Stored| s.guide.theta.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&before), bits(&after));
        assert_eq!(before.origin, after.origin);
        assert_eq!(before.airworthiness, after.airworthiness);
        assert!(after.airworthiness.passed(), "{}", after.airworthiness);
        let at = |s: &Stored| s.guide.logp(&[0.3, 0.2, -0.4], &mut vec![0.0; s.guide.scratch()]).to_bits();
        assert_eq!(at(&before), at(&after), "{:?}", ARCHITECTURES[k]);
        assert_eq!(before.to_text(), after.to_text());
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn another_model_is_refused_with_the_site_that_differs() {
    let s = stored(0);
    s.check(&origin()).unwrap();
    let mut other = Origin { layout: "ffff".into(), ..origin() };
    let same = message(s.check(&other));
    assert!(same.contains("its sites are the same") && same.contains("a1b2") && same.contains("ffff"), "{same}");
    other.sites[1] = "sigma: real<lower=0>".into();
    let text = message(s.check(&other));
    assert!(text.contains("site 2 is `tau: real<lower=0>`, here it is `sigma: real<lower=0>`"), "{text}");
    other.sites.truncate(1);
    assert!(message(s.check(&other)).contains("here it is nothing"));
}

#[test]
fn other_data_are_refused_by_global_guides_only() {
    let other = Origin { data: Some("d5".into()), ..origin() };
    let text = message(stored(0).check(&other));
    assert!(text.contains("hash d4, here d5") && text.contains("fit it again"), "{text}");
    let amortized = Stored::new(guide(0), Origin { data: None, ..origin() }).unwrap();
    amortized.check(&other).unwrap();
    // Another seed is not another model.
    stored(0).check(&Origin { seed: 1, ..origin() }).unwrap();
}

#[test]
fn damaged_files_are_refused_by_name() {
    let text = stored(3).to_text();
    let changed = |from: &str, to: &str| {
        let damaged = text.replacen(from, to, 1);
        assert_ne!(damaged, text, "{from}");
        Stored::from_text(&damaged).err().expect(to).to_string()
    };
    assert!(changed("thalweg guide", "stan guide").contains("its format is `stan guide`"));
    assert!(changed("\"version\":1", "\"version\":7").contains("format version 7"));
    assert!(changed("f64", "f16").contains("`f16`"));
    assert!(changed("affine(full)", "affine(lu)").contains("last layer is not affine"));
    assert!(changed("realnvp", "realnvq").contains("unknown flow `realnvq`"));
    assert!(changed("hidden=[5]", "hidden=[6]").contains("weights, its architecture"));
    assert!(changed("\"dim\":3", "\"dim\":123456789").contains("123456789 coordinates"));
    assert!(changed("\"theta\":[", "\"theta\":[null,").contains("not a guide file"));
    for cut in [0, 1, 20, text.len() / 2, text.len() - 3] {
        assert!(Stored::from_text(&text[..cut]).is_err());
    }
}

#[test]
fn a_failed_guide_is_not_stored() {
    let mut g = guide(0);
    g.theta[2] = f64::NAN;
    let refused = Stored::new(g, origin()).err().unwrap().to_string();
    assert!(refused.contains("weight 2 of the guide is NaN"), "{refused}");
}

#[test]
fn a_missing_file_is_named() {
    let error = Stored::load("nowhere/x.guide".as_ref(), &origin()).err().unwrap();
    assert!(matches!(error, GuideFileError::Read { .. }) && error.to_string().contains("nowhere/x.guide"));
}
