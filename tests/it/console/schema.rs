//! JSON Schema, as far as the API's document uses it. What it does not know it refuses, so that nothing goes unchecked.

use serde_json::Value;

/// What is wrong with a value, and where; nothing if it fits.
pub(super) fn faults(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    check(document, schema, value, "$", &mut faults);
    faults
}

fn check(document: &Value, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    for (word, rule) in schema.as_object().expect("a schema is an object") {
        match word.as_str() {
            "description" | "default" => {}
            "$ref" => {
                let pointer = rule.as_str().unwrap().strip_prefix('#').expect("a place in this document");
                let target = document.pointer(pointer).unwrap_or_else(|| panic!("nothing at {pointer}"));
                check(document, target, value, at, faults);
            }
            "type" => {
                let kinds = rule.as_array().cloned().unwrap_or_else(|| vec![rule.clone()]);
                if !kinds.iter().any(|kind| is(value, kind.as_str().unwrap())) {
                    faults.push(format!("{at}: {value} is no {rule}"));
                }
            }
            "enum" => {
                if !rule.as_array().unwrap().contains(value) {
                    faults.push(format!("{at}: {value} is none of {rule}"));
                }
            }
            "minimum" => {
                if value.as_f64() < rule.as_f64() {
                    faults.push(format!("{at}: {value} is less than {rule}"));
                }
            }
            "required" => {
                for name in rule.as_array().unwrap() {
                    if value.get(name.as_str().unwrap()).is_none() {
                        faults.push(format!("{at}: {name} is missing"));
                    }
                }
            }
            "properties" => {
                for (name, inner) in rule.as_object().unwrap() {
                    if let Some(value) = value.get(name) {
                        check(document, inner, value, &format!("{at}.{name}"), faults);
                    }
                }
            }
            "additionalProperties" => {
                assert_eq!(rule, false);
                for name in value.as_object().into_iter().flatten().map(|(name, _)| name) {
                    if schema["properties"].get(name).is_none() {
                        faults.push(format!("{at}: {name} is unknown"));
                    }
                }
            }
            "items" => {
                for (place, value) in value.as_array().into_iter().flatten().enumerate() {
                    check(document, rule, value, &format!("{at}[{place}]"), faults);
                }
            }
            other => panic!("{at}: this test does not know {other:?}"),
        }
    }
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("this test does not know the type {other:?}"),
    }
}

#[test]
fn what_does_not_fit_is_found() {
    let document = serde_json::json!({"a": {"type": "object", "additionalProperties": false, "required": ["n", "l"],
        "properties": {"n": {"type": ["integer", "null"], "minimum": 0}, "l": {"type": "array", "items": {"enum": [1]}}}}});
    let schema = serde_json::json!({"$ref": "#/a"});
    for (value, count) in [
        (serde_json::json!({"n": 1, "l": [1, 1]}), 0),
        (serde_json::json!({"n": -1, "l": []}), 1),
        (serde_json::json!({"n": "1", "l": [2], "x": 1}), 4),
        (serde_json::json!({}), 2),
        (serde_json::json!([]), 3),
    ] {
        let faults = faults(&document, &schema, &value);
        assert_eq!(faults.len(), count, "{value}: {faults:?}");
    }
}
