//! JSON data: nested arrays straight into flat vectors, without a tree of values in between.

use std::cell::RefCell;
use std::fmt::{self, Write};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{DataError, DataFile, Position, Problem, Raw, is_whole};

/// Reads an object of arrays.
pub(super) fn read(text: &str) -> Result<DataFile, DataError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let found = Found::default();
    let mut de = serde_json::Deserializer::from_str(text);
    Top(&found).deserialize(&mut de).and_then(|file| de.end().map(|()| file)).map_err(|e| {
        let at = Position { line: e.line(), column: e.column().max(1) };
        match found.take() {
            Some((name, problem)) => DataError::Value { at, name, problem },
            None => DataError::Syntax { at, message: syntax(&e) },
        }
    })
}

/// The parser's message without its position, with what to do.
fn syntax(e: &serde_json::Error) -> String {
    let text = e.to_string();
    let bare = text.split(" at line ").next().unwrap_or(&text);
    format!(
        "not JSON data: {bare}; the file is one object, as in {{\"N\": 2, \"y\": [1.5, null]}}, with null for what is missing and \"Infinity\" in quotes"
    )
}

/// The element that is wrong and how, kept beside the parser's own error, which only has a text.
type Found = RefCell<Option<(String, Problem)>>;

struct Top<'f>(&'f Found);

impl<'de> DeserializeSeed<'de> for Top<'_> {
    type Value = DataFile;
    fn deserialize<D: Deserializer<'de>>(self, de: D) -> Result<DataFile, D::Error> {
        de.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Top<'_> {
    type Value = DataFile;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object of numbers and arrays")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<DataFile, A::Error> {
        let mut file = DataFile::default();
        while let Some(key) = map.next_key::<String>()? {
            if file.get(&key).is_some() {
                *self.0.borrow_mut() = Some((key, Problem::Duplicate));
                return Err(A::Error::custom("duplicate"));
            }
            let mut array = Array {
                key: &key,
                found: self.0,
                values: vec![],
                nulls: vec![],
                integral: true,
                sizes: vec![],
                leaf: None,
                at: vec![],
            };
            map.next_value_seed(&mut array)?;
            let raw = array.finish();
            file.insert(key, raw);
        }
        Ok(file)
    }
}

/// An array as it is read.
struct Array<'f> {
    key: &'f str,
    found: &'f Found,
    values: Vec<f64>,
    nulls: Vec<usize>,
    integral: bool,
    /// Size of each axis; `None` while its first array is open.
    sizes: Vec<Option<usize>>,
    /// Depth of numbers, once one was read.
    leaf: Option<usize>,
    /// Position in each open array, from 0.
    at: Vec<usize>,
}

impl Array<'_> {
    fn finish(self) -> Raw {
        Raw {
            dims: self.sizes.into_iter().flatten().collect(),
            values: self.values,
            nulls: self.nulls,
            integral: self.integral,
        }
    }

    fn fail<E: Error>(&self, problem: Problem) -> E {
        let name = element_name(self.key, &self.at);
        *self.found.borrow_mut() = Some((name, problem));
        E::custom("value")
    }

    fn push<E: Error>(&mut self, v: f64) -> Result<(), E> {
        // Numbers live below all axes.
        if self.sizes.len() != self.at.len() {
            return Err(self.fail(Problem::Mixed));
        }
        self.leaf = Some(self.at.len());
        self.integral &= is_whole(v);
        self.values.push(v);
        Ok(())
    }

    /// Opens an axis, or enters it once more.
    fn open<E: Error>(&mut self) -> Result<usize, E> {
        let depth = self.at.len();
        if self.leaf.is_some_and(|leaf| leaf <= depth) {
            return Err(self.fail(Problem::Mixed));
        }
        if self.sizes.len() == depth {
            self.sizes.push(None);
        }
        Ok(depth)
    }

    fn close<E: Error>(&mut self, depth: usize, found: usize) -> Result<(), E> {
        match self.sizes[depth] {
            Some(expected) if expected != found => Err(self.fail(Problem::Ragged { expected, found })),
            _ => {
                self.sizes[depth] = Some(found);
                Ok(())
            }
        }
    }
}

