//! What keys mean, from the doc comments of the configuration types.

use pbx_core::nearest;
use pbx_policy::Config;
use serde_json::{Map, Value};

use super::PbxConfig;

/// The JSON Schema of the file.
pub(crate) fn schema() -> Value {
    let mut whole = schemars::schema_for!(Config).to_value();
    let pbx = schemars::schema_for!(PbxConfig).to_value();
    let pbx_defs = pbx.get("$defs").and_then(Value::as_object).cloned().unwrap_or_default();
    if let Some(defs) = object(&mut whole, "$defs") {
        defs.extend(pbx_defs);
        defs.insert("PbxConfig".to_owned(), without_defs(pbx));
    }
    if let Some(properties) = object(&mut whole, "properties") {
        properties.insert("pbx".to_owned(), serde_json::json!({ "$ref": "#/$defs/PbxConfig" }));
    }
    whole
}

fn object<'a>(value: &'a mut Value, key: &str) -> Option<&'a mut Map<String, Value>> {
    value.as_object_mut()?.entry(key).or_insert_with(|| Value::Object(Map::new())).as_object_mut()
}

fn without_defs(mut value: Value) -> Value {
    if let Some(map) = value.as_object_mut() {
        map.remove("$defs");
        map.remove("$schema");
    }
    value
}

/// What `key` means: a path such as `extension.registration.devices`; indices in brackets are ignored.
pub(crate) fn explain(key: &str) -> Result<String, String> {
    let root = schema();
    let mut here = &root;
    let mut walked = String::new();
    for name in key.split('.').map(|k| k.split('[').next().unwrap_or(k)).filter(|k| !k.is_empty()) {
        let keys = properties(&root, here);
        here = keys.and_then(|k| k.get(name)).ok_or_else(|| no_such_key(&walked, name, keys))?;
        walked = if walked.is_empty() { name.to_owned() } else { format!("{walked}.{name}") };
    }
    Ok(describe(&root, here, &walked))
}

fn no_such_key(walked: &str, name: &str, keys: Option<&Map<String, Value>>) -> String {
    let names: Vec<&str> = keys.map(|k| k.keys().map(String::as_str).collect()).unwrap_or_default();
    let place = if walked.is_empty() { "the configuration".to_owned() } else { format!("`{walked}`") };
    let meant = nearest(name, names.iter().copied()).map(|m| format!(" (did you mean {m:?}?)"));
    match names.as_slice() {
        [] => format!("{place} has no keys below it"),
        _ => format!(
            "{place} has no key {name:?}{}; there are: {}",
            meant.unwrap_or_default(),
            names.join(", ")
        ),
    }
}

/// Follows `$ref`, and the items of an array, to something that has keys or a type.
fn resolve<'a>(root: &'a Value, mut here: &'a Value) -> &'a Value {
    // A schema made from types is no deeper than this.
    for _ in 0..8 {
        let target = here.get("$ref").and_then(Value::as_str);
        let referred = target.and_then(|r| root.pointer(r.trim_start_matches('#')));
        match referred.or_else(|| here.get("items")) {
            Some(next) => here = next,
            None => break,
        }
    }
    here
}

fn properties<'a>(root: &'a Value, here: &'a Value) -> Option<&'a Map<String, Value>> {
    resolve(root, here).get("properties")?.as_object()
}

fn describe(root: &Value, here: &Value, path: &str) -> String {
    let target = resolve(root, here);
    let text = |v: &Value| v.get("description").and_then(Value::as_str).map(str::to_owned);
    let mut out = vec![format!("{}", if path.is_empty() { "(the whole file)" } else { path })];
    out.extend(text(here).or_else(|| text(target)).map(|d| indent(&d)));
    out.extend(values(target).map(|v| format!("  values: {v}")));
    out.extend(here.get("default").map(|d| format!("  default: {d}")));
    if let Some(keys) = properties(root, here) {
        out.push("  keys:".to_owned());
        let width = keys.keys().map(String::len).max().unwrap_or_default();
        out.extend(keys.iter().map(|(k, v)| {
            let about = text(v).or_else(|| text(resolve(root, v))).unwrap_or_default();
            format!("    {k:<width$}  {}", about.lines().next().unwrap_or_default())
        }));
    }
    out.join("\n")
}

fn indent(text: &str) -> String {
    text.lines().map(|l| format!("  {l}")).collect::<Vec<_>>().join("\n")
}

/// The names an enumeration can have.
fn values(schema: &Value) -> Option<String> {
    let direct = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    let documented =
        schema.get("oneOf").and_then(Value::as_array).into_iter().flatten().filter_map(|v| v.get("const"));
    let names: Vec<&str> = direct.chain(documented).filter_map(Value::as_str).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_both_halves_are_explained() {
        let e = explain("extension[3].registration.devices").unwrap();
        assert!(e.contains("How many devices may be registered"), "{e}");
        assert!(explain("pbx.realm").unwrap().contains("authenticate"));
        assert!(explain("network.default").unwrap().contains("values: accept, drop"));
        assert!(explain("").unwrap().contains("extension"));
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        assert!(explain("network.defalt").unwrap_err().contains("did you mean \"default\"?"));
        assert!(explain("pbx.realm.x").unwrap_err().contains("no keys below"));
    }

    #[test]
    fn every_key_has_a_description() {
        let root = schema();
        let mut todo = vec![(String::new(), &root)];
        let mut seen = 0;
        while let Some((path, here)) = todo.pop() {
            let Some(keys) = properties(&root, here) else { continue };
            for (k, v) in keys {
                let about = v.get("description").or_else(|| resolve(&root, v).get("description"));
                assert!(about.is_some(), "{path}.{k} has no description");
                todo.push((format!("{path}.{k}"), v));
                seen += 1;
            }
        }
        assert!(seen > 50, "only {seen} keys");
    }
}
