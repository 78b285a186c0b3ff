//! `--config`: the arguments of a run as JSON, and back on the command line.

use std::ffi::OsString;
use std::path::Path;

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use super::SampleArgs;
use crate::cli::CliError;
use crate::workflow::method::Method;

/// Everything that the draws depend on; the number of threads and the output folder are not part of it.
pub fn arguments(args: &SampleArgs, method: Method) -> Value {
    let set: Vec<String> = args.model.set.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    json!({
        "model": args.model.model,
        "data": args.model.data,
        "set": set,
        "params": args.model.params,
        "chains": args.chains,
        "warmup": args.warmup,
        "draws": args.draws,
        "target-accept": args.target_accept,
        "max-depth": args.max_depth,
        "metric": args.metric.to_possible_value().map(|v| v.get_name().to_string()),
        "init": args.init,
        "method": method.name(),
        "guide": args.guide,
        "thin": args.thin,
        "seed": args.seed,
    })
}

/// The command line with the arguments of `--config` before those that were given, which overrule them.
pub fn expand(given: Vec<OsString>) -> Result<Vec<OsString>, CliError> {
    let Some(file) = named(&given) else {
        return Ok(given);
    };
    let path = Path::new(&file);
    let wrong = |problem: String| CliError::Config { path: path.into(), problem };
    let text = std::fs::read_to_string(path).map_err(|e| wrong(format!("cannot be read: {e}")))?;
    let json: Value = serde_json::from_str(&text).map_err(|e| wrong(format!("is not JSON: {e}")))?;
    let arguments = json["arguments"].as_object().ok_or_else(|| wrong("has no `arguments`".into()))?;
    let mut out = given[..2].to_vec();
    out.extend(flags(arguments).ok_or_else(|| wrong("its `arguments` are not texts, numbers or lists".into()))?);
    out.extend_from_slice(&given[2..]);
    Ok(out)
}

/// The file of `--config`, for the commands that have it.
fn named(given: &[OsString]) -> Option<OsString> {
    let command = given.get(1)?.to_str()?;
    if !["sample", "run"].contains(&command) {
        return None;
    }
    given.iter().enumerate().skip(2).find_map(|(k, a)| match a.to_str()? {
        "--config" => given.get(k + 1).cloned(),
        a => a.strip_prefix("--config=").map(OsString::from),
    })
}

fn flags(arguments: &Map<String, Value>) -> Option<Vec<OsString>> {
    let text = |v: &Value| match v {
        Value::String(s) => Some(s.clone()),
        Value::Number(n) => Some(n.to_string()),
        _ => None,
    };
    let mut out = vec![];
    for (key, value) in arguments {
        let values = match value {
            Value::Null => continue,
            Value::Array(all) => all.iter().map(text).collect::<Option<Vec<_>>>()?,
            one => vec![text(one)?],
        };
        for v in values {
            out.push(if key == "model" { v } else { format!("--{key}={v}") }.into());
        }
    }
    Some(out)
}
