//! Encoders of rows that are sets: members in any order, of any number; and what is no set.

use thalweg::base::rng::Stream;
use thalweg::vi::plate::Control;
use thalweg::workflow::amortize::{Options, bind, fit};
use thalweg::workflow::gap::{Freed, gap};
use thalweg::workflow::plate::PlateError;

use super::from_text;

/// Groups of observations of known error: the posterior of a group's mean is normal, with a precision of 1 + its size.
const GROUPS: &str = "data J: int\ndata start: array[J + 1] int\ndata N: int\ndata y: vector[N]\n\
    plate j in 1:J {\n  latent theta ~ normal(0, 1)\n  plate i in start[j] : start[j + 1] - 1 {\n    observe y[i] ~ normal(theta, 1)\n  }\n}\n";

/// The same as a gather.
const GATHER: &str = "data J: int\ndata N: int\ndata g: array[N] int\ndata y: vector[N]\n\
    plate j in 1:J { latent theta ~ normal(0, 1) }\nplate i in 1:N { observe y[i] ~ normal(theta[g[i]], 1) }\n";

/// The same as one statement on a vector.
const VECTOR: &str = "data J: int\ndata N: int\ndata g: array[N] int\ndata y: vector[N]\n\
    plate j in 1:J { latent theta ~ normal(0, 1) }\nobserve y ~ normal(theta[g], 1)\n";

/// `groups` groups of 0 to 6 members from the model.
fn data(groups: usize) -> (String, Vec<Vec<f64>>) {
    let mut rng = Stream::new(5, "groups", 0);
    let group = |j: usize| {
        let theta = rng.normal();
        (0..j * 5 % 7).map(|_| (100.0 * (theta + rng.normal())).round() / 100.0).collect::<Vec<f64>>()
    };
    let all: Vec<Vec<f64>> = (0..groups).map(group).collect();
    let mut start = vec![1];
    all.iter().for_each(|g| start.push(start[start.len() - 1] + g.len()));
    let y: Vec<f64> = all.concat();
    let g: Vec<usize> = all.iter().enumerate().flat_map(|(j, g)| vec![j + 1; g.len()]).collect();
    let n = y.len();
    (format!("{{\"J\": {groups}, \"N\": {n}, \"start\": {start:?}, \"g\": {g:?}, \"y\": {y:?}}}"), all)
}

#[test]
fn nested_plates_gathers_and_vectors_are_the_same_sets() {
    let (text, groups) = data(12);
    for source in [GROUPS, GATHER, VECTOR] {
        let t = from_text(source, &text).target;
        assert_eq!((t.own_inputs(), &t.sets[..]), (1, &[1][..]), "{source}");
        assert_eq!(t.inputs, ["number of y", "y"]);
        for ((seen, sizes), group) in t.seen().iter().zip(&groups) {
            assert_eq!(sizes[..], [group.len()]);
            assert_eq!(seen[0], (group.len() as f64).ln_1p());
            assert_eq!(seen[1..], group[..]);
        }
    }
}

/// What an encoder of sets says does not depend on the order of the members, up to rounding, but on each of them.
#[test]
fn members_have_no_order() {
    let (text, _) = data(12);
    let b = from_text(GROUPS, &text);
    let options = Options { steps: 20, rate: Some(0.01), ..Options::default() };
    let trained = fit(&b.target, &options, &Control::default(), None).unwrap();
    let mut other = b.target.clone();
    let row = other.groups.iter_mut().find(|g| g.members == [6]).map(|g| &mut g.rows[0]).unwrap();
    let at = row.row;
    row.seen[1..].reverse();
    row.seen[1..].rotate_left(2);
    let said = |t: &thalweg::vi::plate::Target| trained.evaluator(t).encode(at);
    let (here, there) = (said(&b.target), said(&other));
    assert!(here.iter().zip(&there).all(|(a, b)| (a - b).abs() < 1e-12 * (1.0 + a.abs())), "{here:?} {there:?}");
    let group = other.groups.iter_mut().find(|g| g.members == [6]).unwrap();
    group.rows[0].seen[3] += 1.0;
    assert!(said(&other).iter().zip(&here).all(|(a, b)| (a - b).abs() > 1e-6), "every member counts");
}