/// `x` or `x[2,1]`, indices from 1.
pub(super) fn element_name(key: &str, at: &[usize]) -> String {
    if at.is_empty() {
        return key.to_string();
    }
    let index: Vec<String> = at.iter().map(|i| (i + 1).to_string()).collect();
    format!("{key}[{}]", index.join(","))
}

impl<'de> DeserializeSeed<'de> for &mut Array<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, de: D) -> Result<(), D::Error> {
        de.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Array<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a number or an array of numbers")
    }

    fn visit_f64<E: Error>(self, v: f64) -> Result<(), E> {
        self.push(v)
    }

    fn visit_i64<E: Error>(self, v: i64) -> Result<(), E> {
        self.push(v as f64)
    }

    fn visit_u64<E: Error>(self, v: u64) -> Result<(), E> {
        self.push(v as f64)
    }

    fn visit_bool<E: Error>(self, v: bool) -> Result<(), E> {
        self.push(v as u8 as f64)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        let integral = self.integral;
        self.nulls.push(self.values.len());
        self.push(f64::NAN)?;
        self.integral = integral;
        Ok(())
    }

    fn visit_str<E: Error>(self, v: &str) -> Result<(), E> {
        match v {
            "Infinity" | "+Infinity" | "Inf" | "+Inf" => self.push(f64::INFINITY),
            "-Infinity" | "-Inf" => self.push(f64::NEG_INFINITY),
            "NaN" => Err(self.fail(Problem::Nan)),
            _ => Err(self.fail(Problem::Text(v.chars().take(40).collect()))),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let depth = self.open()?;
        self.at.push(0);
        while seq.next_element_seed(&mut *self)?.is_some() {
            self.at[depth] += 1;
        }
        let found = self.at.pop().unwrap_or(0);
        self.close(depth, found)
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(self.fail(Problem::Object))
    }
}

/// Largest magnitude below which every whole number is its own double.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Writes an object, one name a line.
pub(super) fn write<'a>(entries: impl Iterator<Item = (&'a str, &'a Raw)>) -> String {
    let mut out = String::from("{");
    for (i, (key, raw)) in entries.enumerate() {
        out.push_str(if i == 0 { "\n  " } else { ",\n  " });
        out.push_str(&serde_json::Value::from(key).to_string());
        out.push_str(": ");
        let mut values = raw.values.iter().copied().enumerate();
        write_axis(&mut out, &raw.dims, raw, &mut values);
    }
    out.push_str("\n}\n");
    out
}

fn write_axis(out: &mut String, dims: &[usize], raw: &Raw, values: &mut impl Iterator<Item = (usize, f64)>) {
    let Some((&n, rest)) = dims.split_first() else {
        if let Some((at, v)) = values.next() {
            write_number(out, v, raw.nulls.binary_search(&at).is_ok());
        }
        return;
    };
    out.push('[');
    for i in 0..n {
        if i > 0 {
            out.push(',');
        }
        write_axis(out, rest, raw, values);
    }
    out.push(']');
}

fn write_number(out: &mut String, v: f64, null: bool) {
    // Writing to a string cannot fail.
    let _ = match v {
        _ if null => write!(out, "null"),
        _ if v.is_nan() => write!(out, "\"NaN\""),
        f64::INFINITY => write!(out, "\"Infinity\""),
        f64::NEG_INFINITY => write!(out, "\"-Infinity\""),
        _ if v == 0.0 && v.is_sign_negative() => write!(out, "-0.0"),
        _ if is_whole(v) && v.abs() < EXACT => write!(out, "{}", v as i64),
        _ => write!(out, "{v:?}"),
    };
}
