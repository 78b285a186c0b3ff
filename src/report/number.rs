//! Numbers as text: as many digits as their Monte Carlo error allows to read.

/// Decimals that a number with standard error `mcse` deserves: the first digit of the error is shown. Two decimals
/// at least two significant digits of `scale` where the error is unknown.
pub fn decimals(scale: f64, mcse: f64) -> usize {
    let from = |x: f64, extra: i32| (extra - x.abs().log10().floor() as i32).clamp(0, 9) as usize;
    if mcse.is_finite() && mcse > 0.0 {
        from(mcse, 0).max(usize::from(scale.abs() < 100.0))
    } else if scale.is_finite() && scale != 0.0 {
        from(scale, 2)
    } else {
        2
    }
}

/// A number with so many decimals; with an exponent where it is very large or very small.
pub fn fixed(x: f64, decimals: usize) -> String {
    if !x.is_finite() {
        return if x.is_nan() { "-".into() } else { format!("{x}") };
    }
    let size = x.abs();
    if size >= 1e7 || size != 0.0 && size < 1e-4 {
        return format!("{x:.2e}");
    }
    format!("{x:.decimals$}")
}

/// A number with so many significant digits.
pub fn significant(x: f64, digits: i32) -> String {
    if x == 0.0 || !x.is_finite() {
        return fixed(x, 0);
    }
    fixed(x, (digits - 1 - x.abs().log10().floor() as i32).clamp(0, 9) as usize)
}

/// A duration in seconds for people.
pub fn seconds(s: f64) -> String {
    match s {
        s if s < 10.0 => format!("{s:.2} s"),
        s if s < 120.0 => format!("{s:.1} s"),
        s => format!("{} min {:02} s", (s / 60.0) as u64, (s % 60.0) as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_follow_the_error() {
        assert_eq!(fixed(4.3712, decimals(4.3712, 0.06)), "4.37");
        assert_eq!(fixed(1234.567, decimals(1234.567, 3.0)), "1235");
        assert_eq!(fixed(0.001234, decimals(0.001234, 1e-5)), "0.00123");
        assert_eq!(fixed(1.0, decimals(1.0, f64::NAN)), "1.00");
        assert_eq!(fixed(3e9, 2), "3.00e9");
        assert_eq!(fixed(f64::NAN, 2), "-");
        assert_eq!(significant(0.01234, 2), "0.012");
        assert_eq!(seconds(125.0), "2 min 05 s");
    }
}