/// Exact: the guide N(s / (1 + n), 1 / (1 + n)) is within the family for each row, so that all of what is lost is the encoder's.
#[test]
fn sets_of_all_sizes_are_learned() {
    let (text, groups) = data(140);
    let b = from_text(GATHER, &text);
    let options = Options { steps: 3000, batch: 140, rate: Some(0.005), ..Options::default() };
    let trained = fit(&b.target, &options, &Control::default(), None).unwrap();
    let ev = trained.evaluator(&b.target);
    let rows: Vec<usize> = (0..groups.len()).collect();
    let found = gap(&ev, &rows, Freed::Base, 1);
    assert!(found.approximation().1 < 1e-9, "the posterior is in the family");
    // The ELBO of a normal q is exact. Without the size of a set the precisions 1 to 7 could not be told: the best single
    // variance, 1/4, loses (log 4 - mean of log 1 to log 7) / 2 = 0.084 nats even at the right means.
    let lost = found.amortization().value;
    assert!(lost < 0.04, "{lost} nats");
    for (row, y) in groups.iter().enumerate().filter(|(_, y)| y.len() >= 5) {
        let mean = y.iter().sum::<f64>() / (1.0 + y.len() as f64);
        assert!((ev.encode(row)[0] - mean).abs() < 0.25, "row {row}: {} {mean}", ev.encode(row)[0]);
    }
}

/// Steps of loops of different lengths keep their places.
#[test]
fn sequences_of_different_lengths_have_places() {
    let source = "data J: int\ndata T: array[J] int\ndata y: matrix[J, 4]\n\
        plate j in 1:J {\n  latent a ~ normal(0, 1)\n  for t in 1:T[j] {\n    observe y[j, t] ~ normal(a * t, 1)\n  }\n}\n";
    let text = r#"{"J": 3, "T": [2, 4, 1], "y": [[1, 2, 0, 0], [3, 4, 5, 6], [7, 0, 0, 0]]}"#;
    let t = from_text(source, text).target;
    assert_eq!((t.inputs.join("; "), &t.sets[..]), ("number of y; y; place".into(), &[2][..]));
    assert_eq!(t.seen()[1].0[1..], [3.0, 1.0, 4.0, 2.0, 5.0, 3.0, 6.0, 4.0]);
}

/// Members of different form are refused, with the way out.
#[test]
fn members_of_different_form_are_no_set() {
    let source = "data J: int\ndata start: array[J + 1] int\ndata N: int\ndata y: vector[N]\ndata s: vector[N]\ndata k: array[N] int\n\
        plate j in 1:J {\n  latent theta ~ normal(0, 1)\n  plate i in start[j] : start[j + 1] - 1 {\n    \
        if k[i] == 1 { observe y[i] ~ normal(theta, s[i]) } else { observe y[i] ~ normal(theta, 1) }\n  }\n}\n";
    let text =
        r#"{"J": 2, "N": 5, "start": [1, 3, 6], "y": [1, 2, 3, 4, 5], "s": [1, 1, 1, 1, 1], "k": [1, 0, 1, 0, 0]}"#;
    let model = thalweg::model::posterior::Model::from_text("model", source).unwrap();
    let data = thalweg::model::data::DataFile::from_json(text).unwrap();
    let e = bind(&model, &data, &Default::default(), None).err().unwrap();
    assert!(matches!(&e, thalweg::workflow::amortize::AmortizeError::Plate(PlateError::Inputs { .. })), "{e}");
    assert!(e.to_string().contains("`encode(…)`"), "{e}");
}
