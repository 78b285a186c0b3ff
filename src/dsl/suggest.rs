//! Did-you-mean: the nearest known name to a misspelt one.

/// The candidate nearest to `name`, if it is near enough to be a slip.
///
/// Distance is the number of insertions, deletions, substitutions and swaps of neighbours (Damerau 1964, each place
/// edited once). At most a third of the letters and at most 2 may differ; a difference of case alone always counts as
/// near. The first of equals wins.
pub fn did_you_mean<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: Vec<char> = name.chars().collect();
    let lower = name.to_lowercase();
    let limit = (wanted.len() / 3).min(2);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        if candidate == name {
            continue;
        }
        let distance = if candidate.to_lowercase() == lower { 0 } else { edits(&wanted, candidate, limit) };
        if distance <= limit && best.is_none_or(|(d, _)| distance < d) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Optimal string alignment distance, or `limit + 1` where the lengths alone exceed the limit.
fn edits(a: &[char], b: &str, limit: usize) -> usize {
    let b: Vec<char> = b.chars().collect();
    if a.len().abs_diff(b.len()) > limit {
        return limit + 1;
    }
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let substitute = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = substitute.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = last;
        last = row;
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(name: &str) -> Option<&'static str> {
        did_you_mean(name, ["normal", "lognormal", "gamma", "mu", "tau", "sigma"].into_iter())
    }

    #[test]
    fn finds_slips() {
        assert_eq!(guess("nromal"), Some("normal"));
        assert_eq!(guess("gama"), Some("gamma"));
        assert_eq!(guess("sigmas"), Some("sigma"));
        assert_eq!(guess("MU"), Some("mu"));
        assert_eq!(guess("log_normal"), Some("lognormal"));
    }

    #[test]
    fn leaves_other_names_alone() {
        assert_eq!(guess("nu"), None);
        assert_eq!(guess("poisson"), None);
        assert_eq!(guess(""), None);
        assert_eq!(guess("normal"), None);
    }

    #[test]
    fn nearest_wins() {
        assert_eq!(did_you_mean("thetas", ["thetaxx", "theta"].into_iter()), Some("theta"));
    }
}
