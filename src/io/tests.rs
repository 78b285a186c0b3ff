//! Tests of Stan CSV: round trip, layout, full disks, damaged files.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;

/// A file that is deleted at the end of the test.
struct Temp(PathBuf);

impl Temp {
    fn new(name: &str) -> Temp {
        Temp(std::env::temp_dir().join(format!("thalweg-io-{}-{name}.csv", std::process::id())))
    }

    fn with(name: &str, text: &str) -> Temp {
        let t = Temp::new(name);
        std::fs::write(&t.0, text).unwrap();
        t
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn names(n: &[&str]) -> Vec<String> {
    n.iter().map(|s| s.to_string()).collect()
}

const ROW: NutsRow =
    NutsRow { lp: -7.25, accept_stat: 0.9, stepsize: 0.5, treedepth: 3, n_leapfrog: 7, divergent: true, energy: 1e-9 };

#[test]
fn layout_is_stans() {
    let header = [("model", "eight\nschools".to_string()), ("seed", "1".to_string())];
    let theta = names(&["theta.1", "theta.2"]);
    let mut w = StanCsvWriter::new(vec![], Path::new("mem"), &header, &NUTS_COLUMNS, &theta).unwrap();
    w.row(&ROW.to_array(), &[1.0, f64::NAN]).unwrap();
    w.row(&ROW.to_array(), &[f64::NEG_INFINITY, 1e300]).unwrap();
    w.comment("Elapsed Time: 1 s").unwrap();
    let text = String::from_utf8(w.into_inner().unwrap()).unwrap();
    let expected = "# model = eight\n# schools\n# seed = 1\n\
        lp__,accept_stat__,stepsize__,treedepth__,n_leapfrog__,divergent__,energy__,theta.1,theta.2\n\
        -7.25,0.9,0.5,3,7,1,1e-9,1,nan\n\
        -7.25,0.9,0.5,3,7,1,1e-9,-inf,1e300\n\
        # Elapsed Time: 1 s\n";
    assert_eq!(text, expected);
}

#[test]
fn reads_what_it_wrote() {
    let t = Temp::new("round");
    let header = [("seed", "42".to_string())];
    let mut w = StanCsvWriter::create(&t.0, &header, &NUTS_COLUMNS, &names(&["x.1", "y"])).unwrap();
    for i in 0..5000 {
        w.row(&ROW.to_array(), &[i as f64 / 7.0, -0.0]).unwrap();
    }
    w.finish().unwrap();
    let csv = read_stan_csv(&t.0).unwrap();
    assert_eq!(csv.names[..2], ["lp__", "accept_stat__"]);
    assert_eq!(csv.header("seed"), Some("42"));
    let x = csv.column("x.1").unwrap();
    assert!(x.iter().enumerate().all(|(i, v)| *v == i as f64 / 7.0));
    assert_eq!(csv.column("energy__").unwrap().len(), 5000);
    assert!(csv.column("y").unwrap()[0].is_sign_negative());
    assert!(csv.column("z").is_none());
}

#[test]
fn reads_stans_own_layout() {
    let t = Temp::with(
        "stan",
        "# stan_version_major = 2\n#   seed = 5\nlp__,mu\n# Adaptation terminated\n# Step size = 0.8\n\
         -1,2\r\n-1.5,nan\n\n#  Elapsed Time: 0.1 seconds (Warm-up)\n",
    );
    let csv = read_stan_csv(&t.0).unwrap();
    assert_eq!(csv.columns[0], [-1.0, -1.5]);
    assert_eq!(csv.columns[1][0], 2.0);
    assert!(csv.columns[1][1].is_nan());
    assert_eq!(csv.header("Step size"), Some("0.8"));
    assert_eq!(csv.comments.len(), 5);
}

#[test]
fn damage_is_named() {
    for (name, text, parts) in [
        ("cut", "a,b\n1,2\n3,4", ["line 3", "was cut"]),
        ("short", "a,b\n1\n", ["line 2, field 1", "1 numbers under 2 columns"]),
        ("long", "a,b\n1,2,3\n", ["line 2, field 3", "3 numbers under 2 columns"]),
        ("word", "# x\na,b\n1,red\n", ["line 3, field 2", "\"red\""]),
        ("empty", "# x = 1\n", ["line 1", "no header"]),
    ] {
        let t = Temp::with(name, text);
        let e = read_stan_csv(&t.0).unwrap_err().to_string();
        assert!(parts.iter().all(|p| e.contains(p)), "{name}: {e}");
    }
    let missing = read_stan_csv(Path::new("no-such-draws.csv")).unwrap_err();
    assert!(missing.to_string().contains("no-such-draws.csv"));
}

/// A disk with room for so many bytes.
struct Disk(usize);

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0 == 0 {
            return Err(ErrorKind::StorageFull.into());
        }
        let n = bytes.len().min(self.0);
        self.0 -= n;
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_an_error() {
    // For any room, the first lost byte shows by the end at the latest.
    let all = |room: usize| -> Result<(), IoError> {
        let mut w = StanCsvWriter::new(Disk(room), Path::new("full.csv"), &[], &[], &names(&["x"]))?;
        for _ in 0..40_000 {
            w.row(&[], &[0.1])?;
        }
        w.into_inner().map(|_| ())
    };
    let size = 2 + 40_000 * 4;
    for room in [0, 1, 65_536, 100_000, size - 1] {
        let e = all(room).unwrap_err();
        assert!(matches!(e, IoError::Write { .. }) && e.to_string().contains("full.csv"));
    }
    all(size).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn the_full_device_is_an_error() {
    let w = StanCsvWriter::create(Path::new("/dev/full"), &[], &[], &names(&["x"])).unwrap();
    assert!(matches!(w.finish(), Err(IoError::Write { .. })));
    let w = StanCsvWriter::create(Path::new("/dev/null"), &[], &[], &names(&["x"])).unwrap();
    w.finish().unwrap();
}

#[test]
fn wrong_calls_are_errors() {
    let new = |n: &str| StanCsvWriter::new(vec![], Path::new("m"), &[], &[], &names(&[n]));
    for bad in ["x[1,2]", "", "a\nb", "#x", "a\"b"] {
        assert!(matches!(new(bad), Err(IoError::Name { .. })));
    }
    assert!(matches!(new("x").unwrap().row(&[1.0], &[2.0]), Err(IoError::Row { .. })));
    let nowhere = Path::new("/no/such/folder/draws.csv");
    let made = StanCsvWriter::create(nowhere, &[], &[], &names(&["x"]));
    assert!(matches!(made, Err(IoError::Create { .. })));
}

#[test]
fn names_with_dots() {
    assert_eq!(dotted("x[2,3]"), "x.2.3");
    assert_eq!(dotted("mu"), "mu");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_number_goes_back(values in proptest::collection::vec(any::<f64>(), 1..20)) {
        let mut w = StanCsvWriter::new(vec![], Path::new("m"), &[], &[], &names(&["x"])).unwrap();
        for v in &values {
            w.row(&[], &[*v]).unwrap();
        }
        let text = String::from_utf8(w.into_inner().unwrap()).unwrap();
        for (line, v) in text.lines().skip(1).zip(&values) {
            let back: f64 = line.parse().unwrap();
            prop_assert!(back.to_bits() == v.to_bits() || (back.is_nan() && v.is_nan()));
        }
    }

    #[test]
    fn no_text_panics(text in "[a,1.\n#=\\PC]{0,60}") {
        let t = Temp::with("fuzz", &text);
        let _ = read_stan_csv(&t.0);
    }
}
